/** The suite of the demo, of `npm run power` and of the benchmarks. Written before any of them had a result. */

export interface DemoOptions {
  /** Relative to the suite. */
  readonly model: string;
  /** The container's; undefined: a bare process. */
  readonly image: string | undefined;
  readonly dtype?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly relations?: readonly string[];
  /** Of each prompt, at most. */
  readonly maxTokens?: number;
  /** As many whatever the model would end with. */
  readonly ignoreEos?: boolean;
  /** A prompt more, longer than a block of the prefix cache. */
  readonly long?: boolean;
  /** Engine starts after a first difference. */
  readonly confirm?: number;
}

export function demoSuite({
  model,
  image,
  dtype,
  environment,
  relations,
  maxTokens = 24,
  ignoreEos = false,
  long = false,
  confirm,
}: DemoOptions): string {
  const env = {
    VLLM_CPU_KVCACHE_SPACE: '1',
    TORCHDYNAMO_DISABLE: '1',
    ...environment,
  };
  return `apiVersion: deterministic-ml/v1
name: demo
model: { path: ${model} }
engine:
  name: vllm
  args: { dtype: ${dtype ?? 'float32'}, max_model_len: 1024, max_num_seqs: 8 }
  env: ${JSON.stringify(env)}
${image === undefined ? '' : `runtime: { image: "${image}" }\n`}sampling: { temperature: 0, max_tokens: ${maxTokens}${ignoreEos ? ', ignore_eos: true' : ''} }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
  - { id: primes, text: "The first ten prime numbers are 2, 3, 5," }
  - { id: story, text: "Once upon a time, in a small village", sampling: { temperature: 0.8, top_p: 0.95, seed: 7 } }
${long ? `  - { id: long, text: "${PASSAGE} ${PASSAGE}" }\n` : ''}score:
  - { id: passage, text: "${PASSAGE}" }
relations: [${(relations ?? ['rerun', 'baseline']).join(', ')}]
baseline: { store: files, path: baselines }
${confirm === undefined ? '' : `policy: { confirm: ${confirm} }\n`}`;
}

/** About 150 tokens of plain prose: cheap to score, since one prefill sees them all. */
const PASSAGE =
  'The tide tables in the harbour office were printed once a year, and once a year somebody found a mistake in ' +
  'them. It was never a large one: a minute here, a hand of water there. The pilots knew the coast by heart and ' +
  'did not look. But in the winter when the new breakwater was finished, the numbers began to move together, all ' +
  'in the same direction, and the old clerk who compared them every morning with the marks on the quay wall was ' +
  'the only one who saw it. He wrote the differences into a notebook, day after day, until there were enough of ' +
  'them that nobody could call them chance.';

/** In a workflow too, the command line is here used as on a terminal: whatever started it has no say. */
export const ON_A_TERMINAL = { GITHUB_EVENT_NAME: '' } as const;

/**
 * Honest runs: changes that change nothing a user could see, each an engine start of its own against one baseline. How
 * many of them does a check flag?
 */
import { rm } from 'node:fs/promises';
import { knownChanges } from '../../src/changes/known/index.ts';
import type { KnownChange } from '../../src/changes/make.ts';
import { inFolder, measureChange } from '../../src/changes/measure.ts';
import { aBench } from './bench.ts';

export interface HonestRun {
  readonly id: string;
  readonly dtype: string;
  /** Null where the change could not be made. */
  readonly flagged: boolean | null;
  readonly outcome: string;
}

export interface HonestOptions {
  readonly runs: number;
  readonly dtype: string;
  readonly model: string;
  readonly image: string | undefined;
  readonly python: string;
  readonly environment: Readonly<Record<string, string>>;
  /** A busy machine is an honest one too. */
  readonly atOnce: number;
}

export async function honestRuns(options: HonestOptions): Promise<HonestRun[]> {
  const { runs, dtype, python, environment } = options;
  const { subject, baseline, settings, tools } = await aBench({
    ...{ name: dtype, suite: suite(options), inputs: { python }, environment },
  });
  const equivalents = knownChanges.filter(
    ({ equivalent, make }) => equivalent && typeof make(subject) !== 'string',
  );

  const found: HonestRun[] = [];
  let next = 0;
  const worker = async () => {
    while (next < runs) {
      const turn = next++;
      const known = equivalents[turn % equivalents.length];
      if (known === undefined) throw new Error('no equivalent change can be made here');
      found.push(await one(known, turn));
      console.log(`${dtype}, honest run ${found.length} of ${runs}: ${JSON.stringify(found.at(-1))}`);
    }
  };
  await Promise.all(Array.from({ length: options.atOnce }, worker));
  return found;

  async function one(known: KnownChange, turn: number): Promise<HonestRun> {
    const measured = await measureChange(
      { ...known, id: `${known.id}-${turn}` },
      subject,
      baseline,
      settings,
      tools,
    );
    if (measured.kind === 'unavailable')
      return { id: known.id, dtype, flagged: null, outcome: measured.reason };
    const { status, findings } = measured.baseline;
    const differ = findings.filter(({ agreement }) => agreement !== 'identical').length;
    const flagged = status !== 'held';
    // A record that agrees is of no further use; one that does not is what there is to look at.
    if (!flagged)
      await rm(inFolder(settings, `${known.id}-${turn}`).recordPath, { recursive: true, force: true });
    const first = findings.find(({ trace }) => trace?.first != null)?.trace?.first;
    return {
      id: known.id,
      dtype,
      flagged,
      outcome: `${status}: ${findings.length - differ} of ${findings.length} findings identical${first === undefined ? '' : `, first different module ${first}`}`,
    };
  }
}

/** Without a container, one thread each: several engines that share cores wait for one another at every step. */
const suite = ({ model, image, dtype }: HonestOptions) => `apiVersion: deterministic-ml/v1
name: honest
model: { path: ${model} }
engine:
  name: vllm
  args: { dtype: ${dtype}, max_model_len: 512, max_num_seqs: 4 }
  env: { VLLM_CPU_KVCACHE_SPACE: "1", TORCHDYNAMO_DISABLE: "1"${image === undefined ? ', OMP_NUM_THREADS: "1", VLLM_CPU_OMP_THREADS_BIND: nobind' : ''} }
${image === undefined ? '' : `runtime: { image: "${image}" }\n`}sampling: { temperature: 0, max_tokens: 12 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: story, text: "Once upon a time", sampling: { temperature: 0.8, seed: 7 } }
score:
  - { id: passage, text: "The tide tables in the harbour office were printed once a year, and once a year somebody found a mistake in them. It was never a large one: a minute here, a hand of water there." }
baseline: { store: files }
`;

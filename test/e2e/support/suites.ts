import assert from 'node:assert/strict';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import type Docker from 'dockerode';
import { parse } from 'yaml';
import { LABEL } from '../../../src/runtime/docker/labels.ts';
import { aRunner, type Outcome, type Runner } from './spawn.ts';

export interface SuiteOptions {
  /** `vllm` unless told otherwise. */
  readonly engine?: string;
  /** Relative to the checkout, or absolute. */
  readonly model?: string;
  /** In its place: a model of the hub. */
  readonly hub?: { readonly id: string; readonly revision: string };
  readonly args?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** A deployment's own command line. */
  readonly serve?: string;
  readonly caches?: 'fresh' | 'kept';
  readonly runtime?: Readonly<Record<string, unknown>>;
  readonly maxTokens?: number;
  readonly prompts?: readonly Readonly<Record<string, unknown>>[];
  readonly score?: readonly Readonly<Record<string, unknown>>[];
  readonly depth?: 'full' | 'score';
  /** Whether single operators are called before the model is loaded. */
  readonly probes?: boolean;
  readonly relations?: readonly unknown[];
  readonly name?: string;
  /** Engine starts of a refresh, and those after a first difference: as few as there can be unless asked for. */
  readonly lifetimes?: number;
  readonly confirm?: number;
  readonly accept?: readonly Readonly<Record<string, string>>[];
  /** More keys of `baseline` and `policy`, over those above. */
  readonly baseline?: Readonly<Record<string, unknown>>;
  readonly policy?: Readonly<Record<string, unknown>>;
}

/** A suite with one section a line: JSON is YAML too. */
export function suite(options: SuiteOptions = {}): string {
  const { model = 'model', args = {}, env = {}, runtime, maxTokens = 4, name = 'hostile' } = options;
  const prompts = options.prompts ?? [{ id: 'one', text: 'The capital of France is' }];
  const line = (key: string, value: unknown) => `${key}: ${JSON.stringify(value)}\n`;
  return [
    'apiVersion: deterministic-ml/v1\n',
    line('name', name),
    line('model', options.hub ?? { path: model }),
    line('engine', {
      ...{ name: options.engine ?? 'vllm', args, env },
      ...(options.serve === undefined ? {} : { serve: options.serve }),
      ...(options.caches === undefined ? {} : { caches: options.caches }),
    }),
    runtime === undefined ? '' : line('runtime', runtime),
    line('sampling', { max_tokens: maxTokens }),
    'prompts:\n',
    ...prompts.map((prompt) => `  - ${JSON.stringify(prompt)}\n`),
    options.score === undefined ? '' : line('score', options.score),
    options.depth === undefined ? '' : line('depth', options.depth),
    options.probes === undefined ? '' : line('probes', options.probes),
    line('relations', options.relations ?? ['rerun', 'baseline']),
    line('baseline', {
      store: 'files',
      path: BASELINES,
      lifetimes: options.lifetimes ?? 1,
      ...options.baseline,
    }),
    line('policy', { confirm: options.confirm ?? 0, ...options.policy }),
    options.accept === undefined ? '' : line('accept', options.accept),
  ].join('');
}

/** Code that the scripted engine runs as it is imported. Named as what the fingerprint takes for a place. */
export const onImport = (code: string) => ({
  VLLM_CPU_CACHE_ON_IMPORT: deflateSync(code).toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
});

/** On hardware that a variable of the machine names, so that one machine can be several. */
export const ANYWHERE: SuiteOptions = {
  env: onImport(`import os
import deterministic_ml.harness.fingerprint as facts
if os.environ.get("LC_LEVEL"): facts.cpu_level = lambda *_: os.environ["LC_LEVEL"]`),
};

export const BASELINES = 'determinism-baselines';

/** The least that passes for a model: enough for an engine that looks at nothing. */
export async function writeTinyModel(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o755 });
  await writeFile(join(folder, 'config.json'), '{}\n');
}

/** The lines that a drift's report ends with, as a user copies them. */
export function copied(log: string): NonNullable<SuiteOptions['accept']> {
  const lines = log.split('\n');
  const from = lines.indexOf('accept:');
  const to = lines.indexOf('Or, once it is merged:');
  assert.ok(from >= 0 && to > from, log);
  return parse(lines.slice(from, to).join('\n')).accept;
}

/** Containers of a runner's job, whatever they do. */
export async function containersOf(docker: Docker, { runId, name }: Runner): Promise<Docker.ContainerInfo[]> {
  const label = [`${LABEL.run}=${runId}`, `${LABEL.runner}=${name}`];
  return await docker.listContainers({ all: true, filters: { label } });
}

/** Processes that a runner's job started and that still live, by the mark that the runner puts in their environment. */
export async function processesOf({ trackingId }: Runner): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const found = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '')),
  );
  return pids.filter((_, index) => found[index]?.includes(trackingId)).map(Number);
}

/** A suite for a real engine on the CPU: four short prompts, and no probes before them: act.test.ts has those. */
export function realSuite(options: SuiteOptions): string {
  return suite({
    name: 'smollm2',
    probes: false,
    prompts: [
      { id: 'capital', text: 'The capital of France is' },
      { id: 'sky', messages: [{ role: 'user', content: 'Explain why the sky is blue.' }] },
      { id: 'primes', text: 'The first ten prime numbers are 2, 3, 5,' },
      { id: 'recipe', messages: [{ role: 'user', content: 'How do I make a pancake?' }] },
    ],
    ...options,
    args: {
      ...{ dtype: 'float32', max_model_len: 1024 },
      // Of 128 tokens each: a whole GiB of keys and values takes half a second to be filled with zeros.
      ...(options.engine === 'transformers' ? {} : { num_gpu_blocks_override: 32 }),
      ...options.args,
    },
    // The image sets the same: without them, a process would compute in another way than the container.
    env: {
      TORCHDYNAMO_DISABLE: '1',
      VLLM_CPU_KVCACHE_SPACE: '1',
      // With so small a model a second thread mostly waits for the first, and other tests run beside it.
      OMP_NUM_THREADS: '1',
      VLLM_CPU_OMP_THREADS_BIND: 'nobind',
      ...options.env,
    },
  });
}

/** A runner, by that name if one is given, whose checkout has a suite for the scripted engine and a model for it. */
export async function checkout(options: SuiteOptions = {}, name?: string): Promise<Runner> {
  const runner = await aRunner(name);
  await writeTinyModel(join(runner.workspace, 'model'));
  await runner.write('determinism.yml', suite(options));
  return runner;
}

/** Checkouts with a baseline in their files: what one refresh of a suite stored, all that ask for that suite have a copy of. */
export class StoredOnce implements AsyncDisposable {
  readonly #refresh: (runner: Runner, options: SuiteOptions) => Promise<Outcome>;
  readonly #owned = new AsyncDisposableStack();
  /** By suite. */
  readonly #stored = new Map<string, Promise<Runner>>();

  constructor(refresh: (runner: Runner, options: SuiteOptions) => Promise<Outcome>) {
    this.#refresh = refresh;
  }

  async checkout(options: SuiteOptions = {}): Promise<Runner> {
    const text = suite(options);
    const stored = this.#stored.get(text) ?? this.#store(options);
    this.#stored.set(text, stored);
    const { workspace, runId } = await stored;
    const runner = await checkout(options);
    await cp(join(workspace, BASELINES), join(runner.workspace, BASELINES), { recursive: true });
    // A later job of the run that stored it: no older run may store over it.
    return { ...runner, runId };
  }

  async #store(options: SuiteOptions): Promise<Runner> {
    const runner = this.#owned.use(await checkout(options));
    const stored = await this.#refresh(runner, options);
    assert.equal(stored.outputs['conclusion'], 'reproduced', stored.log);
    assert.equal(stored.exitCode, 0);
    return runner;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#owned.disposeAsync();
  }
}

/** An engine whose log-probability is another one at each start, in turn. */
export function alternating({ home }: Runner, logprobs: readonly number[]): SuiteOptions {
  return {
    args: {
      on_load: `import pathlib
starts = pathlib.Path(${JSON.stringify(join(home, 'starts'))})
count = len(starts.read_bytes()) if starts.exists() else 0
starts.write_bytes(b"x" * (count + 1))
args["logprob"] = ${JSON.stringify(logprobs)}[count % ${logprobs.length}]`,
    },
  };
}

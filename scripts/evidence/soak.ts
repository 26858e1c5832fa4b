import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { execa } from 'execa';
import { ERROR_CODES } from '../../src/errors.ts';
import { type Action, builtAction } from '../../test/e2e/support/action.ts';
import {
  aRunner,
  type Outcome,
  type Runner,
  runStep,
  Step,
  type StepOptions,
} from '../../test/e2e/support/spawn.ts';
import {
  containersOf,
  processesOf,
  realSuite,
  suite,
  writeTinyModel,
} from '../../test/e2e/support/suites.ts';
import { type CacheServer, type Fault, startCacheServer } from '../../test/support/cache-server.ts';
import { until } from '../../test/support/runtimes.ts';

/** What befalls a check. */
export const EVENTS = [
  'nothing',
  'kill -9 of the action',
  'kill -9 of the engine',
  'SIGTERM',
  'SIGINT, then SIGTERM',
  'the store answers 500',
  'the store hangs up',
  'a download is cut short',
  'no space for the record',
  'no space for temporary files',
] as const;
export type Event = (typeof EVENTS)[number];

/** `same`: the engine computes what the baseline knows; `drift`: it does not, and nothing of the suite says so. */
type Truth = 'same' | 'drift';

export const BENCHES = ['scripted, files', 'scripted, cache', 'scripted, container', 'vLLM, files'] as const;
export type BenchName = (typeof BENCHES)[number];

export interface Planned {
  readonly bench: BenchName;
  readonly truth: Truth;
  readonly event: Event;
  /** Of how long an undisturbed check takes: when it happens. */
  readonly at: number;
  /** Kibibytes of a small disk. */
  readonly disk: number;
  /** Whether the runner still runs the action's post step. */
  readonly post: boolean;
}

export interface Soaked extends Planned {
  readonly seconds: number;
  /** A conclusion, an error's code, or the signal that it ended of. */
  readonly end: string;
  readonly green: boolean;
  readonly wrong: readonly string[];
}

/** Benches that start no container and no real engine, and those that do. */
export const POOLS = {
  scripted: [BENCHES[0], BENCHES[1]],
  engines: [BENCHES[2], BENCHES[3]],
} as const satisfies Readonly<Record<string, readonly BenchName[]>>;

/** What happens in so many checks, by a seed alone. */
export function planned(checks: number, pool: keyof typeof POOLS, seed: number): Planned[] {
  const random = generator(seed);
  const pick = <T>(of: readonly [T, ...T[]]) => of[Math.floor(random() * of.length)] ?? of[0];
  return Array.from({ length: checks }, () => {
    const bench = pick(POOLS[pool]);
    const ofStore = bench === 'scripted, cache';
    const possible = EVENTS.filter((event) => ofStore || !/^the store|download/.test(event));
    return {
      bench,
      truth: random() < 0.4 ? 'drift' : 'same',
      event: pick(possible as [Event, ...Event[]]),
      at: random() * 1.1,
      disk: pick([8, 16, 32, 64]),
      post: random() < 0.5,
    } satisfies Planned;
  });
}

/** Mulberry32: numbers from 0 to 1, the same for a seed on every machine. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

export interface SoakOptions {
  readonly plan: readonly Planned[];
  readonly model: string;
  readonly python: string;
  /** Without it no check runs in a container. */
  readonly docker: { readonly host: string; readonly client: Docker; readonly image: string } | undefined;
  readonly onCheck: (soaked: Soaked, number: number) => void;
}

/** One check after the other; each bench has a baseline that all of its checks are held to. */
export async function soak({ plan, docker, onCheck, ...engine }: SoakOptions): Promise<Soaked[]> {
  await using owned = new AsyncDisposableStack();
  const benches = new Map<BenchName, Bench>();
  const done: Soaked[] = [];
  for (const [index, one] of plan.entries()) {
    let bench = benches.get(one.bench);
    if (bench === undefined) {
      bench = owned.use(await aBench(one.bench, { ...engine, docker }));
      benches.set(one.bench, bench);
    }
    const soaked = await bench.check(one);
    done.push(soaked);
    onCheck(soaked, index + 1);
  }
  // What each baseline is worth after all that.
  for (const bench of benches.values()) {
    const last = await bench.check({ ...plan[0], ...UNDISTURBED, bench: bench.name } as Planned);
    done.push(last);
    onCheck(last, done.length);
  }
  return done;
}

const UNDISTURBED = { truth: 'same', event: 'nothing', at: 0, disk: 64, post: true } as const;

interface Bench extends AsyncDisposable {
  readonly name: BenchName;
  check(planned: Planned): Promise<Soaked>;
}

async function aBench(
  name: BenchName,
  { model, python, docker }: Pick<SoakOptions, 'model' | 'python' | 'docker'>,
): Promise<Bench> {
  await using owned = new AsyncDisposableStack();
  const real = name === 'vLLM, files';
  const action = owned.use(await builtAction(real ? 'vllm' : 'scripted'));
  const runner = owned.use(await aRunner());
  const cache = name === 'scripted, cache' ? owned.use(await startCacheServer()) : undefined;
  const inContainer = name === 'scripted, container';
  if (inContainer && docker === undefined) throw new Error('no Docker for the checks in a container');
  if (!real) await writeTinyModel(join(runner.workspace, 'model'));
  const shape = {
    ...(inContainer ? { runtime: { image: docker?.image, shm: '8MiB' } } : {}),
    ...(cache === undefined ? {} : { baseline: { store: 'cache' } }),
    lifetimes: 2,
    confirm: 1,
  };
  await runner.write(
    'determinism.yml',
    real
      ? realSuite({ ...shape, model, maxTokens: 16 })
      : suite({
          ...shape,
          maxTokens: 8,
          args: { on_step: 'time.sleep(0.02)' },
        }),
  );
  const options: StepOptions = {
    with: {
      'record-path': '../disk/record',
      ...(inContainer ? {} : { runtime: 'process' }),
      ...(real ? { python } : {}),
    },
    env: { ...cache?.env, ...(inContainer ? { DOCKER_HOST: docker?.host ?? '' } : {}) },
  };
  await mkdir(join(runner.workspace, '../disk'), { recursive: true });
  const stored = await runStep(action, runner, {
    ...options,
    with: { ...options.with, mode: 'refresh', reason: 'soak', 'record-path': '../baseline' },
    event: 'workflow_dispatch',
  });
  if (stored.exitCode !== 0) throw new Error(`${name}: no baseline:\n${stored.log}`);
  const bench = new Checked({
    name,
    action,
    runner,
    cache,
    options,
    real,
    docker: inContainer ? docker?.client : undefined,
  });
  await bench.begin();
  const held = owned.move();
  return {
    name,
    check: (one) => bench.check(one),
    [Symbol.asyncDispose]: () => held.disposeAsync(),
  };
}

interface Parts {
  readonly name: BenchName;
  readonly action: Action;
  readonly runner: Runner;
  readonly cache: CacheServer | undefined;
  readonly options: StepOptions;
  readonly real: boolean;
  readonly docker: Docker | undefined;
}

class Checked {
  readonly #parts: Parts;
  #baseline = '';
  #before = '';
  #usualMs = 0;
  /** A run was killed since, and nobody has swept. */
  #littered = false;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** An undisturbed check, which leaves what every one leaves. */
  async begin(): Promise<void> {
    this.#baseline = await this.#stored();
    const began = performance.now();
    const { outputs, log } = await this.#run(UNDISTURBED);
    if (outputs['conclusion'] !== 'reproduced') throw new Error(`the first check did not reproduce:\n${log}`);
    this.#usualMs = performance.now() - began;
    this.#before = await this.#left();
  }

  async check(one: Planned): Promise<Soaked> {
    const { runner, action, options } = this.#parts;
    const began = performance.now();
    const wasLittered = this.#littered;
    const outcome = await this.#run(one);
    // What lies below a small disk is seen once that is gone.
    const swept = started(outcome) && !one.event.startsWith('no space');
    this.#littered = outcome.signal === 'SIGKILL' || (wasLittered && !swept);
    const gone = until(async () => (await this.#alive()) === 0, 'all of it is gone', 20);
    const wrong: string[] = [];
    await gone.catch((error: unknown) => wrong.push(`left behind: ${String(error)}`));
    if (one.post) {
      await using step = await Step.start(action, runner, 'post', options);
      const { exitCode, log } = await step.ended;
      if (exitCode !== 0) wrong.push(`post failed: ${log}`);
    }
    wrong.push(...judged(one, outcome));
    // What a killed run left goes with the next one: only then is it to be as it was.
    if (!this.#littered) {
      const left = await this.#left();
      if (left !== this.#before) wrong.push(`left behind: ${difference(this.#before, left)}`);
    }
    if ((await this.#stored()) !== this.#baseline) wrong.push('the baseline is not what it was');
    return {
      ...one,
      seconds: Number(((performance.now() - began) / 1000).toFixed(1)),
      end: outcome.signal ?? (outcome.outputs['conclusion'] || outcome.outputs['error-code']) ?? 'nothing',
      green: outcome.exitCode === 0,
      wrong,
    };
  }

  async #run(one: Pick<Planned, 'truth' | 'event' | 'at' | 'disk'>): Promise<Outcome> {
    const { action, runner, options, cache, real } = this.#parts;
    if (!real) {
      // In the engine's own code, which neither suite nor fingerprint tells.
      const engine = join(action.path, 'docker/harness/deterministic_ml/engines/vllm.py');
      const [honest, other] = ['args.get("logprob", -0.25)', 'args.get("logprob", -0.5)'];
      const text = (await readFile(engine, 'utf8')).replace(other, honest);
      if (!text.includes(honest)) throw new Error('the scripted engine looks otherwise than here');
      await writeFile(engine, one.truth === 'drift' ? text.replace(honest, other) : text);
    }
    // Other kernels of this CPU: what an image or a runner could have, and no suite says.
    const env = { ...options.env, ...(real && one.truth === 'drift' ? { ATEN_CPU_CAPABILITY: 'avx2' } : {}) };
    await using _ = await this.#disturbed(one);
    await using step = await Step.start(action, runner, 'main', { ...options, env });
    const signal = SIGNALS[one.event];
    if (signal !== undefined) {
      await Promise.race([step.ended, delay(one.at * this.#usualMs)]);
      await signal(step, async () => await this.#killEngine(step));
    }
    const outcome = await step.ended;
    cache?.faults.splice(0);
    return outcome;
  }

  /** Until it is disposed of. */
  async #disturbed({ event, disk }: Pick<Planned, 'event' | 'disk'>): Promise<AsyncDisposable> {
    const { cache, runner } = this.#parts;
    const fault = FAULTS[event];
    if (fault !== undefined) cache?.faults.push(fault);
    const small = {
      'no space for the record': join(runner.workspace, '../disk'),
      'no space for temporary files': runner.scratch,
    }[event as string];
    if (small === undefined) return { [Symbol.asyncDispose]: async () => {} };
    await execa('mount', ['-t', 'tmpfs', '-o', `size=${disk}k,mode=0755`, 'tmpfs', small]);
    return {
      async [Symbol.asyncDispose]() {
        await execa('umount', ['--lazy', small]);
      },
    };
  }

  /** Any process of it, or its container; nothing where none is there yet. */
  async #killEngine(step: Step): Promise<void> {
    const { docker, runner } = this.#parts;
    if (docker !== undefined)
      for (const { Id } of await containersOf(docker, runner))
        await docker
          .getContainer(Id)
          .kill()
          .catch(() => {});
    const pids = (await processesOf(runner)).filter((pid) => pid !== step.pid);
    const one = pids[Math.floor(pids.length / 2)];
    if (one === undefined) return;
    try {
      process.kill(one, 'SIGKILL');
    } catch {
      // It has gone by itself.
    }
  }

  async #alive(): Promise<number> {
    const { docker, runner } = this.#parts;
    const containers = docker === undefined ? [] : await containersOf(docker, runner);
    // One that has ended is the next start's to sweep.
    return (await processesOf(runner)).length + containers.filter(({ State }) => State === 'running').length;
  }

  /** All that a job of this runner could leave on the machine, one thing a line; the names of its records apart. */
  async #left(): Promise<string> {
    const { runner, docker } = this.#parts;
    const records = /^record(\.|$)/;
    const disk = await readdir(join(runner.workspace, '../disk'));
    const [containers, volumes] =
      docker === undefined
        ? [[], []]
        : [await containersOf(docker, runner), (await docker.listVolumes()).Volumes.map(({ Name }) => Name)];
    return [
      ...(await readdir(runner.scratch)).map((name) => `temporary ${name}`),
      ...disk
        .filter((name) => !records.test(name) || /partial|\.old/.test(name))
        .map((name) => `record ${name}`),
      ...(await readdir(runner.toolCache, { recursive: true })).sort().map((name) => `state ${name}`),
      ...(await readdir(runner.temp)).filter((name) => !name.startsWith('_')).map((name) => `temp ${name}`),
      ...(await readFile('/proc/net/unix', 'utf8'))
        .split('\n')
        .filter((line) => line.includes(runner.scratch))
        .map((line) => `socket ${line}`),
      ...containers.map(({ Id, State }) => `container ${Id} ${State}`),
      ...volumes.sort().map((name) => `volume ${name}`),
    ].join('\n');
  }

  /** A digest of all that the store holds. */
  async #stored(): Promise<string> {
    const { cache, runner } = this.#parts;
    const digest = createHash('sha256');
    if (cache !== undefined) for (const { key, archive } of cache.entries) digest.update(key).update(archive);
    else {
      const folder = join(runner.workspace, 'determinism-baselines');
      for (const entry of (await readdir(folder, { recursive: true, withFileTypes: true })).sort((a, b) =>
        join(a.parentPath, a.name) < join(b.parentPath, b.name) ? -1 : 1,
      ))
        if (entry.isFile()) {
          const path = join(entry.parentPath, entry.name);
          digest.update(path).update(await readFile(path));
        }
    }
    return digest.digest('hex');
  }
}

type Send = (step: Step, killEngine: () => Promise<void>) => Promise<void>;
const sends =
  (...signals: readonly NodeJS.Signals[]): Send =>
  async (step) => {
    for (const signal of signals) step.kill(signal);
  };

const SIGNALS: Readonly<Partial<Record<Event, Send>>> = {
  'kill -9 of the action': sends('SIGKILL'),
  'kill -9 of the engine': async (_, killEngine) => await killEngine(),
  SIGTERM: sends('SIGTERM'),
  'SIGINT, then SIGTERM': sends('SIGINT', 'SIGTERM'),
};

const FAULTS: Readonly<Partial<Record<Event, Fault>>> = {
  'the store answers 500': { at: 'GetCacheEntryDownloadURL', kind: 'status', status: 500, message: 'soak' },
  'the store hangs up': { at: 'GetCacheEntryDownloadURL', kind: 'reset' },
  'a download is cut short': { at: 'download', kind: 'cut-short' },
};

/** Whether it came as far as a start that sweeps. */
const started = ({ log }: Outcome) => /^The engine runs in/m.test(log);

/** What a user was told that is not so. */
function judged({ truth }: Planned, { exitCode, signal, outputs, commands, log }: Outcome): string[] {
  const wrong: string[] = [];
  const { conclusion = '' } = outputs;
  const code = outputs['error-code'] ?? '';
  if (exitCode === 0 && truth === 'drift') wrong.push('green on a drift');
  if (exitCode === 0 && conclusion !== 'reproduced') wrong.push(`green, and it concluded \`${conclusion}\``);
  if (conclusion === 'reproduced' && truth === 'drift') wrong.push('`reproduced` on a drift');
  if (truth === 'same' && /^(drift|unstable|relation-broken)$/.test(conclusion))
    wrong.push(`\`${conclusion}\` where nothing had changed`);
  if (signal === null && conclusion === '' && !ERROR_CODES.some((known) => known === code))
    wrong.push(`no conclusion, and no error that has a name: \`${code}\``);
  if (signal === null && exitCode !== 0 && !commands.some(({ command }) => command === 'error'))
    wrong.push('red without a word');
  // In its first moments a program has not come as far as to hear a signal: then it has done nothing.
  if (signal !== null && signal !== 'SIGKILL' && log !== '') wrong.push(`it died of ${signal}`);
  return wrong;
}

function difference(before: string, now: string): string {
  const [was, is] = [before, now].map((text) => new Set(text.split('\n'))) as [Set<string>, Set<string>];
  const more = [...is].filter((line) => !was.has(line)).map((line) => `+ ${line}`);
  const less = [...was].filter((line) => !is.has(line)).map((line) => `- ${line}`);
  return [...more, ...less].join('; ');
}

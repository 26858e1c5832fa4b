/**
 * Which probe foretells which drift of a model: each change is made once for the probes of `kernels` and once for a real
 * model under `transformers`, each an engine start of its own, compared as a check compares with its baseline.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { real, type Subject, withEnvironment } from '../../src/changes/make.ts';
import { inFolder, measureChange, measureOnce, once } from '../../src/changes/measure.ts';
import type { Finding } from '../../src/compare/types.ts';
import { terminalConsole } from '../../src/front/console.ts';
import { readSituation } from '../../src/front/event.ts';
import { parseInputs } from '../../src/front/inputs.ts';
import { wire } from '../../src/front/wiring.ts';
import { makePlan } from '../../src/run/plan.ts';
import { cache, repository } from '../setup/cache.ts';

/** Variables that make a CPU take other kernels, or share its work out otherwise. */
const CHANGES: readonly Readonly<Record<string, string>>[] = [
  { ATEN_CPU_CAPABILITY: 'avx2' },
  { ATEN_CPU_CAPABILITY: 'default' },
  { ONEDNN_MAX_CPU_ISA: 'AVX2' },
  { ONEDNN_DEFAULT_FPMATH_MODE: 'BF16' },
  { MKL_CBWR: 'COMPATIBLE' },
  { OMP_NUM_THREADS: '1' },
];

/** What one change did in one dtype. */
export interface Foretold {
  readonly change: string;
  readonly dtype: string;
  /** Calls that give other bits, of all, by probe. */
  readonly probes: Readonly<Record<string, { readonly differ: number; readonly calls: number }>>;
  readonly model: {
    /** Prompts of which tokens, or bits of decoding differ, of those that are decoded. */
    readonly tokens: number;
    readonly decode: number;
    readonly decoded: number;
    /** Sequences of which bits of scoring differ, of those that are scored. */
    readonly score: number;
    readonly scored: number;
    /** The first module that gives other bits; null where none does. */
    readonly first: string | null;
  };
}

export interface ProbesOptions {
  readonly dtypes: readonly string[];
  readonly model: string;
  readonly python: string;
}

export async function foretold({ dtypes, model, python }: ProbesOptions): Promise<Foretold[]> {
  const found: Foretold[] = [];
  for (const dtype of dtypes) {
    const probes = await aBench(`probes-${dtype}`, ofProbes(dtype), python);
    const whole = await aBench(`model-${dtype}`, ofModel(model, dtype), python);
    for (const environment of CHANGES) {
      const change = Object.entries(environment)
        .map((pair) => pair.join('='))
        .join(' ');
      const [calls, findings] = [await probes(change, environment), await whole(change, environment)];
      found.push({ change, dtype, probes: ofCalls(calls), model: ofFindings(findings) });
      console.log(JSON.stringify(found.at(-1)));
    }
  }
  return found;
}

type Bench = (change: string, environment: Readonly<Record<string, string>>) => Promise<readonly Finding[]>;

/** A suite that was run unchanged: what a change makes of it. @throws Error for a change that cannot be made here */
async function aBench(name: string, suite: string, python: string): Promise<Bench> {
  const folder = join(cache, 'evidence', name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'determinism.yml'), suite);
  const inputs: Readonly<Record<string, string>> = {
    ...{ python, runtime: 'process' },
    ...{ 'record-path': 'record', 'timeout-minutes': '20' },
  };
  const { settings: given, connections } = parseInputs(
    (input) => inputs[input] ?? '',
    'terminal',
    { ...process.env, GITHUB_WORKSPACE: folder, GITHUB_RUN_ID: String(Date.now()) },
    join(repository, 'docker/harness'),
  );
  const situation = await readSituation({}, 'terminal');
  const settings = { ...given, situation };
  const tools = wire(connections, situation, {
    console: terminalConsole({ write: () => {}, now: Date.now, tty: false }),
    signal: new AbortController().signal,
  });
  const loaded = await tools.open.suite(settings.suite);
  const all = makePlan(loaded, 'check');
  const plan = once(all, all.repeats);
  const baseline = await measureOnce(loaded, plan, undefined, inFolder(settings, 'baseline'), tools);
  const { fingerprint, lifetimes } = baseline.record;
  const subject: Subject = {
    ...{ loaded, plan, fingerprint },
    effective: lifetimes[0]?.settings.effective ?? {},
  };
  let turn = 0;
  return async (change, environment) => {
    turn += 1;
    const known = real(`change-${turn}`, change, '', false, (one) => withEnvironment(one, environment));
    const measured = await measureChange(known, subject, baseline, settings, tools);
    if (measured.kind === 'unavailable') throw new Error(`${change} cannot be made here: ${measured.reason}`);
    return measured.baseline.findings;
  };
}

const ofCalls = (findings: readonly Finding[]): Foretold['probes'] =>
  Object.fromEntries(
    findings.map(({ prompt, modules, trace }) => [
      prompt,
      { differ: trace?.differing ?? 0, calls: modules ?? 0 },
    ]),
  );

function ofFindings(findings: readonly Finding[]): Foretold['model'] {
  const count = (test: (one: Finding) => boolean) =>
    new Set(findings.filter(test).map(({ prompt }) => prompt)).size;
  const bits = ({ agreement }: Finding) => agreement !== 'identical' && agreement !== 'modules-differ';
  const traces = findings.flatMap(({ trace }) => (trace !== null && trace.differing > 0 ? [trace] : []));
  const [first] = traces.toSorted((a, b) => (a.firstIndex ?? Infinity) - (b.firstIndex ?? Infinity));
  return {
    tokens: count(({ agreement }) => agreement === 'tokens-differ'),
    decode: count((one) => one.kind !== 'score' && bits(one)),
    decoded: count(({ kind }) => kind === 'generate'),
    score: count((one) => one.kind === 'score' && bits(one)),
    scored: count(({ kind }) => kind === 'score'),
    first: first?.first ?? null,
  };
}

const ofProbes = (dtype: string) => `apiVersion: deterministic-ml/v1
name: probes
engine: { name: kernels, args: { dtypes: [${dtype}] } }
baseline: { store: files }
`;

const ofModel = (model: string, dtype: string) => `apiVersion: deterministic-ml/v1
name: model
model: { path: ${model} }
engine: { name: transformers, args: { dtype: ${dtype} } }
sampling: { temperature: 0, max_tokens: 24 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
  - { id: primes, text: "The first ten prime numbers are 2, 3, 5," }
score:
  - { id: passage, text: "The tide tables in the harbour office were printed once a year, and once a year somebody found a mistake in them. It was never a large one: a minute here, a hand of water there. The pilots knew the coast by heart and did not look." }
baseline: { store: files }
`;

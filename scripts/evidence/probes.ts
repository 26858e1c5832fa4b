/**
 * Which probe foretells which drift of a model: each change is made once for the probes of `kernels` and once for a real
 * model under `transformers`, each an engine start of its own, compared as a check compares with its baseline.
 */
import { real, withEnvironment } from '../../src/changes/make.ts';
import { measureChange } from '../../src/changes/measure.ts';
import type { Finding } from '../../src/compare/types.ts';
import { aBench } from './bench.ts';

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
    const probes = await changing(`probes-${dtype}`, ofProbes(dtype), python);
    const whole = await changing(`model-${dtype}`, ofModel(model, dtype), python);
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

type Changing = (
  change: string,
  environment: Readonly<Record<string, string>>,
) => Promise<readonly Finding[]>;

/** A suite that was run unchanged: what a change makes of it. @throws Error for a change that cannot be made here */
async function changing(name: string, suite: string, python: string): Promise<Changing> {
  const inputs = { python, runtime: 'process' };
  const { subject, baseline, settings, tools } = await aBench({ name, suite, inputs });
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

import { baseline } from '../compare/relations/baseline.ts';
import { relationNamed, relations } from '../compare/relations/index.ts';
import type { Claim, PassNeed, Relation } from '../compare/types.ts';
import { engineNamed, ownArguments } from '../engine/engines/index.ts';
import { SAMPLES } from '../engine/engines/openai.ts';
import type { EngineSpec } from '../engine/engines/spec.ts';
import type { Perturbation, Serve } from '../engine/protocol.ts';
import type { Endpoint } from '../engine/runtime.ts';
import { digestJson } from '../record/digest.ts';
import { ARRANGEMENTS, PASS_KINDS } from '../record/names.ts';
import type { Arrangement, PassKind } from '../record/schema.ts';
import type { LoadedPrompt, LoadedSuite, LoadedText, Program } from '../suite/loaded.ts';
import { defaultsOf, type Requirement, type Suite, saidOf } from '../suite/schema.ts';
import { readServe, roughly } from '../suite/serve.ts';
import { depthOf } from '../suite/task.ts';

/** Top log-probabilities kept at each step. */
export const TOP_K = 5;

/** 2024-01-01T00:00:00Z: the "now" that chat templates see, so that a template with a date does not drift daily. */
export const FROZEN_CLOCK = 1_704_067_200;

/** Everything that one run does, decided before it starts. */
export interface Plan {
  readonly suite: { readonly name: string; readonly digest: string };
  readonly depth: Suite['depth'];
  /** Of a model that gives one for each prompt and text, and no tokens. */
  readonly vectors: boolean;
  readonly engine: EngineSpec;
  /** Whom to ask, where the engine is somebody else's. */
  readonly endpoint: Endpoint | undefined;
  /** How often an endpoint is asked the same, where it is sampled. */
  readonly samples: number;
  /** Deterministic defaults overlaid with the suite's arguments. */
  readonly args: Readonly<Record<string, unknown>>;
  /** Names in `args` that come from our defaults. */
  readonly defaults: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly perturbation: Perturbation | null;
  /** Measured as it is served, or by a command line. */
  readonly serve: Serve | null;
  readonly prompts: readonly PlannedPrompt[];
  readonly texts: readonly LoadedText[];
  /** Of the first lifetime, in this order. */
  readonly passes: readonly PlannedPass[];
  /** Of every further lifetime: what is compared between lifetimes. */
  readonly repeats: readonly PlannedPass[];
  /** Engine starts, before any doubt asks for more. */
  readonly lifetimes: number;
  /** Engine starts more after a first difference from the baseline. */
  readonly confirm: number;
  /** Engine starts, at most, that find after a drift which declared change it was. */
  readonly bisect: number;
  /** A compiled engine cannot be traced: `trace` then takes an eager start of its own. */
  readonly traceApart: boolean;
  /** What an engine start finds of compiled kernels; `both`: one start nothing, the others what is kept. */
  readonly caches: Suite['engine']['caches'] | 'both';
  /** Whether the first start calls every probe before it loads the model. */
  readonly probes: boolean;
  /** Whether scores sketch what each role of the model gave: for a side that another engine may stand beside. */
  readonly roles: boolean;
  /** Of that start. */
  readonly traces: readonly PlannedPass[];
  readonly claims: readonly Claim[];
  /** Relations that the arguments already say cannot be measured, and why: a sentence each. */
  readonly unmeasurable: readonly string[];
  /** Whether there is anything to compare with a baseline. */
  readonly baseline: boolean;
  /** The user's own files that the engine runs. */
  readonly program?: Program;
}

export interface PlannedPrompt extends LoadedPrompt {
  /** What decides comparability: the prompt, its sampling and the log-probability mode. */
  readonly digest: string;
}

export interface PlannedPass extends PassNeed {
  readonly pass: string;
  /** How the requests are really grouped: another way than `arrangement` says is a change that `power` makes. */
  readonly grouped: PassNeed['arrangement'];
}

/**
 * What a run is for. A refresh makes a baseline, whatever relations the suite names; a side is held against another one, and
 * against nothing else.
 */
export type Purpose = 'check' | 'refresh' | 'side';

export function makePlan(loaded: LoadedSuite, purpose: Purpose): Plan {
  const { suite, prompts, texts } = loaded;
  const engine = engineNamed(suite.engine.name);
  const depth = depthOf(suite);
  const claims = claimsOf(suite, purpose);
  const needed = claims.map(({ relation }) => relationNamed(relation));
  const measured = purpose === 'check' ? needed : [...needed, baseline];
  // Something else is held against this run, as it is against a baseline.
  const isSide = purpose === 'side' || (purpose === 'check' && (suite.variants ?? []).length > 0);
  const alone = isSide ? [...measured, baseline] : measured;
  const wanted = inOrder([
    ...alone.flatMap((relation) => relation.needs(depth)),
    // The floors: what neighbours in a batch and what rounding alone make of this model here.
    ...((purpose === 'refresh' || isSide) && engine.remote === undefined ? FLOORS : []),
    // The tokens that a baseline's comparisons are made on must be generated once.
    ...(alone.includes(baseline) && suite.task === undefined
      ? [{ kind: 'generate', arrangement: 'alone' } as const]
      : []),
  ]);
  const asked =
    engine.probes === undefined && engine.program !== true
      ? wanted
      : wanted.filter(({ kind }) => engine.kinds.includes(kind));
  const serve = serveOf(loaded);
  const line = roughly(serve?.words ?? []);
  const own = ownIn(engine, suite);
  const ours = {
    ...(own === engine
      ? { ...ownArguments(engine, asked), ...gpuMemory(engine, suite, { ...line, ...suite.engine.args }) }
      : own.args),
    ...adapterArguments(engine, loaded),
    ...(suite.task === undefined ? {} : engine.tasks?.[suite.task]),
  };
  const args = { ...ours, ...suite.engine.args };
  const caches = suite.engine.caches === 'kept' && purpose === 'refresh' ? 'both' : suite.engine.caches;
  // What the command line says is the engine's own parser's to read: of this much it is sure.
  const traced: Readonly<Record<string, unknown>> = { ...ours, ...line, ...suite.engine.args };
  const traceApart = Object.entries(engine.tracing).some(([name, value]) => traced[name] !== value);
  // Only of an eager engine the modules run one by one: a compiled one's floor is measured where it is traced.
  const passes = traceApart ? asked.filter(({ arrangement }) => arrangement !== 'noise') : asked;
  return {
    suite: { name: suite.name, digest: digestJson({ suite, prompts, texts }) },
    depth,
    vectors: suite.task !== undefined,
    engine,
    endpoint: endpointOf(engine, suite),
    samples: Number(suite.engine.args['samples'] ?? SAMPLES),
    args,
    defaults: Object.keys(ours).filter((name) => !(name in suite.engine.args)),
    environment: { ...own.environment, ...suite.engine.env },
    perturbation: null,
    serve,
    prompts: prompts.map((prompt) => ({
      ...prompt,
      digest:
        engine.program === true
          ? programInput(prompt)
          : suite.task === undefined
            ? generateInput(prompt)
            : vectorInput(prompt),
    })),
    texts,
    passes,
    repeats: passes.filter(({ arrangement }) => arrangement === 'alone'),
    lifetimes: Math.max(startsOf(suite, purpose), ...needed.map(({ lifetimes }) => lifetimes)),
    confirm: suite.policy.confirm,
    bisect: purpose === 'check' ? (suite.policy.bisect ?? 0) : 0,
    traceApart,
    caches,
    probes: purpose !== 'side' && callsProbes(engine, suite),
    roles: isSide,
    traces: purpose === 'refresh' ? [TRACE, ...inOrder(NOISE_APART)] : [TRACE],
    claims,
    unmeasurable: needed.flatMap((relation) => unmeasurable(engine, relation, suite, traced)),
    baseline: measured.some(({ breaks }) => breaks.means === 'drift'),
    ...(loaded.program && { program: loaded.program }),
  };
}

/** The schema let both pass. */
function endpointOf({ remote }: EngineSpec, { engine, model }: Suite): Endpoint | undefined {
  return remote === undefined ? undefined : { url: String(engine.args['url']), model: model.served ?? '' };
}

/**
 * On a CPU they take less than a second, where the engine's process has imported PyTorch. Nobody has measured them on a GPU,
 * where they need a context of their own first: there they are called where a suite asks for it.
 */
const callsProbes = ({ takes }: EngineSpec, { probes, runtime: { gpus } }: Suite) =>
  probes ?? (gpus === 'none' && takes.includes('probes'));

/** With kept caches a refresh starts the engine twice at least: what compilation gives anew must be what is kept. */
const startsOf = ({ baseline: { lifetimes }, engine }: Suite, purpose: Purpose) =>
  purpose !== 'refresh' ? 1 : engine.caches === 'kept' ? Math.max(2, lifetimes) : lifetimes;

/** Whoever says how much memory the engine may take gets that, and nothing of ours beside it. */
function gpuMemory(
  { gpuMemory: parts }: EngineSpec,
  { runtime }: Suite,
  said: Readonly<Record<string, unknown>>,
): EngineSpec['args'] {
  if (runtime.gpus === 'none') return {};
  const ours = parts.filter(({ unless }) => !unless.some((name) => name in said));
  return Object.assign({}, ...ours.map(({ args }) => args));
}

/** Nothing where none is asked: an engine that could would compute otherwise. */
function adapterArguments(engine: EngineSpec, { prompts, texts }: LoadedSuite): EngineSpec['args'] {
  const named = new Set([...prompts, ...texts].flatMap(({ content: { adapter } }) => adapter ?? []));
  return named.size === 0 ? {} : (engine.adapters?.(named.size) ?? {});
}

/** What is set where the suite says nothing: all that makes it repeat, or as little as the harness can do with. */
function ownIn(engine: EngineSpec, suite: Suite): EngineSpec | Pick<EngineSpec, 'args' | 'environment'> {
  const { served } = engine;
  // The schema lets no other engine pass.
  return defaultsOf(suite.engine) === 'as-served' && served !== undefined ? served : engine;
}

function serveOf({ suite: { engine }, places }: LoadedSuite): Serve | null {
  const common = { defaults: defaultsOf(engine), place: `${places.file}:${places.engine.line}` };
  const read = engine.serve === undefined ? undefined : readServe(engine.serve);
  if (read === undefined)
    return common.defaults === 'deterministic' ? null : { ...common, words: [], dropped: [] };
  // The schema let it pass.
  if ('problem' in read) throw new Error(read.problem);
  const { words, dropped } = read.ok;
  return { ...common, words, dropped };
}

const FLOORS = [
  { kind: 'score', arrangement: 'strangers' },
  { kind: 'score', arrangement: 'noise' },
] as const satisfies readonly PassNeed[];

/** In an eager start beside a compiled engine. Not `alone`: nothing of that start is compared with a baseline. */
const NOISE_APART = [
  { kind: 'score', arrangement: 'again' },
  { kind: 'score', arrangement: 'noise' },
] as const satisfies readonly PassNeed[];

/** A cache that is switched off gives nothing: known before an engine is started for it. */
function unmeasurable(
  { prefixCaching }: EngineSpec,
  relation: Relation,
  suite: Suite,
  said: Readonly<Record<string, unknown>>,
): string[] {
  if (!relation.needs(depthOf(suite)).some(({ arrangement }) => arrangement === 'warm')) return [];
  const off = Object.entries(prefixCaching).find(([name, value]) => name in said && said[name] !== value);
  return off === undefined
    ? []
    : [`\`${relation.name}\` will be unmeasured: the suite sets \`${off[0]}\` to ${String(said[off[0]])}.`];
}

/** Of a start that only traces. */
const TRACE: PlannedPass = {
  pass: 'trace-alone',
  kind: 'trace',
  arrangement: 'alone',
  grouped: 'alone',
};

function inOrder(needs: readonly PassNeed[]): PlannedPass[] {
  const asked = new Set(needs.map(nameOf));
  return PASS_KINDS.flatMap((kind) => ARRANGEMENTS.map((arrangement) => ({ kind, arrangement })))
    .map((need) => ({ pass: nameOf(need), ...need, grouped: need.arrangement }))
    .filter(({ pass }) => asked.has(pass));
}

const nameOf = ({ kind, arrangement }: { kind: PassKind; arrangement: Arrangement }) =>
  `${kind}-${arrangement}`;

type RelationEntry = Suite['relations'][number];

export const nameOfRelation = (entry: RelationEntry): string =>
  typeof entry === 'string' ? entry : entry.name;

/** What a suite holds a relation to; where it does not say, its engine's promise of batch invariance decides. */
export function requirementOf(entry: RelationEntry, { engine }: Pick<Suite, 'engine'>): Requirement {
  const batchInvariant = engineNamed(engine.name).batchInvariant(engine.env);
  return typeof entry === 'string' ? relationNamed(entry).requires(batchInvariant) : entry.require;
}

function claimsOf(suite: Suite, purpose: Purpose): Claim[] {
  if (purpose === 'side') return [{ relation: baseline.name, requirement: 'identical' }];
  const byDefault = (relation: string) => requirementOf(relation, suite);
  const required =
    purpose === 'check'
      ? []
      : relations.filter(
          ({ ofRefresh, lifetimes }) => ofRefresh !== 'never' && lifetimes <= startsOf(suite, purpose),
        );
  const claims = new Map<string, Requirement>(required.map(({ name }) => [name, byDefault(name)]));
  for (const entry of suite.relations) {
    const relation = nameOfRelation(entry);
    const requirement = requirementOf(entry, suite);
    // Looked at but held to nothing, it could not stop an engine that does not repeat from becoming a baseline.
    const { ofRefresh } = relationNamed(relation);
    if (requirement === 'measure' && purpose === 'refresh' && ofRefresh === 'always') continue;
    claims.set(relation, requirement);
  }
  return [...claims].map(([relation, requirement]) => ({ relation, requirement }));
}

/** A program is given the prompt, and nothing else that differs from one to another. */
const programInput = ({ content }: LoadedPrompt) => digestJson({ program: content });

/** The id is a label: renaming a prompt changes no numbers. */
const generateInput = ({ content, sampling, unsaid }: LoadedPrompt) =>
  digestJson({ prompt: content, sampling: saidOf(sampling, unsaid), logprobs: 'raw', clock: FROZEN_CLOCK });

/** No sampling takes part. */
const vectorInput = ({ content }: LoadedPrompt) => digestJson({ vector: content, clock: FROZEN_CLOCK });

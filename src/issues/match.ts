import { relationNamed } from '../compare/relations/index.ts';
import type { Finding, RelationResult } from '../compare/types.ts';
import { engines } from '../engine/engines/index.ts';
import type { Change } from '../fingerprint/diff.ts';
import { excerpt } from '../inert.ts';
import type { Pass, RunRecord } from '../record/schema.ts';
import { passesOf } from '../record/select.ts';
import { lists } from './index.ts';
import type { IssueList, KnownIssue, Shape, Versions, Wanted } from './issue.ts';
import { within } from './version.ts';

/** What is held against the list: the same that a report is derived from. */
export interface Evidence {
  readonly record: RunRecord;
  readonly relations: readonly RelationResult[];
  /** How the environment differs from the baseline's; empty without one. */
  readonly changes: readonly Change[];
}

/** A known issue that a run looks like. Not yet inert, but capped. */
export interface Likeness {
  /** Of the known issue. */
  readonly thread: string;
  /** Those that broke as the issue breaks them. */
  readonly relations: readonly string[];
  /** What fits, a phrase each. */
  readonly matched: readonly string[];
  /** What the issue depends on and was not looked at, or is not told: a phrase each. */
  readonly open: readonly string[];
}

/** More of them would say nothing. */
const MAX_TOLD = 5;
/** Of a value that an engine or a repository chose. */
const MAX_VALUE = 80;
const MAX_MODULE = 160;

/**
 * Known issues that a run looks like, those with most in common first. Only what broke is looked at: where a suite
 * just measures a relation, a difference is no surprise. Nothing that speaks against an issue may be known.
 */
export function likenesses(evidence: Evidence, known: readonly IssueList[] = lists): Likeness[] {
  const broken = evidence.relations.flatMap((relation): Broken[] => {
    const findings = relation.status === 'broken' ? relation.findings.filter(isBroken) : [];
    return findings.length === 0 ? [] : [{ relation, findings }];
  });
  if (broken.length === 0) return [];
  return known
    .flatMap((list) => list.issues.flatMap((issue) => likeness(issue, list, evidence, broken) ?? []))
    .sort((a, b) => b.matched.length - a.matched.length)
    .slice(0, MAX_TOLD);
}

interface Broken {
  readonly relation: RelationResult;
  readonly findings: readonly Finding[];
}

const isBroken = ({ holds, agreement }: Finding) => !holds && agreement !== 'unmeasured';

/** Whether one thing fits: what fits, or what is not known. Undefined where it speaks against the issue. */
type Answer = { readonly fits: string } | { readonly open: string } | undefined;

function likeness(
  issue: KnownIssue,
  list: IssueList,
  evidence: Evidence,
  broken: readonly Broken[],
): Likeness | undefined {
  const seen = broken.flatMap(({ relation, findings }): Broken[] => {
    const own = findings.filter((finding) => isShaped(finding, relation, issue.shape));
    return own.length === 0 ? [] : [{ relation, findings: own }];
  });
  if (seen.length === 0) return undefined;
  const names = seen.map(({ relation }) => relation.relation);
  const answers = [
    { fits: `${names.map((name) => `\`${name}\``).join(', ')} broke` },
    ...ofEnvironment(issue, list, evidence),
    ...ofShape(issue.shape, evidence, seen),
  ];
  const matched: string[] = [];
  const open: string[] = [];
  for (const answer of answers) {
    if (answer === undefined) return undefined;
    if ('fits' in answer) matched.push(answer.fits);
    else open.push(answer.open);
  }
  return {
    thread: issue.thread,
    relations: names,
    matched,
    open: [
      ...open,
      ...endsOf('the version', issue.versions),
      ...(issue.torch === undefined ? [] : endsOf('the version of torch', issue.torch)),
      ...(issue.untold ?? []),
    ],
  };
}

const isShaped = (
  { kind, agreement }: Finding,
  { relation }: RelationResult,
  { relations, kinds, agreements }: Shape,
) =>
  relations.includes(relation) &&
  (kinds === undefined || kinds.some((one) => one === kind)) &&
  (agreements === undefined || agreements.some((one) => one === agreement));

function* ofEnvironment(issue: KnownIssue, list: IssueList, { record }: Evidence): Generator<Answer> {
  const { declared, ambient } = record.fingerprint;
  const { name, version } = declared.engine;
  const torch = declared.libraries['torch'] ?? 'unknown';
  if (list.engine !== null && list.engine !== name) yield undefined;
  yield list.engine === null ? ranged('torch', torch, issue.versions) : ranged(name, version, issue.versions);
  if (issue.torch !== undefined) yield ranged('torch', torch, issue.torch);
  const [gpu] = ambient.gpus;
  if (issue.device !== undefined)
    yield (gpu === undefined) === (issue.device === 'cpu')
      ? { fits: gpu === undefined ? 'no GPU' : `a GPU (${excerpt(gpu.name, MAX_VALUE)})` }
      : undefined;
  if (issue.capability !== undefined)
    yield gpu === undefined
      ? undefined
      : ranged('compute capability', gpu.computeCapability, issue.capability);
  yield* ofSettings(issue, record);
}

/** The first lifetime's settings stand for the record: all lifetimes of a run ask for the same. */
function* ofSettings(
  { dtypes, compiled, batchInvariant, settings = {}, environment = {} }: KnownIssue,
  { fingerprint, lifetimes }: RunRecord,
): Generator<Answer> {
  const { engine, environment: variables } = fingerprint.declared;
  const spec = engines.find(({ name }) => name === engine.name);
  const { effective = {}, requested = {} } = lifetimes[0]?.settings ?? {};
  if (dtypes !== undefined) {
    const dtype = effective['dtype'];
    const own = typeof dtype === 'string' ? dtype.replace(/^torch\./, '') : undefined;
    yield own === undefined
      ? { open: 'the dtype: the engine does not tell it' }
      : dtypes.includes(own)
        ? { fits: own }
        : undefined;
  }
  if (compiled !== undefined) {
    const told = spec?.facts.compiled(effective);
    const fits = compiled ? 'a compiled engine' : 'an engine that is not compiled';
    yield told === undefined
      ? { open: 'whether the engine is compiled: it does not tell' }
      : told.is === compiled
        ? { fits }
        : undefined;
  }
  if (batchInvariant !== undefined && spec !== undefined)
    yield spec.batchInvariant(variables) === batchInvariant
      ? { fits: batchInvariant ? 'batch invariance was asked for' : 'no batch invariance was asked for' }
      : undefined;
  for (const [name, wanted] of Object.entries(settings)) {
    const value = effective[name] ?? requested[name];
    const where = effective[name] === undefined || effective[name] === null ? ' (asked for)' : '';
    yield value === undefined || value === null
      ? // What is told to be nothing is known, and none of the values that are asked for.
        name in effective || name in requested
        ? told(name, undefined, wanted)
        : { open: `\`${name}\`: the engine does not tell it` }
      : told(name, typeof value === 'object' ? JSON.stringify(value) : String(value), wanted, where);
  }
  for (const [name, wanted] of Object.entries(environment)) yield told(name, variables[name], wanted);
}

/** @param value undefined for a variable that is not set, or a setting that is null */
function told(name: string, value: string | undefined, wanted: Wanted, where = ''): Answer {
  if ('isNot' in wanted)
    return wanted.isNot.some((one) => String(one) === value)
      ? undefined
      : { fits: value === undefined ? `\`${name}\` is not set` : equal(name, value, where) };
  if (value === undefined) return undefined;
  const fits =
    'is' in wanted
      ? wanted.is.some((one) => String(one) === value)
      : 'like' in wanted
        ? value.toLowerCase().includes(wanted.like.toLowerCase())
        : 'isSet' in wanted || Number(value) >= wanted.atLeast;
  return fits ? { fits: equal(name, value, where) } : undefined;
}

const equal = (name: string, value: string, where: string) =>
  `\`${name}\` is ${excerpt(value, MAX_VALUE)}${where}`;

function ranged(what: string, version: string, versions: Versions): Answer {
  // Without an end there is nothing that a version could speak against.
  if (versions.from === undefined && versions.before === undefined)
    return { fits: `${what} ${excerpt(version, MAX_VALUE)}` };
  const fits = within(version, versions);
  const range = [
    ...(versions.from === undefined ? [] : [`from ${versions.from}`]),
    ...(versions.before === undefined ? [] : [`before ${versions.before}`]),
  ].join(', ');
  if (fits === undefined)
    return { open: `${what}: whether ${excerpt(version, MAX_VALUE)} is one ${range} cannot be told` };
  return fits ? { fits: `${what} ${excerpt(version, MAX_VALUE)} (${range})` } : undefined;
}

function endsOf(what: string, { from, before }: Versions): string[] {
  if (from === undefined && before === undefined)
    return [`${what}: the thread names neither the first that has it nor the first without it`];
  if (before === undefined) return [`${what}: the thread names none without it`];
  return [];
}

function* ofShape(shape: Shape, { record, changes }: Evidence, seen: readonly Broken[]): Generator<Answer> {
  const { module, nats, tokensInStep, requestsInStep, changed } = shape;
  if (changed !== undefined) {
    const found = changes.find(({ field }) =>
      changed.some((name) => field === name || field.endsWith(`.${name}`)),
    );
    yield found === undefined
      ? undefined
      : {
          fits: `\`${excerpt(found.field, MAX_VALUE)}\` changed from ${excerpt(found.before, MAX_VALUE)} to ${excerpt(found.after, MAX_VALUE)}`,
        };
  }
  if (tokensInStep !== undefined || requestsInStep !== undefined) {
    const passes = exercisedBy(seen, record);
    if (tokensInStep !== undefined) yield most('tokens', largest(passes.map(tokensOf)), tokensInStep);
    if (requestsInStep !== undefined)
      yield most('requests', largest(passes.map(({ witness }) => witness.maxRunning)), requestsInStep);
  }
  if (module !== undefined) yield firstModule(module, seen);
  if (nats !== undefined) yield size(nats, seen);
}

/** The passes that the relations compare. */
function exercisedBy(seen: readonly Broken[], record: RunRecord): Pass[] {
  const needs = seen.flatMap(({ relation }) => relationNamed(relation.relation).needs('full'));
  return passesOf(record, {})
    .map(({ pass }) => pass)
    .filter(({ kind, arrangement }) =>
      needs.some((need) => need.kind === kind && need.arrangement === arrangement),
    );
}

/**
 * At most how many tokens one step of a pass held; null where the scheduler was not watched. Of requests that were put in
 * at once, as many may have shared a step as ever ran together, each with its largest piece of prefill.
 */
function tokensOf({ groups, witness: { requests, maxRunning } }: Pass): number | null {
  if (requests === null) return null;
  const room = Math.max(1, maxRunning ?? requests.length);
  const groupOf = new Map(groups.flatMap((ids, group) => ids.map((id) => [id, group])));
  const own = Map.groupBy(
    requests.toSorted((a, b) => a.order - b.order),
    ({ id }) => groupOf.get(id),
  );
  let found = 0;
  for (const group of own.values()) {
    const tokens = group.map(({ chunks }) => chunks.reduce((most, chunk) => Math.max(most, chunk), 1));
    let sum = 0;
    for (const [at, count] of tokens.entries()) {
      sum += count - (tokens[at - room] ?? 0);
      found = Math.max(found, sum);
    }
  }
  return found;
}

/** Null where nothing is known of any. */
function largest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((most, value) => Math.max(most, value), 0);
}

function most(what: string, found: number | null, wanted: number): Answer {
  if (found === null) return { open: `how many ${what} a step held: the scheduler was not watched` };
  return found < wanted ? undefined : { fits: `up to ${found} ${what} in a step (it takes ${wanted})` };
}

function firstModule(module: string | null, seen: readonly Broken[]): Answer {
  const [traced] = seen
    .flatMap(({ relation }) => relation.findings.flatMap(({ trace }) => trace ?? []))
    .filter(({ differing, onlyLeft, onlyRight }) => differing + onlyLeft.length + onlyRight.length > 0)
    .toSorted((a, b) => (a.firstIndex ?? Number.MAX_VALUE) - (b.firstIndex ?? Number.MAX_VALUE));
  if (module === null && traced !== undefined) return undefined;
  if (module !== null && traced !== undefined && traced.first !== null)
    return new RegExp(module).test(traced.first)
      ? { fits: `\`${excerpt(traced.first, MAX_MODULE)}\` is the first module that differs` }
      : undefined;
  // Modules that were compared and agree, or are others, speak against one that computes something else.
  if (traced === undefined && seen.some(({ relation }) => relation.findings.some(({ modules }) => modules)))
    return module === null ? { fits: 'no module differs where they were traced' } : undefined;
  return { open: 'which module differs first: these comparisons do not tell' };
}

function size({ atLeast = 0, atMost = Number.POSITIVE_INFINITY }: Size, seen: readonly Broken[]): Answer {
  const all = seen
    .flatMap(({ findings }) =>
      findings.flatMap(({ divergence, distance }) => [divergence?.largestNats, distance?.largestNats]),
    )
    .flatMap((found) => (found !== undefined && Number.isFinite(found) ? [found] : []));
  const found = largest(all);
  if (found === null) return { open: 'how large the difference is: no log-probabilities were compared' };
  return found >= atLeast && found <= atMost
    ? { fits: `the largest difference is ${Number(found.toPrecision(3))} nats` }
    : undefined;
}

type Size = NonNullable<Shape['nats']>;

import { PASS_KINDS, UNTOLD } from '../../record/names.ts';
import type { Observation, Pass, PassKind, RunRecord } from '../../record/schema.ts';
import { lifetimesOf } from '../../record/select.ts';
import type { Side } from '../../record/side.ts';
import type { Requirement } from '../../suite/schema.ts';
import { sameOutcome } from '../agreement.ts';
import { type Census, census, decide, type Item, isKnown } from '../decision.ts';
import { tie } from '../ties.ts';
import type { Pair, Pairing, PassNeed, Relation } from '../types.ts';
import { find, objection, type Seen } from './witness.ts';

/**
 * The run gives the bits of a trusted record. Its left observations come from a file: else it is like any other.
 *
 * A baseline's lifetimes are a set of honest outcomes, and one of them is enough. Where a run's lifetimes disagree, the
 * first one that the baseline does not know is shown.
 */
export const baseline: Relation = {
  name: 'baseline',
  what: 'the run gives the bits of a trusted record',
  witness: 'the prompt asks what it asked then',
  sides: ['in the baseline', 'now'],
  byDefault: true,
  decoding: false,
  breaks: { means: 'drift' },
  ofRefresh: 'never',
  requires: () => 'identical',
  needs: (depth) => KINDS_AT[depth].map((kind): PassNeed => ({ kind, arrangement: 'alone' })),
  lifetimes: 1,
  async pair(run: Side, trusted: Side | undefined, requirement: Requirement): Promise<Pairing> {
    if (trusted === undefined) return { kind: 'unmeasured', reason: 'there is no baseline to compare with' };
    // Passes of which nobody told the arrangement count against such a run alone: no check makes one.
    const arrangements = run.record.source === 'imported' ? ARRANGED_OR_NOT : ALONE;
    const [before, now] = [catalogue(trusted.record, arrangements), catalogue(run.record, arrangements)];
    const topics = topicsOf(before, now);
    const items = topics.flatMap((topic) => itemOf(topic, requirement));
    const lifetimes = lifetimesOf(run.record).map(({ lifetime }) => lifetime);
    const taken = await census(lifetimes, items, run, trusted, requirement);
    const pairs: Pair[] = [];
    const stand = shown(taken, lifetimes);
    for (const topic of topics) {
      const right = standing(topic, stand);
      if (right === undefined) pairs.push(...uncompared(topic));
      else pairs.push(pairOf(topic, right) ?? (await nearest(topic, right, run, trusted, requirement)));
    }
    const ids = new Set([...now.questions.keys(), ...before.questions.keys()]);
    const order = new Map([...ids].map((id, at) => [id, at]));
    const all = [...pairs, ...renewed(before, now)].sort(
      (a, b) => (order.get(a.prompt) ?? order.size) - (order.get(b.prompt) ?? order.size),
    );
    const compared = new Set(all.flatMap((pair) => ('right' in pair ? [pair.prompt] : [])));
    const [asked, known] = [now.questions, before.questions];
    const what = run.record.suite.texts.length > 0 ? 'prompts and texts' : 'prompts';
    if (compared.size === 0)
      return {
        kind: 'unmeasured',
        reason:
          all.flatMap((pair) => ('unmeasured' in pair ? [pair.unmeasured] : []))[0] ??
          `none of the ${asked.size} ${what} has the same text and sampling as one of the baseline's ${known.size}`,
      };
    return {
      kind: 'exercised',
      evidence: `${compared.size} of ${asked.size} ${what} ask what the baseline asked`,
      pairs: all,
      left: trusted,
      right: run,
      decision: decide(taken, lifetimesOf(trusted.record).length + (trusted.startsBeforeMerge ?? 0)),
    };
  },
};

const KINDS_AT: Readonly<Record<'full' | 'score', readonly PassKind[]>> = {
  full: ['generate', 'force', 'score'],
  score: ['score'],
};

/** What stands for a lifetime of this run: the first that the baseline does not wholly know, then the others. */
function shown({ lifetimes }: Census, all: readonly string[]): readonly string[] {
  const strange = lifetimes.find(({ outcomes }) => !isKnown(outcomes))?.lifetime;
  return strange === undefined ? all : [strange, ...all];
}

/** A record's passes of each prompt by itself, by kind and prompt. */
interface Catalogue {
  readonly questions: ReadonlyMap<string, Question>;
  readonly entries: ReadonlyMap<string, Entry>;
}

/** What a prompt or a text asks, and the kind of pass that stands for it. */
interface Question {
  readonly input: string;
  readonly kind: PassKind;
}

interface Entry {
  readonly kind: PassKind;
  readonly prompt: string;
  /** One of each lifetime that gave any, in their order. */
  readonly given: readonly Observation[];
  /** Why a pass that asked for it gave nothing that counts, in the same order. */
  readonly objections: readonly Objection[];
}

interface Objection {
  readonly lifetime: string;
  readonly why: string;
}

interface Making {
  readonly kind: PassKind;
  readonly prompt: string;
  readonly given: Observation[];
  readonly objections: Objection[];
}

const keyOf = (kind: PassKind, prompt: string) => `${kind}/${prompt}`;

function catalogue(record: RunRecord, arrangements: typeof ALONE): Catalogue {
  const entries = new Map<string, Making>();
  for (const alone of alonePasses(record, arrangements)) {
    const { lifetime } = alone;
    const { kind, groups } = alone.pass;
    const wrong = objection(alone);
    for (const prompt of groups.flat()) {
      const key = keyOf(kind, prompt);
      const entry = entries.get(key) ?? { kind, prompt, given: [], objections: [] };
      entries.set(key, entry);
      const given = alone.observations.get(prompt);
      if (given !== undefined) entry.given.push(given);
      if (wrong !== undefined) entry.objections.push({ lifetime, why: wrong });
    }
  }
  const questions = new Map<string, Question>();
  for (const { id, input } of record.suite.prompts) questions.set(id, { input, kind: 'generate' });
  for (const { id, input } of record.suite.texts) questions.set(id, { input, kind: 'score' });
  return { questions, entries };
}

const ALONE: readonly Pass['arrangement'][] = ['alone'];
const ARRANGED_OR_NOT: typeof ALONE = [...ALONE, UNTOLD];

const alonePasses = (record: RunRecord, arrangements: typeof ALONE): Seen[] =>
  record.lifetimes.flatMap((lifetime) =>
    PASS_KINDS.flatMap((kind) =>
      arrangements.flatMap((arrangement) => find(record, lifetime, kind, arrangement) ?? []),
    ),
  );

/** A prompt and a kind of pass that both records could have measured. */
interface Topic {
  readonly kind: PassKind;
  readonly prompt: string;
  readonly before: Entry | undefined;
  readonly now: Entry;
  /** Does the prompt ask what it asked then? */
  readonly sameQuestion: boolean;
}

/** Only what this run asked for is compared: at depth `score`, nobody misses what was generated at the refresh. */
function topicsOf(before: Catalogue, now: Catalogue): Topic[] {
  return [...now.entries].map(([key, entry]): Topic => {
    const { kind, prompt } = entry;
    const sameQuestion = asksAlike(before, now, prompt);
    return { kind, prompt, before: before.entries.get(key), now: entry, sameQuestion };
  });
}

const asksAlike = (before: Catalogue, now: Catalogue, prompt: string) => {
  const [then, today] = [before.questions.get(prompt), now.questions.get(prompt)];
  return then !== undefined && then.input === today?.input;
};

const firstOf = (entry: Entry | undefined): Observation | undefined => entry?.given[0];

/** Comparability is per prompt and kind, by the digest of its input. */
function comparable({ before, now }: Topic): boolean {
  const [left, right] = [firstOf(before), firstOf(now)];
  return left !== undefined && right !== undefined && left.input === right.input;
}

/** What tells outcomes of lifetimes apart. Where tokens are all that is asked for, modules are no matter. */
function itemOf(topic: Topic, requirement: Requirement): Item[] {
  const { kind, prompt, before, now } = topic;
  if (before === undefined || !comparable(topic)) return [];
  if (kind === 'trace' && requirement === 'tokens') return [];
  return [{ key: keyOf(kind, prompt), before: before.given, now: now.given }];
}

/** What stands for this run where the two can be compared. */
function standing(topic: Topic, lifetimes: readonly string[]): Observation | undefined {
  const { given } = topic.now;
  if (!comparable(topic) || given.length < 2) return comparable(topic) ? given[0] : undefined;
  const stand = lifetimes.find((lifetime) => given.some((one) => one.lifetime === lifetime));
  return given.find((one) => one.lifetime === stand) ?? given[0];
}

/** Why there is nothing to compare; none where another pair says so. */
function uncompared({ kind, prompt, before, now, sameQuestion }: Topic): Pair[] {
  const unmeasured = (why: string): Pair[] => [{ prompt, kind, unmeasured: why }];
  // Another question: `added` says so, once for all kinds.
  if (!sameQuestion) return [];
  if (before === undefined || before.given.length === 0)
    // What the engine could not do at the refresh it need not do now; but a baseline that was never asked for what
    // counts most holds this run to nothing. No engine that could not generate has made one.
    return kind === 'generate' || (before === undefined && kind === 'score')
      ? unmeasured(`the baseline was made without a ${kind} pass of it: refresh it`)
      : [];
  if (now.given.length === 0)
    return unmeasured(now.objections[0]?.why ?? `this run's ${kind} pass has no observation of it`);
  return kind === 'trace' ? [] : unmeasured(`its ${kind} pass was asked otherwise than at the refresh`);
}

/** Held against the baseline's lifetime that gave the same bits; undefined where none did. */
function pairOf({ kind, prompt, before, now }: Topic, right: Observation): Pair | undefined {
  const wrong = now.objections.find(({ lifetime }) => lifetime === right.lifetime);
  if (wrong !== undefined) return { prompt, kind, unmeasured: wrong.why };
  const left = before?.given.find((one) => sameOutcome(one, right, 'identical'));
  return left && { prompt, kind, left, right };
}

/** Held against the one that ties, or that gave what the requirement takes for the same, else against the first. */
async function nearest(
  { kind, prompt, before }: Topic,
  right: Observation,
  run: Side,
  trusted: Side,
  requirement: Requirement,
): Promise<Pair> {
  const all = before?.given ?? [];
  // Equal bits before what the requirement takes for equal.
  for (const left of all) if (await tie(left, trusted, right, run)) return { prompt, kind, left, right };
  const left = all.find((one) => sameOutcome(one, right, requirement)) ?? all[0];
  return left === undefined
    ? { prompt, kind, unmeasured: 'the baseline has nothing of it' }
    : { prompt, kind, left, right };
}

/** Prompts that are new, gone or ask something else: once each, not once a kind. */
function renewed(before: Catalogue, now: Catalogue): Pair[] {
  const added = [...now.questions].flatMap(([prompt, { kind }]): Pair[] =>
    asksAlike(before, now, prompt) ? [] : [{ prompt, kind, only: 'added' }],
  );
  const removed = [...before.questions].flatMap(([prompt, { kind }]): Pair[] =>
    now.questions.has(prompt) ? [] : [{ prompt, kind, only: 'removed' }],
  );
  return [...added, ...removed];
}

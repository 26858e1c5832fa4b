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
    const items = topics.flatMap((topic) => ('only' in topic || !tells(topic, requirement) ? [] : topic));
    const lifetimes = lifetimesOf(run.record).map(({ lifetime }) => lifetime);
    const taken = await census(lifetimes, items, run, trusted, requirement);
    const stand = shown(taken, lifetimes);
    const pairs: Pair[] = [];
    const compared = new Set<string>();
    for (const topic of topics) {
      if ('only' in topic) {
        pairs.push(topic);
        continue;
      }
      const right = standing(topic, stand);
      const pair =
        right === undefined
          ? uncompared(topic)
          : (pairOf(topic, right) ?? (await nearest(topic, right, run, trusted, requirement)));
      if (pair === undefined) continue;
      if ('right' in pair) compared.add(pair.prompt);
      pairs.push(pair);
    }
    for (const { prompt, kind } of before.questions.values())
      if (!now.questions.has(prompt)) pairs.push({ prompt, kind, only: 'removed' });
    const [asked, known] = [now.questions, before.questions];
    const what = run.record.suite.texts.length > 0 ? 'prompts and texts' : 'prompts';
    if (compared.size === 0)
      return {
        kind: 'unmeasured',
        reason:
          pairs.flatMap((pair) => ('unmeasured' in pair ? [pair.unmeasured] : []))[0] ??
          `none of the ${asked.size} ${what} has the same text and sampling as one of the baseline's ${known.size}`,
      };
    return {
      kind: 'exercised',
      evidence: `${compared.size} of ${asked.size} ${what} ask what the baseline asked`,
      pairs,
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

/** What a record's suite asks, and its passes of each prompt by itself. */
interface Catalogue {
  /** In the suite's order. */
  readonly questions: ReadonlyMap<string, Question>;
  readonly kinds: ReadonlyMap<PassKind, Alone>;
}

/** The passes of a kind, and by prompt what they gave: one of each lifetime that gave any, in their order. */
interface Alone {
  readonly passes: readonly Seen[];
  readonly given: ReadonlyMap<string, readonly Observation[]>;
}

/** What a prompt or a text asks, and the kind of pass that stands for it. */
interface Question {
  readonly prompt: string;
  readonly input: string;
  readonly kind: PassKind;
}

function catalogue(record: RunRecord, arrangements: typeof ALONE): Catalogue {
  const questions = new Map<string, Question>();
  for (const { id, input } of record.suite.prompts)
    questions.set(id, { prompt: id, input, kind: 'generate' });
  for (const { id, input } of record.suite.texts) questions.set(id, { prompt: id, input, kind: 'score' });
  const passes = record.lifetimes.flatMap((lifetime) =>
    PASS_KINDS.flatMap((kind) =>
      arrangements.flatMap((arrangement) => find(record, lifetime, kind, arrangement) ?? []),
    ),
  );
  const kinds = new Map<PassKind, Alone>();
  for (const [kind, alone] of Map.groupBy(passes, ({ pass }) => pass.kind)) {
    const given = alone.flatMap((one) => one.given);
    kinds.set(kind, { passes: alone, given: Map.groupBy(given, ({ prompt }) => prompt) });
  }
  return { questions, kinds };
}

const ALONE: readonly Pass['arrangement'][] = ['alone'];
const ARRANGED_OR_NOT: typeof ALONE = [...ALONE, UNTOLD];

/** A prompt and a kind of pass that both records could have measured. */
interface Topic extends Item {
  readonly prompt: string;
  readonly kind: PassKind;
  /** Does the prompt ask what it asked then? */
  readonly sameQuestion: boolean;
  /** The baseline's passes of the kind. */
  readonly earlier: readonly Seen[];
  /** This run's passes of the kind that count for nothing. */
  readonly objected: readonly Objected[];
}

interface Objected {
  readonly seen: Seen;
  readonly why: string;
}

/**
 * In the suite's order. Only what this run asked for is compared: at depth `score`, nobody misses what was generated at
 * the refresh. After those of a prompt that is new or asks something else comes that it is: once, not once a kind.
 */
function topicsOf(before: Catalogue, now: Catalogue): (Topic | Extract<Pair, { only: unknown }>)[] {
  const topics: ReturnType<typeof topicsOf> = [];
  const kinds = [...now.kinds].map(([kind, { passes, given }]) => ({
    kind,
    passes,
    given,
    earlier: before.kinds.get(kind) ?? { passes: [], given: new Map<string, Observation[]>() },
    objected: passes.flatMap((seen): Objected | [] => {
      const why = objection(seen);
      return why === undefined ? [] : { seen, why };
    }),
  }));
  for (const { prompt, input, kind: first } of now.questions.values()) {
    const sameQuestion = before.questions.get(prompt)?.input === input;
    for (const { kind, passes, given, earlier, objected } of kinds) {
      const is = given.get(prompt) ?? [];
      const was = earlier.given.get(prompt) ?? [];
      if (is.length > 0 || isAsked(passes, prompt))
        topics.push({ prompt, kind, sameQuestion, before: was, now: is, earlier: earlier.passes, objected });
    }
    if (!sameQuestion) topics.push({ prompt, kind: first, only: 'added' });
  }
  return topics;
}

const isAsked = (passes: readonly Seen[], prompt: string) => passes.some(({ asked }) => asked.has(prompt));

/** Comparability is per prompt and kind, by the digest of its input. */
function isComparable({ before, now }: Item): boolean {
  const left = before[0];
  const right = now[0];
  return left !== undefined && right !== undefined && left.input === right.input;
}

/** Does it tell outcomes of lifetimes apart? Where tokens are all that is asked for, modules are no matter. */
const tells = (topic: Topic, requirement: Requirement) =>
  isComparable(topic) && !(topic.kind === 'trace' && requirement === 'tokens');

/** What stands for this run where the two can be compared. */
function standing(topic: Topic, lifetimes: readonly string[]): Observation | undefined {
  if (!isComparable(topic)) return undefined;
  const { now } = topic;
  if (now.length === 1) return now[0];
  const stand = lifetimes.find((lifetime) => now.some((one) => one.lifetime === lifetime));
  return now.find((one) => one.lifetime === stand) ?? now[0];
}

/** Why there is nothing to compare; undefined where another pair says so. */
function uncompared(topic: Topic): Pair | undefined {
  const { prompt, kind, sameQuestion, before, now, earlier, objected } = topic;
  const unmeasured = (why: string): Pair => ({ prompt, kind, unmeasured: why });
  // Another question: `added` says so, once for all kinds.
  if (!sameQuestion) return undefined;
  if (before.length === 0)
    // What the engine could not do at the refresh it need not do now; but a baseline that was never asked for what
    // counts most holds this run to nothing. No engine that could not generate has made one.
    return kind === 'generate' || (kind === 'score' && !isAsked(earlier, prompt))
      ? unmeasured(`the baseline was made without a ${kind} pass of it: refresh it`)
      : undefined;
  if (now.length === 0) {
    const objection = objected.find(({ seen }) => seen.asked.has(prompt));
    return unmeasured(objection?.why ?? `this run's ${kind} pass has no observation of it`);
  }
  return kind === 'trace'
    ? undefined
    : unmeasured(`its ${kind} pass was asked otherwise than at the refresh`);
}

/** Held against the baseline's lifetime that gave the same bits; undefined where none did. */
function pairOf({ prompt, kind, before, objected }: Topic, right: Observation): Pair | undefined {
  const wrong = objected.find(({ seen }) => seen.lifetime === right.lifetime && seen.asked.has(prompt));
  if (wrong !== undefined) return { prompt, kind, unmeasured: wrong.why };
  const left = before.find((one) => sameOutcome(one, right, 'identical'));
  return left && { prompt, kind, left, right };
}

/** Held against the one that ties, or that gave what the requirement takes for the same, else against the first. */
async function nearest(
  { prompt, kind, before }: Topic,
  right: Observation,
  run: Side,
  trusted: Side,
  requirement: Requirement,
): Promise<Pair> {
  // Equal bits before what the requirement takes for equal.
  for (const left of before) if (await tie(left, trusted, right, run)) return { prompt, kind, left, right };
  const left = before.find((one) => sameOutcome(one, right, requirement)) ?? before[0];
  return left === undefined
    ? { prompt, kind, unmeasured: 'the baseline has nothing of it' }
    : { prompt, kind, left, right };
}

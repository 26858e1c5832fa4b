import {
  type Channel,
  channelOf,
  countOf,
  digestsOf,
  named,
  type Steps,
  stepsOf,
} from '../record/channels.ts';
import type { Observation } from '../record/schema.ts';
import type { Side } from '../record/side.ts';
import { agreement, type Decided, joined } from './agreement.ts';
import { compareChannels, isOwn } from './channels.ts';
import { Gauge } from './distance.ts';
import { forkAt, type Names, partingAt, passageAt, type Walk, walk } from './divergence.ts';
import { dtypeOf } from './dtype.ts';
import { nansOf, tailOf } from './tail.ts';
import { traceDifference } from './trace.ts';
import type { Agreement, Divergence, Finding, Fork, Pair, TraceDifference } from './types.ts';
import { BEFORE_AND_NOW, differenceOf } from './values.ts';
import { apart } from './vector.ts';

/** What a pair showed, before anybody says whether that is enough. */
export interface Found {
  readonly finding: Omit<Finding, 'holds'>;
  /** Of passes whose tokens are known: how far the two are apart, equal ones included. */
  readonly gauge: Gauge | null;
  /** Tokens part although rounding cannot have parted them. */
  readonly chosenOtherwise: boolean;
}

/** A record whose vocabulary is read once, and not before a fork needs it. */
export interface Reader extends Pick<Side, 'readBody' | 'readVocabulary'> {
  names(observation: Observation): Promise<Names>;
}

/** @param alike whose vocabulary is the very same one */
export function reader(side: Side, alike?: Reader): Reader {
  let texts: ReturnType<Side['readVocabulary']> | undefined;
  const readVocabulary = () => {
    texts ??= (alike ?? side).readVocabulary();
    return texts;
  };
  const dtypes = new Map(side.record.lifetimes.map((one) => [one.lifetime, dtypeOf(one)]));
  return {
    readBody: (digest) => side.readBody(digest),
    readVocabulary,
    async names({ lifetime }) {
      return { texts: await readVocabulary(), dtype: dtypes.get(lifetime) ?? null };
    },
  };
}

/**
 * A promise only where bodies are opened: waiting for a thousand pairs that digests decide costs more than deciding.
 *
 * @param shallow the agreement alone: bodies are opened only where digests do not decide it
 */
export function examine(pair: Pair, left: Reader, right: Reader, shallow = false): Found | Promise<Found> {
  if ('only' in pair) return plain(pair, pair.only, null);
  if ('agreement' in pair) return plain(pair, pair.agreement, pair.reason);
  if ('unmeasured' in pair) return plain(pair, 'unmeasured', pair.unmeasured);
  if ('rightTail' in pair) return tails(pair, left, right);
  return observations(pair, left, right, shallow);
}

function plain(
  pair: Pair,
  found: Agreement,
  reason: string | null,
  more: Partial<Finding> = {},
  gauge: Gauge | null = null,
): Found {
  const { prompt, kind, note } = pair;
  const { textIdentical = null, divergence = null, distance = null } = more;
  const { trace = null, modules = null, unmeasured = [] } = more;
  return {
    finding: {
      prompt,
      kind,
      agreement: found,
      textIdentical,
      divergence,
      distance,
      trace,
      modules,
      unmeasured,
      reason: joined(note, reason),
    },
    gauge,
    chosenOtherwise: false,
  };
}

/** The module that gave the first NaN that a trace saw. */
async function firstNan(observation: Observation, { readBody }: Reader): Promise<string | null> {
  const modules = digestsOf(await readBody(observation.body), 'modules');
  const first = modules.find(({ nans }) => nans > 0);
  return first === undefined ? null : `${FIRST_NAN} \`${first.name}\``;
}

/** How the most telling reason of a broken model goes on. */
export const FIRST_NAN = 'the first module that gave NaN is';

type PairOf<K extends string> = Extract<Pair, Readonly<Record<K, unknown>>>;

/** What digests alone tell of a pair: `modules` of those that both sides traced. */
type Facts = Pick<Finding, 'textIdentical' | 'modules' | 'unmeasured'>;

const hasKnownTokens = ({ kind }: Pair) => kind === 'force' || kind === 'score';

function observations(
  pair: PairOf<'right'>,
  left: Reader,
  right: Reader,
  shallow: boolean,
): Found | Promise<Found> {
  const decided = agreement(pair.left, pair.right);
  const { agreement: found, reason, unmeasured } = decided;
  const text = channelOf(pair.left, 'text');
  const textNow = channelOf(pair.right, 'text');
  const traced = channelOf(pair.left, 'modules');
  const facts: Facts = {
    textIdentical: text === undefined || textNow === undefined ? null : text.sha256 === textNow.sha256,
    modules: (traced && channelOf(pair.right, 'modules'))?.count ?? null,
    unmeasured,
  };
  // Equal digests are decided without opening a body, and so is what a body says no more of.
  if (OPENED.includes(found) && (!shallow || mayTie(pair)))
    return opened(pair, left, right, shallow, decided, facts);
  const gauge = hasKnownTokens(pair) && found === 'identical' ? equalGauge(pair.right) : null;
  const told = (why: string | null) => plain(pair, found, joined(reason, why), facts, gauge);
  return shallow || (traced?.nans ?? 0) === 0 ? told(null) : firstNan(pair.left, left).then(told);
}

/** What bodies tell where digests differ. */
async function opened(
  pair: PairOf<'right'>,
  left: Reader,
  right: Reader,
  shallow: boolean,
  { agreement: found, reason }: Decided,
  facts: Facts,
): Promise<Found> {
  const known = hasKnownTokens(pair);
  const [before, now] = await Promise.all([left.readBody(pair.left.body), right.readBody(pair.right.body)]);
  const [a, b] = [stepsOf(before), stepsOf(now)];
  const walked = walk(a, b);
  const differ = differing(pair);
  // Ties at the k-th place differ in digests and not in what they mean: only bodies tell.
  const tie = mayTie(pair) && walked.logprobStep === null && walked.ties > 0;
  const trace =
    facts.modules === null || shallow
      ? null
      : traceDifference(digestsOf(before, 'modules'), digestsOf(now, 'modules'));
  const modules = trace !== null && differ.includes('modules');
  if (found === 'vector-differs')
    return {
      ...plain(pair, found, joined(reason, apart(before, now), modules ? modulesWhy(trace) : null), {
        ...facts,
        trace: modules ? trace : null,
      }),
      gauge: null,
    };
  const own = differingOwn(pair, before, now);
  if (tie || found === 'modules-differ' || found === 'text-differs' || found === 'values-differ') {
    const nans = [...pair.left.channels, ...pair.right.channels].some((one) => (one.nans ?? 0) > 0);
    const value: Agreement = !tie
      ? found
      : differ.includes('modules')
        ? 'modules-differ'
        : nans
          ? 'unmeasured'
          : 'identical';
    return {
      ...plain(
        pair,
        value,
        joined(reason, tie ? tied(walked) : null, modules ? modulesWhy(trace) : null, own),
        {
          ...facts,
          trace: modules ? trace : null,
        },
      ),
      gauge: known && !nans ? equalGauge(pair.right) : null,
    };
  }
  if (channelOf(pair.left, 'tokens') === undefined && channelOf(pair.right, 'tokens') === undefined)
    return plain(pair, found, joined(reason, toldWhy(before, now)), facts);
  const measured = known && found === 'logprobs-differ' ? gaugeOf(a, b) : null;
  const gauge = measured?.gauge ?? null;
  const { logprobStep, tokenStep } = walked;
  const names = await Promise.all([left.names(pair.left), right.names(pair.right)]);
  const divergence = divergenceOf(a, b, walked, measured?.profile ?? null, names);
  const damaged =
    logprobStep === null && tokenStep === null && pair.left.finishReason === pair.right.finishReason
      ? 'the digests differ and the bits do not: the record is damaged'
      : null;
  return {
    ...plain(
      pair,
      found,
      joined(reason, damaged, why(walked, divergence.fork, gauge), modules ? modulesWhy(trace) : null, own),
      { ...facts, divergence, distance: gauge?.distance() ?? null, trace },
    ),
    gauge,
    // Ended otherwise after the same tokens: no margin tells whether rounding could have done it.
    chosenOtherwise: found === 'tokens-differ' && (walked.chosenOtherwise || tokenStep === null),
  };
}

/** What opened bodies say more of. */
const OPENED: readonly Agreement[] = [
  ...(['tokens-differ', 'text-differs', 'logprobs-differ', 'modules-differ'] as const),
  'values-differ',
  'vector-differs',
];

/** By how much log-probabilities differ whose tokens are not told: there are no steps to walk. */
function toldWhy(left: readonly Channel[], right: readonly Channel[]): string {
  const [a, b] = [left, right].map((channels) => {
    const told = named(channels, 'told-logprobs');
    return told?.kind === 'nats' ? told.nats : new Float32Array();
  });
  const what = 'of tokens that are not told';
  if (a === undefined || b === undefined || a.length !== b.length)
    return `${a?.length ?? 0} log-probabilities, now ${b?.length ?? 0}, ${what}`;
  const largest = a.reduce((most, one, at) => Math.max(most, Math.abs(one - (b[at] ?? one))), 0);
  return `log-probabilities ${what} differ by up to ${Number(largest.toPrecision(3))} nats`;
}

const differing = ({ left, right }: PairOf<'right'>) =>
  compareChannels(left, right).flatMap(({ rule, outcome }) => (outcome === 'differs' ? [rule.name] : []));

/** Channels that a program named itself and that differ, the first of them with how. */
const NAMED = 5;

/** What of the channels that a program named itself is other; null where nothing is. */
function differingOwn({ left, right }: PairOf<'right'>, before: readonly Channel[], now: readonly Channel[]) {
  const differ = compareChannels(left, right).flatMap(({ rule, outcome }) =>
    outcome === 'differs' && isOwn(rule) ? [rule.name] : [],
  );
  const told = differ.slice(0, NAMED).map((name) => {
    const [was, is] = [before, now].map((all) => all.find((one) => one.name === name));
    const how = was && is && differenceOf(was, is, BEFORE_AND_NOW);
    return `${name}: ${how ?? 'other bits'}`;
  });
  const more = differ.length - told.length;
  return joined(...told, more > 0 ? `and ${more} more names` : null);
}

/** Do candidates differ and no chosen token's log-probability? */
function mayTie(pair: PairOf<'right'>): boolean {
  const differ = differing(pair);
  if (pair.left.finishReason !== pair.right.finishReason) return false;
  return differ.includes('top-k') && differ.every((name) => name === 'top-k' || name === 'modules');
}

function modulesWhy({ onlyLeft, onlyRight, differing: found }: TraceDifference): string | null {
  if (onlyLeft.length > 0 || onlyRight.length > 0) return 'the two have other modules';
  return found === 0 ? 'the same modules ran in another order' : null;
}

async function tails(pair: PairOf<'rightTail'>, left: Reader, right: Reader): Promise<Found> {
  const decoded = stepsOf(await left.readBody(pair.left.body));
  const tail = tailOf(decoded, stepsOf(await right.readBody(pair.rightTail.body)));
  if (typeof tail === 'string') return plain(pair, 'unmeasured', tail);
  const { cut } = tail;
  const note = cut === 0 ? null : `${cut} decoded tokens lie beyond the longest sequence that is scored`;
  const walked = walk(tail.left, tail.right);
  if (walked.logprobStep !== null) {
    const { gauge, profile } = gaugeOf(tail.left, tail.right);
    const names = await Promise.all([left.names(pair.left), right.names(pair.rightTail)]);
    return {
      // The same tokens: there is no fork.
      ...plain(pair, 'logprobs-differ', joined(note, why(walked, null, gauge)), {
        divergence: divergenceOf(tail.left, tail.right, walked, profile, names),
        distance: gauge.distance(),
      }),
      gauge,
    };
  }
  const nans = Math.max(nansOf(tail.left), nansOf(tail.right));
  if (nans > 0)
    return plain(pair, 'unmeasured', joined(note, `${nans} log-probabilities are NaN: the model is broken`));
  const gauge = new Gauge();
  gauge.addEqual(walked.steps, Math.min(tail.left.k, tail.right.k));
  return { ...plain(pair, 'identical', joined(note, tied(walked))), gauge };
}

function divergenceOf(
  left: Steps,
  right: Steps,
  { logprobStep, logprobSteps, tokenStep, steps, largestNats, strip }: Walk,
  profile: readonly number[] | null,
  names: readonly [Names, Names],
): Divergence {
  const looked = tokenStep ?? logprobStep;
  return {
    logprobStep,
    logprobSteps,
    tokenStep,
    steps,
    largestNats,
    fork: tokenStep === null ? null : forkAt(left, right, tokenStep, names),
    strip,
    profile,
    parting: logprobStep === null ? null : partingAt(left, right, logprobStep, names),
    passage: looked === null ? null : passageAt(left, right, looked, names),
  };
}

function why(walked: Walk, fork: Fork | null, gauge: Gauge | null): string | null {
  const unbounded = Math.max(walked.unbounded, gauge?.unbounded ?? 0);
  return joined(
    unbounded === 0 ? null : `${unbounded} log-probabilities are infinite or NaN on one side only`,
    !walked.chosenOtherwise
      ? null
      : fork?.left.tie === 'exact'
        ? 'two tokens tie exactly, and the other one was chosen'
        : 'from the very same log-probabilities another token was chosen: not rounding but sampling changed',
  );
}

const tied = ({ ties }: Walk): string | null =>
  ties === 0 ? null : `at ${ties} steps another of several equally probable tokens is listed last`;

function gaugeOf(left: Steps, right: Steps) {
  const gauge = new Gauge();
  const profile = gauge.add(left, right);
  return { gauge, profile };
}

function equalGauge(observation: Observation): Gauge {
  const gauge = new Gauge();
  gauge.addEqual(countOf(observation, 'tokens'), countOf(observation, 'top-k'));
  return gauge;
}

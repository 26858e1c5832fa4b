import type { Body } from '../record/body.ts';
import type { Observation } from '../record/schema.ts';
import { agreement, joined, traceAgreement } from './agreement.ts';
import { Gauge } from './distance.ts';
import { forkAt, type Names, partingAt, passageAt, type Walk, walk } from './divergence.ts';
import { dtypeOf } from './dtype.ts';
import { nansOf, tailOf } from './tail.ts';
import { traceDifference } from './trace.ts';
import type { Agreement, Divergence, Finding, Fork, Pair, Side } from './types.ts';

/** What a pair showed, before anybody says whether that is enough. */
export interface Found {
  readonly finding: Omit<Finding, 'holds'>;
  /** Of passes whose tokens are known: how far the two are apart, equal ones included. */
  readonly gauge: Gauge | null;
  /** Tokens part although rounding cannot have parted them. */
  readonly chosenOtherwise: boolean;
}

/** A record whose vocabulary is read once, and not before a fork needs it. */
export interface Reader extends Pick<Side, 'readBody' | 'readModules'> {
  names(observation: Observation): Promise<Names>;
}

export function reader(side: Side): Reader {
  let texts: ReturnType<Side['readVocabulary']> | undefined;
  const dtypes = new Map(side.record.lifetimes.map((one) => [one.lifetime, dtypeOf(one)]));
  return {
    readBody: (digest) => side.readBody(digest),
    readModules: (digest) => side.readModules(digest),
    async names({ lifetime }) {
      texts ??= side.readVocabulary();
      return { texts: await texts, dtype: dtypes.get(lifetime) ?? null };
    },
  };
}

/** @param shallow the agreement alone: bodies are opened only where digests do not decide it */
export async function examine(pair: Pair, left: Reader, right: Reader, shallow = false): Promise<Found> {
  if ('only' in pair) return plain(pair, pair.only, null);
  if ('unmeasured' in pair) return plain(pair, 'unmeasured', pair.unmeasured);
  if ('leftTrace' in pair) return await traces(pair, left, right, shallow);
  if ('rightTail' in pair) return await tails(pair, left, right);
  return await observations(pair, left, right, shallow);
}

function plain(pair: Pair, found: Agreement, reason: string | null, more: Partial<Finding> = {}): Found {
  return {
    finding: {
      prompt: pair.prompt,
      kind: pair.kind,
      agreement: found,
      textIdentical: null,
      divergence: null,
      distance: null,
      trace: null,
      ...more,
      reason: joined(pair.note, reason),
    },
    gauge: null,
    chosenOtherwise: false,
  };
}

type PairOf<K extends string> = Extract<Pair, Readonly<Record<K, unknown>>>;

async function traces(
  pair: PairOf<'leftTrace'>,
  left: Reader,
  right: Reader,
  shallow: boolean,
): Promise<Found> {
  const { agreement: found, reason } = traceAgreement(pair.leftTrace, pair.rightTrace);
  if (found !== 'modules-differ' || shallow) return plain(pair, found, reason);
  const trace = traceDifference(
    await left.readModules(pair.leftTrace.body),
    await right.readModules(pair.rightTrace.body),
  );
  const others = trace.onlyLeft.length > 0 || trace.onlyRight.length > 0;
  const why = others
    ? 'the two models have other modules'
    : trace.differing === 0
      ? 'the same modules ran in another order'
      : null;
  return plain(pair, found, joined(reason, why), { trace });
}

async function observations(
  pair: PairOf<'right'>,
  left: Reader,
  right: Reader,
  shallow: boolean,
): Promise<Found> {
  const { agreement: found, reason } = agreement(pair.left, pair.right);
  const known = pair.kind === 'force' || pair.kind === 'score';
  const textIdentical = known ? null : pair.left.text.sha256 === pair.right.text.sha256;
  const parted = found === 'tokens-differ' || found === 'logprobs-differ';
  // Ties at the k-th place differ in digests and not in what they mean: only bodies tell.
  const mayTie = found === 'logprobs-differ' && pair.left.logprobs.sha256 === pair.right.logprobs.sha256;
  // Equal digests are decided without opening a body.
  if (!parted || (shallow && !mayTie)) {
    const gauge = known && found === 'identical' ? equalGauge(pair.right) : null;
    return { ...plain(pair, found, reason, { textIdentical }), gauge };
  }
  const [a, b] = await Promise.all([left.readBody(pair.left.body), right.readBody(pair.right.body)]);
  const walked = walk(a, b);
  const nans = pair.left.logprobs.nans + pair.right.logprobs.nans;
  if (mayTie && walked.logprobStep === null && walked.ties > 0)
    return {
      ...plain(pair, nans > 0 ? 'unmeasured' : 'identical', joined(reason, tied(walked)), { textIdentical }),
      gauge: known && nans === 0 ? equalGauge(pair.right) : null,
    };
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
    ...plain(pair, found, joined(reason, damaged, why(walked, divergence.fork, gauge)), {
      textIdentical,
      divergence,
      distance: gauge?.distance() ?? null,
    }),
    gauge,
    // Ended otherwise after the same tokens: no margin tells whether rounding could have done it.
    chosenOtherwise: found === 'tokens-differ' && (walked.chosenOtherwise || tokenStep === null),
  };
}

async function tails(pair: PairOf<'rightTail'>, left: Reader, right: Reader): Promise<Found> {
  const decoded = await left.readBody(pair.left.body);
  const tail = tailOf(decoded, await right.readBody(pair.rightTail.body));
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
  left: Body,
  right: Body,
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

function gaugeOf(left: Body, right: Body) {
  const gauge = new Gauge();
  const profile = gauge.add(left, right);
  return { gauge, profile };
}

function equalGauge({ tokens, topK }: Observation): Gauge {
  const gauge = new Gauge();
  gauge.addEqual(tokens.count, topK.k);
  return gauge;
}

import type { BaselineMeta } from '../baseline/port.ts';
import { acceptances, acceptedBy, type Outcomes } from '../compare/acceptance.ts';
import { compare } from '../compare/compare.ts';
import { type BaselineState, type Judgement, judge, onlyLeaving } from '../compare/conclusion.ts';
import { compareProbes } from '../compare/probes.ts';
import { comparesWithBaseline } from '../compare/relations/index.ts';
import type { RelationResult } from '../compare/types.ts';
import { LIST_DIGEST } from '../issues/index.ts';
import { likenesses } from '../issues/match.ts';
import { countOf } from '../record/channels.ts';
import { devicesName } from '../record/devices.ts';
import { healthOf } from '../record/health.ts';
import { outcomeDigest, outcomeDigests } from '../record/outcome.ts';
import type { PassKind, RunRecord } from '../record/schema.ts';
import { leavingIn, passesOf } from '../record/select.ts';
import type { Side } from '../record/side.ts';
import { coverage, coverageOfProbes } from './coverage.ts';
import { differences, environmentOf } from './environment.ts';
import { plain } from './plain.ts';
import type { Asked, BaselineView, Context, Derived, ReportedRelation } from './schema.ts';

/** All that the derived part of a report follows from. */
export interface Ground {
  readonly mode: Context['mode'];
  readonly asked: Asked;
  readonly baseline: BaselineView['kind'];
  readonly record: RunRecord;
  readonly before: { readonly record: RunRecord; readonly meta: BaselineMeta } | undefined;
  readonly relations: readonly RelationResult[];
}

/** Compares as the mode asks. A refresh agrees with itself or not, whatever the old baseline showed. */
export async function compareAsked(
  mode: Context['mode'],
  { claims }: Pick<Asked, 'claims'>,
  run: Side,
  before: Side | undefined,
): Promise<RelationResult[]> {
  switch (mode) {
    case 'check':
      return await compare(run, before, claims);
    case 'refresh': {
      const own = claims.filter(({ relation }) => !comparesWithBaseline(relation));
      const old = claims.filter(({ relation }) => comparesWithBaseline(relation));
      return [...(await compare(run, undefined, own)), ...(await compare(run, before, old))];
    }
  }
}

/** Pure: the same ground gives the same report, which is what `verify` rests on. */
export function derive({ mode, asked, baseline, record, before, relations }: Ground): Derived {
  const { suite, hardwareClass, lifetimes, observations } = record;
  const outcomes: Outcomes = {
    hardwareClass,
    run: outcomeDigests(record),
    baseline: before?.meta.envelope.digests ?? [],
  };
  const standing = acceptances(asked.accept, outcomes);
  const by = acceptedBy(standing, outcomes);
  const health = healthOf(record);
  const leaving = leavingIn(record);
  const { conclusion, verdict } = concluded({
    ...{ mode, policy: asked.policy, baseline, relations, health, leaving },
    ...{ isCompared: before !== undefined, isAccepted: by !== undefined },
  });
  const strange = new Set(outcomes.run.filter((outcome) => !outcomes.baseline.includes(outcome)));
  const [acceptable] = strange;
  const held = relations.find(({ relation }) => relation === 'baseline')?.requirement;
  const accepted =
    by !== undefined && conclusion === 'drift' ? { record: by.record, reason: by.reason } : null;
  const sum = (...kinds: readonly PassKind[]) => {
    const passes = new Set(
      passesOf(record, {})
        .filter(({ pass }) => kinds.includes(pass.kind))
        .map(({ lifetime, pass }) => `${lifetime.lifetime}/${pass.pass}`),
    );
    return observations
      .filter(({ lifetime, pass }) => passes.has(`${lifetime}/${pass}`))
      .reduce((total, one) => total + countOf(one, 'tokens'), 0);
  };
  const probes = compareProbes(before?.record, record);
  const changes = before === undefined ? [] : differences(before.record, record).changes;
  const derived: Derived = {
    conclusion,
    verdict,
    suite: {
      name: suite.name,
      digest: suite.digest,
      sampled: suite.prompts.flatMap(({ id, sampling }) => ((sampling?.temperature ?? 0) > 0 ? [id] : [])),
      leaving,
    },
    hardwareClass,
    createdAt: record.createdAt,
    outcome: outcomeDigest(record),
    acceptances: standing,
    accepted,
    // Where bits may move or there are several outcomes, the one that was seen may never come again; nor will it once
    // the prompts are gone that leave.
    acceptable:
      conclusion === 'drift' &&
      accepted === null &&
      strange.size === 1 &&
      held === 'identical' &&
      leaving.length === 0
        ? (acceptable ?? null)
        : null,
    ...(health === undefined ? {} : { health }),
    environment: environmentOf(record),
    relations,
    changes,
    coverage: [...coverage(record), ...coverageOfProbes(probes)],
    ...(probes && { probes }),
    knownIssues: { list: LIST_DIGEST, alike: likenesses({ record, relations, changes }) },
    yardstick: before?.meta.yardstick ?? [],
    work: {
      prompts: suite.prompts.length,
      texts: suite.texts.length,
      lifetimes: lifetimes.length,
      tokens: sum('generate', 'force'),
      positions: sum('score'),
      seconds: passesOf(record, {}).reduce((total, { pass }) => total + pass.seconds, 0),
      ...startsOf(lifetimes),
    },
  };
  // The JSON form of these types is within the same types: the report's allow for the names of what is not finite.
  return plain(derived) as Derived;
}

/** Of all starts, or of none: half of a price is none. */
function startsOf(lifetimes: RunRecord['lifetimes']): Pick<Derived['work'], 'starts'> {
  const starts = lifetimes.flatMap(({ lifetime, start, phases, devices }) => {
    if (start === undefined || phases === undefined) return [];
    const on = devices === undefined ? undefined : devicesName(devices);
    return [{ lifetime, how: start.how, ...(on === undefined ? {} : { on }), phases }];
  });
  return starts.length > 0 && starts.length === lifetimes.length ? { starts } : {};
}

/** What a run comes to, by what its relations showed. */
export function concluded({
  mode,
  policy,
  baseline,
  relations,
  health,
  leaving,
  isCompared,
  isAccepted,
}: {
  readonly mode: Context['mode'];
  readonly policy: Asked['policy'];
  readonly baseline: BaselineView['kind'];
  readonly relations: readonly Pick<
    ReportedRelation,
    'relation' | 'requirement' | 'status' | 'decision' | 'findings'
  >[];
  readonly health: Derived['health'];
  /** Prompts that only the base branch's suite asks so. */
  readonly leaving: readonly string[];
  readonly isCompared: boolean;
  readonly isAccepted: boolean;
}): Judgement {
  // An old baseline that a refresh only looks at, since it is about to be replaced, is held to nothing.
  const gone = new Set(leaving);
  const judged = relations
    .filter(
      ({ relation, requirement }) =>
        mode === 'check' || !comparesWithBaseline(relation) || requirement !== 'measure',
    )
    .map((relation) => ({ ...relation, onlyLeaving: onlyLeaving(relation.findings, gone) }));
  const gpus = health?.state === 'unhealthy' ? 'unhealthy' : 'trusted';
  const { conclusion, verdict } = judge(judged, stateOf(baseline, isCompared), policy, isAccepted, gpus);
  // Whoever asked for a baseline and got none must not read that all is well.
  if (baseline === 'not-stored') return { conclusion, verdict: 'fail' };
  // Stored all the same: of an endpoint, as far as it could be witnessed.
  const isWitnessed = mode === 'check' || conclusion !== 'unmeasured';
  return { conclusion, verdict: isWitnessed ? verdict : 'warn' };
}

function stateOf(kind: BaselineView['kind'], compared: boolean): BaselineState {
  switch (kind) {
    case 'found':
    case 'incomparable':
    case 'absent':
      return kind;
    case 'not-asked':
      return 'not-asked';
    // A refresh: held to the old baseline, if at all.
    case 'stored':
    case 'unchanged':
    case 'dry-run':
    case 'not-stored':
      return compared ? 'found' : 'not-asked';
  }
}

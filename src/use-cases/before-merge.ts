import type { RunBefore } from '../baseline/port.ts';
import { acceptances, acceptedBy } from '../compare/acceptance.ts';
import { compare } from '../compare/compare.ts';
import { comparesWithBaseline, startsFor } from '../compare/conclusion.ts';
import { falseAlarm } from '../compare/decision.ts';
import type { Claim } from '../compare/types.ts';
import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import type { RefreshSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { healthOf } from '../record/health.ts';
import { outcomeDigests } from '../record/outcome.ts';
import type { RunRecord } from '../record/schema.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import { differences } from '../report/environment.ts';
import { recordPathOf } from '../report/paths.ts';
import type { Notice, Report } from '../report/schema.ts';
import { makePlan, type Plan } from '../run/plan.ts';
import { percentUp } from '../words/figures.ts';
import type { Begun, Prepared } from './begin.ts';
import { whole } from './merge.ts';
import { verify } from './verify.ts';

/*
 * After a merge, one engine start confirms what the pull request's own runs gave. What is stored is measured here; of those
 * runs only the number of starts is taken, which is what bounds later false alarms.
 */

/** A pull request is checked at each push. */
const MAX_RUNS = 16;

/** A run whose engine starts all gave what the merged suite accepts. */
interface Vouching {
  readonly run: RunBefore;
  readonly url: string;
  readonly outcome: string;
  readonly record: RunRecord;
}

/** What is there to be confirmed, by how many engine starts of this run's own. */
export interface BeforeMerge {
  readonly vouching: readonly Vouching[];
  readonly pullRequest: number | null;
  readonly starts: number;
}

type Asked = Pick<Tools, 'console' | 'signal' | 'open' | 'reports' | 'records'>;

/** Of what does not hold, the log says why, and all engine starts are made. */
export async function beforeMerge(
  prepared: Prepared,
  begun: Begun,
  settings: RefreshSettings,
  tools: Asked,
): Promise<BeforeMerge> {
  const { plan, permission } = prepared;
  const none: BeforeMerge = { vouching: [], pullRequest: null, starts: plan.lifetimes };
  if (settings.promote === undefined) return none;
  const { promote: path } = settings;
  const { console } = tools;
  if (permission.stores !== 'accepted') {
    console.info('`promote` counts on a push alone: nobody has merged anything here.');
    return none;
  }
  return await console.section('Before the merge', async () => {
    const pullRequest = await pullRequestOf(settings, tools);
    const paths = await tools.reports.find(path, 0);
    if (pullRequest === null || paths.length === 0) {
      console.info(
        pullRequest === null
          ? 'GitHub names no pull request that brought this commit: all engine starts are made.'
          : `${path} holds no report: all engine starts are made.`,
      );
      return none;
    }
    const found = new Map<string, Vouching>();
    for (const one of paths.slice(0, MAX_RUNS)) {
      tools.signal.throwIfAborted();
      const seen = await vouchingOf(one, pullRequest, prepared, begun, settings, tools);
      if (typeof seen === 'string') console.info(`${excerpt(one, 200)} does not count: ${seen}.`);
      // The same file twice is one run.
      else found.set(seen.run.recordFile, seen);
    }
    const [first] = found.values();
    const vouching = [...found.values()].filter(({ outcome }) => outcome === first?.outcome);
    return { vouching, pullRequest, starts: Math.max(1, plan.lifetimes - startsOf(vouching)) };
  });
}

const startsOf = (vouching: readonly Vouching[]) => vouching.reduce((sum, { run }) => sum + run.lifetimes, 0);

/** Or why it is none. */
async function vouchingOf(
  path: string,
  pullRequest: number,
  prepared: Prepared,
  begun: Begun,
  { job }: RefreshSettings,
  tools: Asked,
): Promise<Vouching | string> {
  try {
    const report = await whole(path, undefined, tools.reports);
    const { run, mode } = report.context;
    if (mode !== 'check') return 'it is no check';
    if (run.repository !== job.repository || run.fork === true) return 'it is of another repository';
    if (report.suite.name !== prepared.plan.suite.name) return 'it is of another suite';
    if (report.hardwareClass !== begun.run.hardwareClass)
      return `it is of ${excerpt(report.hardwareClass, 128)}`;
    const isOf = await tools.open.github().isRunOf(run.id, pullRequest);
    if (isOf.kind !== 'yes')
      return isOf.kind === 'no'
        ? `run ${excerpt(run.id, 40)} is none of pull request ${pullRequest}, from a branch of this repository`
        : `GitHub does not tell whose run ${excerpt(run.id, 40)} is (${isOf.why})`;
    const { agrees } = await verify({ reportPath: path }, tools);
    if (!agrees) return 'it does not follow from the record beside it';
    return await vouchedBy(report, await tools.records.open(recordPathOf(path)), prepared, begun);
  } catch (error) {
    if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
    return excerpt(error.message.replace(/\.$/, ''), 300);
  }
}

async function vouchedBy(
  { context: { run } }: Report,
  side: OpenedRecord,
  { loaded, plan }: Prepared,
  { run: own, before }: Begun,
): Promise<Vouching | string> {
  const { record } = side;
  const outcomes = outcomeDigests(record);
  const [outcome] = outcomes;
  if (outcome === undefined || outcomes.some((one) => one !== outcome)) return 'its engine starts disagree';
  const told = {
    hardwareClass: own.hardwareClass,
    run: outcomes,
    baseline: before?.meta.envelope.digests ?? [],
  };
  if (acceptedBy(acceptances(loaded.suite.accept, told), told) === undefined)
    return 'the suite does not accept its record';
  if (record.lifetimes.some(({ perturbed }) => perturbed !== null)) return 'its model was changed on purpose';
  const state = healthOf(record)?.state ?? 'healthy';
  if (state === 'unhealthy' || state === 'warning') return 'a GPU of its was not healthy';
  // One start here shows nothing of several: there they must have shown it.
  const several = plan.claims.filter(isOfSeveral);
  const shown = await compare(side, undefined, several);
  const missing = shown.find(({ status }) => status === 'broken' || status === 'unmeasured');
  if (missing !== undefined) return `\`${missing.relation}\` is ${missing.status} in it: ${missing.evidence}`;
  const { id: runId, attempt: runAttempt, url } = run;
  return {
    run: { runId, runAttempt, recordFile: side.sha256, lifetimes: outcomes.length },
    ...{ url, outcome, record },
  };
}

const isOfSeveral = ({ relation }: Claim) => !comparesWithBaseline(relation) && startsFor(relation) > 1;

/**
 * Those that this run confirms, by the same bits in the same environment. None where they do not come to as many engine
 * starts as a refresh makes by itself.
 */
export function confirmed(
  { vouching }: BeforeMerge,
  { record }: Side,
  { lifetimes }: Plan,
  { console }: Pick<Tools, 'console'>,
): readonly Vouching[] {
  const outcomes = outcomeDigests(record);
  const same = vouching.filter(({ run, outcome, record: theirs }) => {
    const why = outcomes.some((one) => one !== outcome)
      ? 'the engine gave other bits after the merge'
      : otherIn(theirs, record);
    if (why !== undefined) console.info(`Run ${excerpt(run.runId, 40)} does not count: ${why}.`);
    return why === undefined;
  });
  return outcomes.length + startsOf(same) >= lifetimes ? same : [];
}

/** Another card of the class is none: a refresh takes its starts to several too. */
function otherIn(theirs: RunRecord, ours: RunRecord): string | undefined {
  const [first] = differences(theirs, ours).changes.filter(
    ({ field }) => !/^gpus\[\d+\]\.uuidHash$/.test(field),
  );
  return first === undefined
    ? undefined
    : `\`${excerpt(first.field, 100)}\` was ${excerpt(first.before, 100)} there, and is ${excerpt(first.after, 100)} here`;
}

/** Relations of several engine starts: shown before the merge, where one start was all that was made here. */
export const withinStarts = (claims: readonly Claim[], starts: number): readonly Claim[] =>
  claims.filter((claim) => !isOfSeveral(claim) || startsFor(claim.relation) <= starts);

export function confirmedNotice(
  vouching: readonly Vouching[],
  { starts: own, pullRequest }: BeforeMerge,
  { loaded }: Prepared,
): Notice {
  const starts = startsOf(vouching);
  const later = makePlan(loaded, 'check');
  const chance = falseAlarm(later.lifetimes + later.confirm, own + starts);
  const runs = vouching.map(({ run, url }) => (url === '' ? run.runId : url)).join(', ');
  return {
    level: 'notice',
    title: 'Confirmed after the merge',
    message: [
      `${counted(own, 'engine start')} here gave, bit for bit, what ${counted(starts, 'start')} of pull request #${pullRequest} had given, in the same environment (${excerpt(runs, 500)}).`,
      `The baseline counts ${own + starts}.`,
      chance === null
        ? 'Nothing bounds how often a later check calls an engine drifted that did not change (`policy: { confirm }`).'
        : `A later check calls an engine that did not change drifted with a chance of at most ${percentUp(chance)}, if engine starts are independent.`,
    ].join(' '),
  };
}

/** Which pull request the merge brought; null where GitHub does not tell, which is no reason to lose the record. */
export async function pullRequestOf(
  { situation }: RefreshSettings,
  { open, console }: Pick<Tools, 'open' | 'console'>,
): Promise<number | null> {
  try {
    return (await open.github().pullRequestOf(situation.commit)) ?? null;
  } catch (error) {
    if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
    console.info(`The pull request that brought this stays unnamed: ${error.message}`);
    return null;
  }
}

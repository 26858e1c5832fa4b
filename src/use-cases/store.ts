import type { BaselineKey } from '../baseline/port.ts';
import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import type { Asks, MergeSettings, RefreshSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import { outcomeDigest } from '../record/outcome.ts';
import type { Answer } from '../report/answer.ts';
import type { StoreAnswer } from '../report/answers.ts';
import { recordPathOf } from '../report/paths.ts';
import type { Report } from '../report/schema.ts';
import { makePlan } from '../run/plan.ts';
import { type Based, basedOn } from '../trust/ancestry.ts';
import { permit } from '../trust/events.ts';
import { loadRuled } from '../trust/judge.ts';
import { metaOf } from '../trust/provenance.ts';
import { whole } from './merge.ts';
import { verify } from './verify.ts';

type Asked = Pick<Tools, 'console' | 'signal' | 'open' | 'suiteSchema' | 'records' | 'reports'>;

/** One baseline that is ready to be stored: nothing was written yet. */
interface Ready {
  readonly report: Report;
  /** Of the record, which becomes the baseline. */
  readonly folder: string;
  readonly key: BaselineKey;
  readonly store: ReturnType<Tools['open']['store']>;
  readonly based: Based;
}

/**
 * Stores what dry runs of `refresh` in other jobs of this run have measured, one for each suite and hardware class: all of
 * it or nothing. Each report is derived anew from its record, whose bodies are digested, and held to the suite and the
 * baseline as they are now, before the first one is stored.
 *
 * @throws UserError `reports-missing`, `report-invalid`, `report-unverified`, `suite-changed`, `store-refused`, and what
 * `loadRuled` and the store throw
 */
export async function store(
  settings: RefreshSettings & MergeSettings & Asks<'store'>,
  tools: Asked,
): Promise<Answer> {
  const { reports: path, expected, situation, job } = settings;
  // Before anything is read: whoever may not store is told so whatever lies there.
  permit(settings.mode, situation, 'any', [situation.ref]);
  await using owned = new AsyncDisposableStack();
  const run = situation.door === 'terminal' ? undefined : { id: job.run, attempt: job.attempt };
  const read = new Map<string, Report>();
  for (const one of await tools.reports.find(path, expected))
    read.set(one, await whole(one, run, tools.reports, 'refresh'));
  demandEach([...read.values()]);
  const ready: Ready[] = [];
  const same: Report[] = [];
  await tools.console.section('Look at all', async () => {
    for (const [one, report] of read) {
      tools.signal.throwIfAborted();
      const found = await look(one, report, settings, tools, owned);
      if (found === 'unchanged') same.push(report);
      else ready.push(found);
      tools.console.info(`${nameOf(report)}: ${found === 'unchanged' ? 'nothing changed' : 'ready'}`);
    }
  });
  const keys = await tools.console.section('Store', () => storeAll(ready, settings, tools));
  const value: StoreAnswer = {
    schema: 'deterministic-ml/store/v1',
    stored: ready.map(({ report: { suite, hardwareClass } }, at) => ({
      ...{ suite: suite.name, hardwareClass, key: keys[at] ?? '' },
    })),
    unchanged: same.map(({ suite, hardwareClass }) => ({ suite: suite.name, hardwareClass })),
  };
  return {
    verdict: 'pass',
    value,
    lines: [
      ...value.stored.map(({ suite, hardwareClass, key }) => `  ${suite} on ${hardwareClass}: ${key}`),
      ...same.map((report) => `  ${nameOf(report)}: nothing changed, the old baseline stays`),
      `Stored ${counted(ready.length, 'baseline')} of ${read.size} ${read.size === 1 ? 'refresh' : 'refreshes'}, for “${settings.reason}”.`,
    ],
  };
}

const nameOf = ({ suite, hardwareClass }: Report) => `${suite.name} on ${hardwareClass}`;

const refused = (what: string, why: string, remedy: string) =>
  new UserError(
    'store-refused',
    `Nothing was stored, of no suite and no hardware class: ${what} ${why}.`,
    remedy,
  );

/** Every one of them must have come to a baseline, or to the one that there is. */
function demandEach(reports: readonly Report[]): void {
  const seen = new Set<string>();
  for (const report of reports) {
    const name = nameOf(report);
    if (seen.has(name))
      throw refused(name, 'is there twice', 'Let one job refresh each suite on each hardware class.');
    seen.add(name);
    const { baseline } = report.context;
    switch (baseline.kind) {
      case 'dry-run':
      case 'unchanged':
        continue;
      case 'not-stored':
        throw refused(
          name,
          `came to none: ${baseline.reason.replace(/\.$/, '')}`,
          'See its report, and refresh anew.',
        );
      case 'stored':
        throw refused(
          name,
          'has stored its own already',
          'Give its refresh `dry-run: true`, so that all are stored here.',
        );
      case 'found':
      case 'incomparable':
      case 'absent':
      case 'not-asked':
        throw refused(name, 'came to none', 'See its report, and refresh anew.');
    }
  }
}

/** All that can be known of one before anything is stored. */
async function look(
  path: string,
  report: Report,
  settings: RefreshSettings & Asks<'store'>,
  tools: Asked,
  owned: AsyncDisposableStack,
): Promise<Ready | 'unchanged'> {
  const name = nameOf(report);
  const suite = report.context.places.file;
  const ruled = await loadRuled({ ...settings, suite }, tools);
  // A push and a schedule bring no reason of a person's, which is what stands for all of them.
  if (ruled.permission.stores !== 'reasoned')
    throw new UserError(
      'refresh-not-allowed',
      `Mode \`${settings.mode.name}\` was started by the event \`${settings.situation.event}\`, and stores what a person gives a reason for.`,
      'Start it by `workflow_dispatch`, with a reason.',
    );
  const { loaded } = ruled;
  if (makePlan(loaded, 'refresh').suite.digest !== report.suite.digest)
    throw new UserError(
      'suite-changed',
      `${suite} is another suite than the one that was measured (${name}): nothing was stored.`,
      'Check out the same commit in all jobs of the run.',
    );
  const { agrees, disagreements } = await verify({ reportPath: path }, tools);
  const [first] = disagreements;
  if (!agrees)
    throw new UserError(
      'report-unverified',
      `${path} does not follow from its record: ${first === undefined ? 'something differs' : `\`${first.path}\` is ${first.derived}, and it says ${first.reported}`}. Nothing was stored.`,
      'Hand over record, report and baseline as the refresh left them: `<record>`, `<record>.report.json`, `<record>.baseline`.',
    );
  const store = tools.open.store(loaded.suite.baseline, ruled.branches);
  store.assertWritable();
  const { hardwareClass } = report;
  const query = { suite: loaded.suite.name, hardwareClass };
  const based = await basedOn(ruled, store, query, settings, tools, owned);
  const { trusted } = based;
  const [now, then] = [trusted.kind === 'found' ? trusted.side.sha256 : null, report.digests.baselineRecord];
  if (now !== then)
    throw refused(
      name,
      now === null
        ? 'was compared with a baseline that is gone'
        : 'was compared with another baseline than there is now',
      'Another refresh may have stored one in the meantime. Look at it, and refresh all anew if you still want to.',
    );
  if (report.context.baseline.kind === 'unchanged') return 'unchanged';
  const folder = recordPathOf(path);
  const { record } = await tools.records.open(folder);
  const { run: runId, attempt: runAttempt } = settings.job;
  return {
    report,
    folder,
    store,
    based,
    key: { ...query, runId, runAttempt, record: outcomeDigest(record) },
  };
}

/** One after another; an outage in the middle is told with what is stored by then. */
async function storeAll(
  ready: readonly Ready[],
  settings: RefreshSettings,
  { records, signal, console }: Asked,
): Promise<readonly string[]> {
  const keys: string[] = [];
  for (const { folder, key, store, based, report } of ready)
    try {
      signal.throwIfAborted();
      const before = based.trusted.kind === 'found' ? based.trusted : undefined;
      const side = await records.open(folder);
      const { reason } = settings;
      const now = new Date();
      const meta = metaOf(settings, { side, before, reason, now, pullRequest: null, yardstick: [] });
      await records.addMeta(folder, meta);
      keys.push(await store.save(key, folder, based.newest));
      console.info(`${nameOf(report)}: stored`);
    } catch (error) {
      if (!(error instanceof UserError) || keys.length === 0) throw error;
      throw new UserError(
        error.code,
        `${error.message} Until then ${counted(keys.length, 'baseline')} of ${ready.length} had been stored: ${ready
          .slice(0, keys.length)
          .map((one) => nameOf(one.report))
          .join(', ')}.`,
        `${error.hint} What is stored counts; a new run finds it unchanged, and stores the rest.`,
        { cause: error },
      );
    }
  return keys;
}

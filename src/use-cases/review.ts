import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import { within } from '../inert.ts';
import type { ReviewSettings } from '../job/settings.ts';
import type { Ask, Keys, Tools } from '../job/tools.ts';
import type { Answer } from '../report/answer.ts';
import type { ReviewAnswer } from '../report/answers.ts';
import type { Report } from '../report/schema.ts';
import { refusalOf } from '../words/accept.ts';
import { answerOf, promptLine } from '../words/answer.ts';
import { read } from '../words/reading.ts';
import { cardLines, type Drift, keyLine, moreLines, nameOf } from '../words/review.ts';
import { accept, isAccepted } from './accept.ts';
import { whole } from './merge.ts';
import { afterAccepting, begin, press, settledBy, type Walk } from './walk.ts';

type Asked = Pick<Tools, 'console' | 'open' | 'reports' | 'records' | 'signal' | 'suiteSchema'>;

/** Whatever a report holds, it stays on one line of its own. */
const MAX_LINE = 1900;

/** A report that was read, and where it lies. */
interface Found {
  readonly path: string;
  readonly report: Report;
}

/**
 * Walks through the drifts of a folder of reports, one key each, where somebody sits at a terminal; else lists them. What
 * it accepts it writes as `accept` does, with a reason for each record.
 *
 * @throws UserError `reports-missing`, `report-invalid` for more than can be shown, `cancelled`
 */
export async function review(settings: ReviewSettings, tools: Asked): Promise<Answer> {
  const { found, unread } = await reports(settings, tools);
  const drifting = found.filter(
    ({ report }) =>
      report.conclusion === 'drift' && report.accepted === null && read(report).drifted.length > 0,
  );
  const drifts = drifting.flatMap(({ path, report }) =>
    read(report).drifted.map((drifted, index): Drift => ({ path, report, drifted, index })),
  );
  const start = begin(drifts, await settled(drifts, settings, tools));
  const ask = tools.open.ask();
  const walk = await (async () => {
    using keys = tools.open.keys();
    if (ask === undefined || keys === undefined) return undefined;
    return await walked(start, drifts, { ask, keys }, settings, tools);
  })();

  const { accepted } = walk ?? start;
  const value: ReviewAnswer = {
    schema: 'deterministic-ml/review/v1',
    drifts: drifting.map(({ path, report }) => ({
      ...{ report: path, suite: report.suite.name, hardwareClass: report.hardwareClass },
      record: report.acceptable,
      accepted: accepted.has(settledBy({ report })),
      refused: refusalOf(report)?.message ?? null,
      prompts: read(report).drifted.map((one) => ({ prompt: one.prompt, what: promptLine(one) })),
    })),
    others: found
      .filter((one) => !drifting.includes(one))
      .map(({ path, report }) => ({ report: path, conclusion: report.conclusion })),
    unread,
  };
  const open = value.drifts.filter((one) => !one.accepted);
  return {
    verdict: open.length + unread.length > 0 ? 'warn' : 'pass',
    value,
    lines: [
      ...(walk === undefined ? drifting.flatMap((one) => listed(one, accepted)) : []),
      ...unread.map(({ report, why }) => `Not shown: ${report}: ${why}`),
      summary(value, accepted.size > start.accepted.size),
      ...(walk === undefined && open.length > 0 ? [HOW] : []),
    ],
  };
}

const HOW =
  'On a terminal `deterministic-ml review` walks through these, one key each; `deterministic-ml accept <report> --reason "why"` accepts one here.';

/** Those that can be believed, by suite, hardware and age, and why others cannot. */
async function reports({ reports: path, expected }: ReviewSettings, tools: Asked) {
  const found: Found[] = [];
  const unread: ReviewAnswer['unread'] = [];
  for (const one of await tools.reports.find(path, expected)) {
    tools.signal.throwIfAborted();
    try {
      found.push({ path: one, report: await whole(one, undefined, tools.reports) });
    } catch (error) {
      // Of an older version, perhaps: the others are worth a look.
      if (!(error instanceof UserError) || error.code !== 'report-invalid') throw error;
      unread.push({ report: one, why: error.message });
    }
  }
  const place = ({ report }: Found) => [report.suite.name, report.hardwareClass];
  return {
    found: found.toSorted(
      (a, b) =>
        place(a).join(' ').localeCompare(place(b).join(' '), 'en') ||
        b.report.createdAt.localeCompare(a.report.createdAt, 'en'),
    ),
    unread,
  };
}

/** What the suites of this checkout accept already. */
async function settled(
  drifts: readonly Drift[],
  settings: ReviewSettings,
  { open }: Asked,
): Promise<ReadonlySet<string>> {
  const all = new Set<string>();
  for (const [path, own] of Map.groupBy(drifts, (one) => suiteOf(one, settings))) {
    const suite = await open.suite(path).then(
      (loaded) => loaded.suite,
      // Whoever accepts is told what is wrong with it.
      () => undefined,
    );
    if (suite !== undefined)
      for (const one of own) if (isAccepted(one.report, suite)) all.add(settledBy(one));
  }
  return all;
}

const suiteOf = ({ report }: Pick<Drift, 'report'>, { suite }: ReviewSettings) =>
  suite ?? report.context.places.file;

async function walked(
  start: Walk,
  drifts: readonly Drift[],
  { ask, keys }: { readonly ask: Ask; readonly keys: Keys },
  settings: ReviewSettings,
  tools: Asked,
): Promise<Walk> {
  const tell = (lines: readonly string[]) => {
    for (const line of lines) tools.console.info(within(line, MAX_LINE));
  };
  let walk = start;
  let shown: Drift | undefined;
  for (;;) {
    const here = drifts[walk.at];
    if (here === undefined) return walk;
    if (here !== shown) tell(cardLines(here, walk.at, drifts.length));
    shown = here;
    tell([keyLine(here)]);
    const step = press(walk, await keys.next(), drifts);
    switch (step.kind) {
      case 'go':
        walk = step.walk;
        break;
      case 'more':
        tell(moreLines(here));
        break;
      case 'refuse':
        tell([`${step.refusal.message} ${step.refusal.remedy}`]);
        break;
      case 'accept': {
        const reason = await ask('Why may these bits change? (nothing: not accepted) ');
        if (reason !== '' && (await written(here, reason))) walk = afterAccepting(walk, drifts);
        break;
      }
      case 'unknown':
        break;
      case 'quit':
        return walk;
    }
  }

  /** Whether the line stands in the suite now; what speaks against it is told, and leaves the rest to be reviewed. */
  async function written(drift: Drift, reason: string): Promise<boolean> {
    try {
      const { lines } = await accept(
        { reportPath: drift.path, suite: suiteOf(drift, settings), reason },
        tools,
      );
      tell(lines);
      return true;
    } catch (error) {
      if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
      tell([`${error.code}: ${error.message} ${error.hint}`]);
      return false;
    }
  }
}

/** A report and its prompts, a line each. */
const listed = ({ path, report }: Found, accepted: ReadonlySet<string>): string[] => [
  `${path}: ${read(report).line}${accepted.has(settledBy({ report })) ? '. The suite accepts it already.' : ''}`,
  ...[answerOf(report)].filter((line) => line !== '').map((line) => `  ${line}`),
  ...read(report).drifted.map((one) => `  ${nameOf(one)}: ${promptLine(one)}`),
];

/** `2 drifts, 1 of them accepted; 3 other reports: 2 reproduced, 1 unstable.` */
function summary({ drifts, others }: ReviewAnswer, isWritten: boolean): string {
  const accepted = drifts.filter((one) => one.accepted).length;
  const counts = [...Map.groupBy(others, ({ conclusion }) => conclusion)].map(
    ([conclusion, all]) => `${all.length} ${conclusion}`,
  );
  return [
    drifts.length === 0
      ? 'No drift'
      : `${counted(drifts.length, 'drift')}, ${accepted === 0 ? 'none' : accepted === drifts.length ? 'all' : accepted} accepted`,
    ...(others.length === 0 ? [] : [`; ${counted(others.length, 'other report')}: ${counts.join(', ')}`]),
    '.',
    ...(isWritten ? [' Commit the suite: a check of that commit passes for exactly what it accepts.'] : []),
  ].join('');
}

import { counted } from '../counted.ts';
import { excerpt, markdown } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { causeOf } from './answer.ts';
import { read } from './reading.ts';
import { refreshAllCommand } from './refresh-command.ts';
import { ICON } from './verdict.ts';

/** `Drift: 1 of 3 legs; 2 reproduced`: what several jobs found, the worst first. One alone says its own verdict line. */
export function mergedLine(reports: readonly Report[]): string {
  const [first, ...rest] = reports;
  if (first === undefined) return 'No report';
  if (rest.length === 0) return read(first).line;
  const counts = new Map<string, number>();
  for (const report of reports) {
    const { title } = read(report).words;
    counts.set(title, (counts.get(title) ?? 0) + 1);
  }
  const [[title, count] = ['', 0], ...others] = [...counts];
  const more = others.map(([other, n]) => `; ${n} ${other.toLowerCase()}`).join('');
  const common = commonOf(reports);
  const beside =
    common === undefined || common.changes.length === 0
      ? ''
      : `, ${common.drifts === count ? 'all' : common.drifts} beside the same change: ${uncapital(causeOf(common.changes)[0])}`;
  return `${title}: ${count} of ${counted(reports.length, 'leg')}${beside}${more}`;
}

/** What several drifts that nobody accepted have in common. */
export interface Common {
  /** Two or more. */
  readonly drifts: number;
  /** That stand beside every one of them, with the same values. */
  readonly changes: Report['changes'];
}

/** Asked for on each rung of a ladder: of many changes it takes a while. */
const COMMON = new WeakMap<readonly Report[], { readonly common: Common | undefined }>();

export function commonOf(reports: readonly Report[]): Common | undefined {
  const known = COMMON.get(reports) ?? { common: findCommon(reports) };
  COMMON.set(reports, known);
  return known.common;
}

function findCommon(reports: readonly Report[]): Common | undefined {
  const drifts = reports.filter(({ conclusion, accepted }) => conclusion === 'drift' && accepted === null);
  const [first, ...others] = drifts;
  if (first === undefined || others.length === 0) return undefined;
  const named = ({ field, before, after }: Report['changes'][number]) =>
    JSON.stringify([field, before, after]);
  const told = others.map(({ changes }) => new Set(changes.map(named)));
  return {
    drifts: drifts.length,
    changes: first.changes.filter((change) => {
      const name = named(change);
      return told.every((all) => all.has(name));
    }),
  };
}

export interface CommonWords {
  /** What stands beside all of them, and what to do if it is meant. Not yet inert. */
  readonly cause: string;
  /** Ready to be copied. */
  readonly command: string;
}

/** What to do about the drifts of several legs at once; undefined for less than two. */
export function commonWords(reports: readonly Report[]): CommonWords | undefined {
  const common = commonOf(reports);
  if (common === undefined) return undefined;
  const { drifts, changes } = common;
  const beside =
    changes.length === 0
      ? `No recorded change stands beside all ${drifts} drifts.`
      : `What stands beside all ${drifts} drifts: ${uncapital(causeOf(changes)[0])}.`;
  return {
    cause: `${beside} If they are meant, one run makes new baselines of all legs, or of none, once it is merged:`,
    command: refreshAllCommand(reports),
  };
}

/** The same as paragraphs of GitHub Markdown; none for less than two. */
export function commonParts(reports: readonly Report[]): readonly string[] {
  const words = commonWords(reports);
  return words === undefined
    ? []
    : [markdown(words.cause, 1000), ['```console', words.command, '```'].join('\n')];
}

/** The same as lines. */
export function commonLines(reports: readonly Report[]): readonly string[] {
  const words = commonWords(reports);
  return words === undefined ? [] : [words.cause, words.command];
}

const uncapital = (text: string) => `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`;

/** For a terminal or log: one verdict line each, and where the page lies. */
export function mergedLines({
  reports,
  htmlPath,
}: {
  readonly reports: readonly Report[];
  readonly htmlPath: string;
}): string[] {
  const each =
    reports.length === 1 ? [] : reports.map((report) => `${report.suite.name}: ${read(report).line}`);
  return [...each, mergedLine(reports), ...commonLines(reports), `Page: ${htmlPath}`].map((line) =>
    excerpt(line, 1900),
  );
}

/**
 * Each class of hardware by itself, as a table of GitHub Markdown; of several suites, each by its name.
 *
 * @param max rows
 */
export function legTable(reports: readonly Report[], max: number): string {
  const shown = reports.slice(0, max);
  const left = reports.length - shown.length;
  if (shown.length === 0) return `${counted(reports.length, 'leg')} left out to fit.`;
  const isOne = new Set(reports.map(({ suite }) => suite.name)).size === 1;
  const row = (suite: string, ...cells: readonly string[]) =>
    `| ${[...(isOne ? [] : [suite]), ...cells].join(' | ')} |`;
  return [
    [
      row('suite', 'hardware class', 'verdict'),
      row('---', '---', '---'),
      ...shown.map((report) =>
        row(
          markdown(report.suite.name, 64),
          `<code>${markdown(report.hardwareClass)}</code>`,
          `${ICON[report.verdict]} ${markdown(read(report).line)}`,
        ),
      ),
    ].join('\n'),
    ...(left === 0 ? [] : [`${counted(left, 'leg')} more left out to fit.`]),
  ].join('\n\n');
}

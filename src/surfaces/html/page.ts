import type { Across } from '../../report/across.ts';
import type { Merged } from '../../report/merged.ts';
import type { Report } from '../../report/schema.ts';
import { worstVerdict } from '../../words/brief.ts';
import { commonWords, mergedLine } from '../../words/merged.ts';
import { read } from '../../words/reading.ts';
import { type Draw, distancePart } from './distance.ts';
import { baselinePart, coveragePart, environmentPart } from './environment.ts';
import { capped, type Html, html } from './escape.ts';
import { legsPart } from './explained.ts';
import { framed } from './frame.ts';
import { issuesPart } from './issues.ts';
import { type Level, levelOf } from './level.ts';
import { modulesPart } from './modules.ts';
import { promptsPart } from './prompts.ts';
import { relationsPart } from './relations.ts';
import { reproducePart } from './reproduce.ts';
import { block, GLYPH, verdictPart } from './verdict.ts';

/** Bytes for the prompts of all reports: with everything else around them a page stays below 5 MB. */
const PROMPTS_BYTES = 4 * 1024 * 1024;

const MAX_LINE = 1000;

/**
 * One or several reports as one page that needs nothing else: no script, no font, no picture from elsewhere. Several are the
 * legs of a matrix, each with its own hardware class. The same reports give the same bytes.
 *
 * @param draw their charts, where they have any
 */
export function htmlReport(
  reports: readonly Report[],
  { explained, across }: Pick<Merged, 'explained' | 'across'> = {},
  draw: Draw = undrawn,
): string {
  const budget = Math.floor(PROMPTS_BYTES / Math.max(1, reports.length));
  const [only] = reports;
  const body =
    only === undefined
      ? html`<h1>No report</h1><p>No run left a report to be shown.</p>`
      : reports.length === 1
        ? onePage(only, budget, draw)
        : html`${overview(reports, across)}${explained === undefined ? undefined : legsPart(explained)}${reports.map((report, index) => leg(report, levelOf(index, reports.length), budget, draw))}`;
  return framed(titleOf(reports), body, {
    skip: 'Skip to the verdict',
    madeOf: html`<code>report.json</code>`,
  });
}

const undrawn: Draw = () => {
  throw new Error('a page with a chart, and nobody who draws it');
};

function titleOf(reports: readonly Report[]): string {
  const [only] = reports;
  if (only === undefined) return 'No report';
  return reports.length === 1 ? `${read(only).words.title} · ${only.suite.name}` : mergedLine(reports);
}

function onePage(report: Report, budget: number, draw: Draw): Html {
  const level = levelOf(0, 1);
  const all = parts(report, level, budget, draw);
  return html`${verdictPart(report, level)}
<nav class="contents" aria-label="Contents"><ul>${all.map(
    ({ name, title }) => html`<li><a href="#${level.id(name)}">${title}</a></li>`,
  )}</ul></nav>
${all.map(({ part }) => part)}`;
}

function leg(report: Report, level: Level, budget: number, draw: Draw): Html {
  return html`<article id="${level.id('leg')}" class="leg" aria-labelledby="${level.id('verdict')}">${verdictPart(report, level)}${parts(report, level, budget, draw).map(({ part }) => part)}</article>`;
}

/** Of a matrix: which legs came to what, each a link to its own part. */
function overview(reports: readonly Report[], across: Across | undefined): Html {
  const common = commonWords(reports);
  const verdict = worstVerdict(reports, across);
  return html`<header class="verdict v-${verdict}"><p class="badge"><span aria-hidden="true">${GLYPH[verdict]}</span> ${reports.length} reports</p>
<h1><span class="title tally">${mergedLine(reports)}</span></h1>${across === undefined ? undefined : html`<p class="answer">${capped(across.line, MAX_LINE)}</p>`}${
    common === undefined ? undefined : html`<p>${common.cause}</p>${block([common.command], 'Command')}`
  }</header>
<nav aria-label="Reports"><table class="overview"><caption>Each report, and what it came to</caption>
<thead><tr><th scope="col">Hardware class</th><th scope="col">Suite</th><th scope="col">Verdict</th><th scope="col" class="n">Drifted</th></tr></thead>
<tbody>${reports.map((report, index) => {
    const { id } = levelOf(index, reports.length);
    const drifted = read(report).drifted.length;
    return html`<tr><th scope="row"><a href="#${id('leg')}">${report.hardwareClass}</a></th><td>${report.suite.name}</td><td><span class="glyph s-${GLYPH_STATE[report.verdict]}" aria-hidden="true">${GLYPH[report.verdict]}</span> ${read(report).line}</td><td class="n">${drifted} of ${report.work.prompts + report.work.texts}</td></tr>`;
  })}</tbody></table></nav>`;
}

const GLYPH_STATE = { pass: 'same', warn: 'bits', fail: 'tokens' } as const;

interface PagePart {
  readonly name: string;
  readonly title: string;
  readonly part: Html;
}

/** In the order of a reader's questions: what, how much, where, is that sure, what changed, what of it is to be believed. */
function parts(report: Report, level: Level, budget: number, draw: Draw): PagePart[] {
  const all: readonly (readonly [name: string, title: string, part: Html | undefined])[] = [
    ['prompts', 'Prompts', promptsPart(report, level, budget)],
    ['distance', 'How large', distancePart(report, level, draw)],
    ['modules', 'Which module', modulesPart(report, level)],
    ['issues', 'Looks like', issuesPart(report, level)],
    ['relations', 'Relations', relationsPart(report, level)],
    ['environment', 'What changed', environmentPart(report, level)],
    ['coverage', 'Coverage', coveragePart(report, level)],
    ['baseline', 'Baseline', baselinePart(report, level)],
    ['reproduce', 'Reproduce', reproducePart(report, level)],
  ];
  return all.flatMap(([name, title, part]) => (part === undefined ? [] : [{ name, title, part }]));
}

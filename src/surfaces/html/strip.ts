import { cellEnd } from '../../compare/divergence.ts';
import type { ReportedDivergence, ReportedFinding } from '../../report/schema.ts';
import { type Html, html, ours } from './escape.ts';

/** What a cell can be, in the order of a legend. */
const CELLS = ['=', '~', 'x', '.'] as const;
type Cell = (typeof CELLS)[number];

const NAME: Readonly<Record<Cell, string>> = {
  '=': 'the same bits',
  '~': 'other bits, the same token',
  x: 'another token',
  '.': 'nothing to compare',
};

/** Told apart by height and not by colour alone: the more differs, the taller. The style sheet has the heights. */
const CLASS: Readonly<Record<Cell, string>> = { '=': 'c-same', '~': 'c-bits', x: 'c-tokens', '.': 'c-none' };

/** Neighbouring cells of one kind: `[first, end)`. */
interface Stretch {
  readonly cell: Cell;
  readonly first: number;
  readonly end: number;
}

export function stretchesOf(cells: string): Stretch[] {
  return [...cells.matchAll(/=+|~+|x+|\.+/g)].map(([run], index, all) => {
    const first = all.slice(0, index).reduce((sum, [before]) => sum + before.length, 0);
    const cell = CELLS.find((one) => one === run[0]) ?? '.';
    return { cell, first, end: first + run.length };
  });
}

/** The strip of a finding. One that agrees has nothing to tell, and is whole. */
export function stripOf({ agreement, divergence }: ReportedFinding): string {
  if (divergence !== null && divergence.strip !== '') return divergence.strip;
  switch (agreement) {
    case 'identical':
      return '=';
    case 'text-differs':
    case 'modules-differ':
    case 'values-differ':
    case 'logprobs-differ':
    case 'vector-differs':
      return '~';
    case 'tokens-differ':
    case 'inputs-differ':
      return 'x';
    case 'another-model':
      return '~';
    case 'indistinct':
    case 'unmeasured':
    case 'added':
    case 'removed':
      return '.';
  }
}

/** How a finding goes along its steps, as one line of a picture. */
export function strip(finding: ReportedFinding): Html {
  return picture(finding, html`role="img" aria-label="${finding.kind}: ${stripWords(finding)}"`);
}

/** The same beside words that tell it. */
export const quietStrip = (finding: ReportedFinding): Html => picture(finding, html`aria-hidden="true"`);

function picture(finding: ReportedFinding, label: Html): Html {
  const cells = stripOf(finding);
  const stretches = stretchesOf(cells);
  const bars = CELLS.flatMap((cell) => {
    const own = stretches.filter((stretch) => stretch.cell === cell);
    if (own.length === 0) return [];
    let pen = 0;
    const path = own.map(({ first, end }) => {
      const move = first - pen;
      pen = end;
      return `m${move} 0h${end - first}`;
    });
    return [html`<path class="${CLASS[cell]}" d="M0 8${ours(path.join(''))}"/>`];
  });
  return html`<svg class="strip" ${label} viewBox="0 0 ${cells.length} 16" preserveAspectRatio="none">${bars}</svg>`;
}

/** Stretches that are worth telling one by one. */
const MAX_TOLD = 4;

/** `the same bits to step 12, other bits, the same token to step 40, …`. */
function stripWords(finding: ReportedFinding): string {
  const cells = stripOf(finding);
  const { divergence, kind } = finding;
  const unit = kind === 'score' ? 'position' : 'step';
  const stretches = stretchesOf(cells);
  const [only] = stretches;
  if (only === undefined) return NAME['.'];
  if (stretches.length === 1 || divergence === null) return `${NAME[only.cell]} throughout`;
  const steps = shownSteps(divergence);
  const ends = ({ cell, end }: Stretch) =>
    `${NAME[cell]} to ${unit} ${cellEnd(end - 1, cells.length, steps)}`;
  return stretches.length <= MAX_TOLD
    ? stretches.map(ends).join('; ')
    : `${stretches
        .slice(0, MAX_TOLD - 1)
        .map(ends)
        .join('; ')}; and so on, in ${stretches.length} stretches`;
}

/** Steps that a strip stands for: one more than both sides have where one of them went on. */
function shownSteps({ strip: { length }, steps, tokenStep }: ReportedDivergence): number {
  return length < steps ? steps + Number(tokenStep === steps) : Math.max(length, steps);
}

/** The same with its steps numbered: the ends, and where bits and tokens part. */
export function rulerOf(finding: ReportedFinding): Html {
  const { divergence } = finding;
  if (divergence === null || divergence.strip === '') return strip(finding);
  const { logprobStep, tokenStep } = divergence;
  const steps = shownSteps(divergence);
  const marks = [
    ...(logprobStep === null || logprobStep === tokenStep ? [] : [{ at: logprobStep, what: 'bits' }]),
    ...(tokenStep === null ? [] : [{ at: tokenStep, what: 'tokens' }]),
  ].map(({ at, what }) => ({ at, what, share: steps <= 1 ? 0 : at / steps }));
  // A number that a mark would lie on is left out: the words beside have it.
  const [start, end] = [marks.every(({ share }) => share > 0.06), marks.every(({ share }) => share < 0.9)];
  return html`<span class="ruler">${strip(finding)}<span class="ticks" aria-hidden="true"><span>${start ? 1 : ''}</span>${marks.map(
    ({ at, what, share }, index) => {
      const next = marks[index + 1]?.share ?? (end ? 0.94 : 1.1);
      return html`<span class="tick t-${what}" style="--at:${(share * 100).toFixed(1)}%">▲${share < 0.95 && next - share > 0.12 ? html`<b>${at + 1}</b>` : undefined}</span>`;
    },
  )}<span>${end ? steps : ''}</span></span></span>`;
}

/** What the shapes mean; once on a page. */
export function stripLegend(): Html {
  return html`<ul class="legend" aria-label="Legend of the strips">${CELLS.map(
    (cell) =>
      html`<li><svg class="key" aria-hidden="true" viewBox="0 0 16 16"><path class="${CLASS[cell]}" d="M0 8h16"/></svg>${NAME[cell]}</li>`,
  )}</ul>`;
}

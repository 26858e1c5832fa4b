import { LineChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { DISTINCT, type Draw, type Mark, type Series } from './distance.ts';
import { type Html, html, ours } from './escape.ts';

use([LineChart, GridComponent, MarkLineComponent, SVGRenderer]);

const DASHES = ['solid', [7, 4], [2, 3]] as const;

/** Decades that an axis shows at most: what is smaller lies on its bottom, as a zero does. */
const MAX_DECADES = 7;
const MAX_NAME = 28;

interface Form {
  readonly width: number;
  readonly height: number;
  readonly right: number;
  /** Beside the plot: names where there is room, else letters, which a list below explains. */
  readonly labels: 'names' | 'letters';
}

const WIDE: Form = { width: 960, height: 340, right: 226, labels: 'names' };
const NARROW: Form = { width: 340, height: 300, right: 28, labels: 'letters' };
const [LEFT, TOP, BOTTOM] = [58, 14, 44];

/** Drawn twice, for wide and for narrow pages: a chart that is scaled down cannot be read. */
export const profileChart: Draw = (series, marks, unit, label) => {
  const draw = (form: Form, className: string) =>
    html`<svg class="chart ${className}" role="img" aria-label="${label}" viewBox="0 0 ${form.width} ${form.height}">${drawn(series, marks, unit, form)}</svg>`;
  return html`${draw(WIDE, 'wide')}${draw(NARROW, 'narrow')}${marks.length === 0 ? undefined : letterList(marks)}`;
};

function drawn(series: readonly Series[], marks: readonly Mark[], unit: string, form: Form): Html {
  const { width, height, right } = form;
  const [min, max] = domainOf(series, marks);
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height });
  const line = { lineStyle: { color: 'var(--line)' } };
  const text = { color: 'var(--quiet)', fontSize: 12 };
  chart.setOption({
    animation: false,
    grid: { left: LEFT, right, top: TOP, bottom: BOTTOM },
    xAxis: {
      type: 'value',
      min: 1,
      max: Math.max(2, ...series.map(({ steps }) => steps)),
      name: unit,
      nameLocation: 'middle',
      nameGap: 28,
      nameTextStyle: text,
      splitNumber: form.labels === 'letters' ? 3 : 8,
      axisLabel: { ...text, hideOverlap: true },
      axisLine: line,
      axisTick: line,
      splitLine: { show: false },
    },
    yAxis: {
      type: 'log',
      min,
      max,
      axisLabel: { ...text, formatter: (value: number) => (value <= min * 1.0001 ? '≈ 0' : decimal(value)) },
      axisLine: { show: false },
      axisTick: { show: false },
      splitLine: line,
    },
    // The last one is drawn on top: the worst.
    series: series
      .map(({ values, steps }, index) => ({
        type: 'line',
        silent: true,
        showSymbol: false,
        clip: false,
        z: index < DISTINCT ? 5 : 3,
        lineStyle:
          index < DISTINCT
            ? { color: `var(--line-${index + 1})`, width: index === 0 ? 2.2 : 1.8, type: DASHES[index] }
            : { color: 'var(--bundle)', width: 1, type: 'solid' },
        data: values.map((value, cell) => [
          middleOf(cell, values.length, steps),
          value === undefined ? null : Math.max(min, value),
        ]),
        ...(index === 0 ? { markLine: markLines(marks) } : {}),
      }))
      .toReversed(),
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return html`${ours(bare(svg))}${labels(marks, [min, max], form)}`;
}

const COLOUR: Readonly<Record<Mark['kind'], string>> = {
  floor: 'var(--same)',
  bound: 'var(--same)',
  yardstick: 'var(--quiet)',
};

const markLines = (marks: readonly Mark[]) => ({
  silent: true,
  symbol: 'none',
  animation: false,
  label: { show: false },
  // By default it is rounded to two decimals.
  precision: 15,
  data: marks.map(({ value, kind }) => ({
    yAxis: value,
    lineStyle: {
      color: COLOUR[kind],
      width: 1,
      type: kind === 'floor' ? ('solid' as const) : ([5, 4] as const),
    },
  })),
});

/** Names of the marks. Ours and not the library's: they come from outside, and must not lie on each other. */
function labels(marks: readonly Mark[], [min, max]: readonly [number, number], form: Form): Html {
  const plot = form.height - TOP - BOTTOM;
  const edge = form.width - form.right;
  const share = (value: number) =>
    (Math.log10(value) - Math.log10(min)) / (Math.log10(max) - Math.log10(min));
  const lines = sorted(marks).map((mark) => ({ mark, line: TOP + plot * (1 - share(mark.value)) }));
  const ys = spread(
    lines.map(({ line }) => line),
    15,
    TOP + plot,
  );
  return html`${lines.map(({ mark, line }, index) => {
    const y = (ys[index] ?? line).toFixed(1);
    const name =
      form.labels === 'names' ? html`${shortened(mark.name)} ${decimal(mark.value)}` : html`${letter(index)}`;
    return html`<path class="leader" d="M${edge} ${line.toFixed(1)}L${edge + 9} ${y}"/><text class="mark m-${mark.kind}" x="${edge + 12}" y="${y}" dominant-baseline="central">${name}</text>`;
  })}`;
}

const sorted = (marks: readonly Mark[]) => marks.toSorted((a, b) => b.value - a.value);

const letter = (index: number) => String.fromCharCode(97 + index);

/** What the letters of the narrow chart mean. */
const letterList = (marks: readonly Mark[]) =>
  html`<ul class="legend narrow" aria-label="Marks of the chart">${sorted(marks).map(
    ({ name, value, kind }, index) =>
      html`<li class="m-${kind}"><b>${letter(index)}</b> ${shortened(name)} ${decimal(value)}</li>`,
  )}</ul>`;

/** The scale beside the chart has the whole name. */
const shortened = (name: string) => (name.length <= MAX_NAME ? name : `${name.slice(0, MAX_NAME - 1)}…`);

/** Moves sorted places apart, downwards first and then back up from the bottom. */
export function spread(places: readonly number[], gap: number, bottom: number): number[] {
  const down: number[] = [];
  for (const place of places) down.push(Math.max(place, (down.at(-1) ?? Number.NEGATIVE_INFINITY) + gap));
  let limit = bottom;
  return down
    .toReversed()
    .map((place) => {
      const kept = Math.min(place, limit);
      limit = kept - gap;
      return kept;
    })
    .toReversed();
}

/** Whole decades around all that is shown. */
function domainOf(series: readonly Series[], marks: readonly Mark[]): readonly [number, number] {
  const values = [...series.flatMap(({ values }) => values), ...marks.map(({ value }) => value)].filter(
    (value): value is number => value !== undefined && value > 0,
  );
  const highest = Math.ceil(Math.log10(Math.max(...values, 1e-12)) + 1e-9);
  const lowest = Math.floor(Math.log10(Math.min(...values, 1)) - 1e-9);
  return [10 ** Math.max(lowest, highest - MAX_DECADES), 10 ** highest];
}

const middleOf = (cell: number, cells: number, steps: number) =>
  Math.max(1, Math.round(((cell + 0.5) * steps * 10) / cells) / 10);

/** `0.004`, never with an exponent. */
export const decimal = (value: number) => {
  const digits = Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(value))));
  return String(Number(value.toPrecision(2))).includes('e')
    ? value.toFixed(digits)
    : String(Number(value.toPrecision(2)));
};

/**
 * Only what draws: without the frame, which is ours; without classes, clips and their definitions, which are
 * numbered by what the process drew before; without fonts, which are the page's.
 */
const bare = (svg: string) =>
  svg
    .replace(/^\s*<svg[^>]*>\s*/, '')
    .replace(/<\/svg>\s*$/, '')
    .replaceAll(/<(style|defs)\b[\s\S]*?<\/\1>/g, '')
    .replaceAll(/ (?:class|style|pointer-events|clip-path)="[^"]*"/g, '')
    .replaceAll(/<rect [^>]*fill="none"><\/rect>/g, '')
    .replaceAll(/\s*\n\s*/g, '')
    .trim();

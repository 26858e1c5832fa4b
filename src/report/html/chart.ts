import { LineChart } from 'echarts/charts';
import { GridComponent, MarkLineComponent } from 'echarts/components';
import { init, use } from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import { type Html, html, ours } from './escape.ts';

use([LineChart, GridComponent, MarkLineComponent, SVGRenderer]);

/** One line of a chart. A value that is no number leaves a gap. */
export interface Series {
  readonly name: string;
  /** Of equally many steps each. */
  readonly values: readonly (number | undefined)[];
  readonly steps: number;
}

/** A level that values are measured with. */
export interface Mark {
  readonly name: string;
  readonly value: number;
  readonly kind: 'floor' | 'bound' | 'yardstick';
}

/** Lines that a reader can tell apart by their dashes; the others are a bundle. */
export const DISTINCT = 3;
const DASHES = ['solid', [7, 4], [2, 3]] as const;

/** Decades that an axis shows at most: what is smaller lies on its bottom, as a zero does. */
const MAX_DECADES = 7;
const MAX_NAME = 28;

interface Form {
  readonly width: number;
  readonly height: number;
  readonly right: number;
  /** Beside the plot, or in it where it is narrow. */
  readonly labels: 'beside' | 'inside';
}

const WIDE: Form = { width: 960, height: 340, right: 226, labels: 'beside' };
const NARROW: Form = { width: 340, height: 300, right: 10, labels: 'inside' };
const [LEFT, TOP, BOTTOM] = [58, 14, 44];

/**
 * Values along the steps on a logarithmic scale, with marks across. Drawn twice, for wide and for narrow pages: a chart that is
 * scaled down cannot be read.
 *
 * @param label what it shows, for those who do not see it
 */
export function profileChart(
  series: readonly Series[],
  marks: readonly Mark[],
  unit: string,
  label: string,
): Html {
  const draw = (form: Form, className: string) =>
    html`<svg class="chart ${className}" role="img" aria-label="${label}" viewBox="0 0 ${form.width} ${form.height}">${drawn(series, marks, unit, form)}</svg>`;
  return html`${draw(WIDE, 'wide')}${draw(NARROW, 'narrow')}`;
}

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
      splitNumber: form.labels === 'inside' ? 3 : 8,
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
        // A clip path has an id, which would be the same in every chart of the page.
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
  const { height, width, right } = form;
  const plot = height - TOP - BOTTOM;
  const share = (value: number) =>
    (Math.log10(value) - Math.log10(min)) / (Math.log10(max) - Math.log10(min));
  const places = marks
    .map((mark) => ({ mark, line: TOP + plot * (1 - share(mark.value)) }))
    .sort((a, b) => a.line - b.line);
  const lift = form.labels === 'inside' ? 6 : 0;
  const ys = spread(
    places.map(({ line }) => line - lift),
    15,
    TOP + plot,
  );
  const [x, anchor] = form.labels === 'inside' ? [width - right - 4, 'end'] : [width - right + 12, 'start'];
  return html`${places.map(({ mark, line }, index) => {
    const y = (ys[index] ?? line).toFixed(1);
    const leader =
      form.labels === 'beside'
        ? html`<path class="leader" d="M${width - right} ${line.toFixed(1)}L${width - right + 9} ${y}"/>`
        : undefined;
    return html`${leader}<text class="mark m-${mark.kind}" x="${x}" y="${y}" text-anchor="${anchor}" dominant-baseline="central">${shortened(mark.name)} ${decimal(mark.value)}</text>`;
  })}`;
}

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
 * Only what draws: without the frame, which is ours; without classes and their style sheet, which are numbered by what the
 * process drew before; without fonts, which are the page's.
 */
const bare = (svg: string) =>
  svg
    .replace(/^\s*<svg[^>]*>\s*/, '')
    .replace(/<\/svg>\s*$/, '')
    .replaceAll(/<style\b[\s\S]*?<\/style>/g, '')
    .replaceAll(/ (?:class|style|pointer-events)="[^"]*"/g, '')
    .replaceAll(/<rect [^>]*fill="none"><\/rect>/g, '')
    .replaceAll(/\s*\n\s*/g, '')
    .trim();

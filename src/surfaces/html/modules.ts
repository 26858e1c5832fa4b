import { counted } from '../../counted.ts';
import type { Report, ReportedRelation, ReportedTrace } from '../../report/schema.ts';
import { findingWords, frameOf, OUTSIDE_MODULES, traceWords } from '../../words/findings.ts';
import { firstModule, seesModules, seesNoModule, worstFirst } from '../../words/groups.ts';
import { capped, dotted, type Html, html, ours } from './escape.ts';
import type { Level } from './level.ts';

/** Rows and layers of a map that a page shows. */
const MAX_ROWS = 60;
const MAX_LAYERS = 256;
const MAX_NAME = 72;

/** As the strips: what differs is tall. What is on one side only stands at the top or at the bottom. */
const CELLS = {
  '=': { className: 'c-same', y: 8, name: 'the same output' },
  x: { className: 'c-tokens', y: 8, name: 'another output' },
  '-': { className: 'c-side', y: 13, name: 'gone' },
  '+': { className: 'c-side', y: 3, name: 'new' },
} as const;
type Cell = keyof typeof CELLS;
const isCell = (text: string): text is Cell => Object.hasOwn(CELLS, text);

/** The trace as a map, layers from left to right and their modules from top to bottom. */
export function modulesPart(report: Report, { id, heading, labelled }: Level): Html | undefined {
  const traced = report.relations.flatMap((relation) => {
    const traced = relation.findings.filter(({ kind, modules }) => kind === 'trace' || modules !== null);
    const sorted = traced.toSorted(worstFirst);
    const finding =
      sorted.filter(seesModules).toSorted(firstModule)[0] ??
      sorted.find(({ trace }) => trace !== null) ??
      sorted[0];
    return finding === undefined ? [] : [{ relation, finding }];
  });
  // Of several relations the one that shows most.
  const [one] = traced.sort(
    (a, b) =>
      Number(seesModules(b.finding)) - Number(seesModules(a.finding)) || worstFirst(a.finding, b.finding),
  );
  if (one === undefined) return undefined;
  const { relation, finding } = one;
  const { trace } = finding;
  return html`<section id="${id('modules')}"${labelled('modules')}>
${heading(2, 'Which module', id('modules-h'))}
${trace === null ? html`<p>${outcome(relation, report, finding)}</p>` : mapOf(trace, relation)}
</section>`;
}

function outcome(
  relation: ReportedRelation,
  report: Report,
  finding: ReportedRelation['findings'][number],
): Html {
  const words = findingWords(finding, frameOf(relation.relation, report));
  if (finding.agreement !== 'identical')
    return html`Not compared: ${words === '' ? finding.agreement : words}.`;
  return seesNoModule(relation)
    ? html`Something differs, and yet ${OUTSIDE_MODULES}.`
    : html`Every traced module computes the same output bits.`;
}

function mapOf(trace: ReportedTrace, relation: ReportedRelation): Html {
  const blocks = blocksOf(trace);
  const shown = blocks.slice(0, MAX_ROWS);
  const rows = blocks.length - shown.length;
  return html`${
    trace.first === null
      ? html`<p>${capitalised(traceWords(trace))}.</p>`
      : html`<p class="first"><span aria-hidden="true">▶</span> First different module: <code>${dotted(trace.first, 160)}</code>. ${counted(trace.differing, 'module')} of ${trace.modules} differ${trace.firstIndex === null ? '' : trace.firstIndex === 0 ? ', and it is the first that runs' : `, and the ${trace.firstIndex} that ran before it agree`}.</p>`
  }
${legend()}
<div class="scroll" tabindex="0" role="group" aria-label="Map of the modules"><table class="map"><caption>${capitalised(relation.relation)}: each module, and in which layers its output is another. Layers run from left to right.</caption>
<thead><tr><th scope="col">Module</th><th scope="col">Layers${layersWords(shown)}</th><th scope="col">Where it differs</th></tr></thead>
<tbody>${shown.map(rowOf)}</tbody></table></div>
${trace.map.omitted + rows === 0 ? undefined : html`<p class="note">${omittedWords(trace.map.omitted, rows)}</p>`}`;
}

/** ` 0 to 29`, where there is one stack of layers. */
function layersWords(rows: readonly Row[]): string {
  const stacks = new Set(rows.flatMap(({ layers }) => (layers === undefined ? [] : layers.join())));
  const layers = rows.find((row) => row.layers !== undefined)?.layers ?? [];
  return stacks.size === 1 ? ` ${layers[0]} to ${layers.at(-1)}` : '';
}

const omittedWords = (modules: number, rows: number) =>
  [
    ...(modules > 0 ? [`${counted(modules, 'module')} left out of the map: it has no room for them.`] : []),
    ...(rows > 0 ? [`${counted(rows, 'more row')}: the report’s JSON has them.`] : []),
  ].join(' ');

/** A module of a stack of layers, or one that stands alone. */
interface Row {
  readonly name: string;
  /** Names of the layers; undefined for a module outside of any. */
  readonly layers: readonly string[] | undefined;
  readonly cells: string;
  /** Cell of the first different module. */
  readonly first: number | undefined;
}

/** Rows in the order in which modules ran; a layer's own output is ready last. */
function blocksOf({ map, first }: ReportedTrace): Row[] {
  const rows: Row[] = [];
  const stacks = Map.groupBy(map.layers, ({ name }) => stackOf(name));
  const done = new Set<string>();
  for (const { name, cells } of map.layers) {
    const stack = stackOf(name);
    if (stack === undefined) {
      rows.push({
        name,
        layers: undefined,
        cells: cells.trim() || ' ',
        first: name === first ? 0 : undefined,
      });
      continue;
    }
    if (done.has(stack)) continue;
    done.add(stack);
    const layers = (stacks.get(stack) ?? []).slice(0, MAX_LAYERS);
    const parts = [...map.parts.entries()].filter(([column]) =>
      layers.some((layer) => isCell(layer.cells[column] ?? '')),
    );
    for (const [column, part] of [
      ...parts.filter(([, part]) => part !== ''),
      ...parts.filter(([, part]) => part === ''),
    ]) {
      const place = layers.findIndex(
        (layer) => first === (part === '' ? layer.name : `${layer.name}.${part}`),
      );
      rows.push({
        name: part === '' ? `${stack}.* (the layer)` : part,
        layers: layers.map((layer) => layer.name.slice(stack.length + 1)),
        cells: layers.map((layer) => layer.cells[column] ?? ' ').join(''),
        first: place === -1 ? undefined : place,
      });
    }
  }
  return rows;
}

/** `model.layers` of `model.layers.15`. */
const stackOf = (name: string) => /^(.+)\.\d+$/.exec(name)?.[1];

function rowOf({ name, layers, cells, first }: Row): Html {
  const words = wordsOf({ name, layers, cells, first });
  return html`<tr${first === undefined ? undefined : html` class="is-first"`}><th scope="row">${first === undefined ? undefined : html`<span aria-hidden="true">▶ </span>`}<code>${capped(name, MAX_NAME)}</code></th><td>${picture(cells, first, layers === undefined)}</td><td class="where">${words}</td></tr>`;
}

/** The words beside it say the same. */
function picture(cells: string, first: number | undefined, isAlone: boolean): Html {
  const paths = (Object.keys(CELLS) as Cell[]).flatMap((cell) => {
    const { className, y } = CELLS[cell];
    const path = [...cells].flatMap((own, index) =>
      own === cell ? [`M${(index + 0.1).toFixed(1)} ${y}h.8`] : [],
    );
    return path.length === 0 ? [] : [html`<path class="${className}" d="${ours(path.join(''))}"/>`];
  });
  const mark = first === undefined ? undefined : html`<path class="first-mark" d="M${first} 0v16"/>`;
  return html`<svg class="cells${isAlone ? ' alone' : ''}" aria-hidden="true" viewBox="0 0 ${cells.length} 16" preserveAspectRatio="none">${paths}${mark}</svg>`;
}

/** `from layer 15 on (15 of 30)`, `in none`. */
function wordsOf({ layers, cells, first }: Row): string {
  const told = (['x', '-', '+'] as const).flatMap((cell) => {
    const places = [...cells].flatMap((own, index) => (own === cell ? [index] : []));
    if (places.length === 0) return [];
    const what = cell === 'x' ? '' : `${CELLS[cell].name} `;
    if (layers === undefined) return [cell === 'x' ? 'differs' : CELLS[cell].name];
    return [`${what}${placesWords(places, layers)}`];
  });
  const words = told.length === 0 ? 'same' : told.join('; ');
  return first === undefined ? words : `first of all; ${words}`;
}

function placesWords(places: readonly number[], layers: readonly string[]): string {
  const [from = 0, to = 0] = [places[0], places.at(-1)];
  const share = `${places.length} of ${layers.length}`;
  if (places.length === layers.length) return `in all ${layers.length} layers`;
  if (places.length === 1) return `in layer ${layers[from]} only`;
  const isRun = to - from + 1 === places.length;
  if (isRun && to === layers.length - 1) return `from layer ${layers[from]} on (${share})`;
  return isRun
    ? `in layers ${layers[from]} to ${layers[to]} (${share})`
    : `in ${share} layers, first in ${layers[from]}`;
}

const capitalised = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

function legend(): Html {
  return html`<ul class="legend" aria-label="Legend of the map">${(Object.keys(CELLS) as Cell[]).map(
    (cell) => {
      const { className, y, name } = CELLS[cell];
      return html`<li><svg class="key" aria-hidden="true" viewBox="0 0 16 16"><path class="${className}" d="M2 ${y}h12"/></svg>${name}</li>`;
    },
  )}<li><svg class="key" aria-hidden="true" viewBox="0 0 16 16"><path class="first-mark" d="M8 0v16"/></svg>the first that differs</li></ul>`;
}

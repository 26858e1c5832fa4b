import { cellEnd } from '../../compare/divergence.ts';
import type { Report, ReportedFinding, ReportedRelation } from '../../report/schema.ts';
import { finite, nats, times } from '../../words/figures.ts';
import { byKind, type Group } from '../../words/groups.ts';
import { read } from '../../words/reading.ts';
import { capped, type Html, html, prose } from './escape.ts';
import type { Level } from './level.ts';

/** Profiles in one chart, and marks across it: of more, nobody can tell one from another. */
const MAX_SERIES = 12;
const MAX_MARKS = 12;
const MAX_NAME = 64;

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

/**
 * Values along the steps on a logarithmic scale, with marks across.
 *
 * @param label what it shows, for those who do not see it
 */
export type Draw = (series: readonly Series[], marks: readonly Mark[], unit: string, label: string) => Html;

const KINDS = ['score', 'force'] as const;

/** Whether its page has a chart: what draws one is large. */
export const hasChart = (report: Report): boolean =>
  (read(report).baseline?.groups ?? []).some((group) =>
    KINDS.some((kind) => profileOf(group, kind).length > 0),
  );

/** How large the drift is: beside what is known, and along the positions. */
export function distancePart(report: Report, { id, heading, labelled }: Level, draw: Draw): Html | undefined {
  const { baseline } = read(report);
  if (baseline === undefined) return undefined;
  const { relation, groups, sizes } = baseline;
  const marks = marksOf(relation, report);
  const charts = KINDS.flatMap((kind) => profiles(groups, kind, marks, draw) ?? []);
  const { size } = relation;
  if (size === null && charts.length === 0) return undefined;
  return html`<section id="${id('distance')}"${labelled('distance')}>
${heading(2, 'How large', id('distance-h'))}
${size === null ? undefined : sizes.map((line) => html`<p>${prose(line)}</p>`)}
${size === null ? undefined : scale(size, marks)}
${charts}
</section>`;
}

/** What distances are measured with. A mark at 0 has no place on a logarithmic scale. */
function marksOf({ size }: ReportedRelation, { yardstick }: Pick<Report, 'yardstick'>): Mark[] {
  const mark = (
    kind: Mark['kind'],
    name: string,
    value: Parameters<typeof finite>[0] | null | undefined,
  ): Mark[] => {
    const known = value === null || value === undefined ? undefined : finite(value);
    return known === undefined || known <= 0 ? [] : [{ kind, name, value: known }];
  };
  return [
    ...mark('floor', 'floor of rounding', size?.floorNats),
    ...(size?.floorBy === 'noise' ? mark('floor', 'neighbours in a batch', size.batchingNats) : []),
    ...mark('bound', 'honest repeats, bound', size?.boundNats),
    ...yardstick.flatMap(({ what, rmsNats }) => mark('yardstick', what, rmsNats)),
  ].slice(0, MAX_MARKS);
}

/** The drift among the marks, by size: a scale as a table. */
function scale(
  { distance, floorNats }: NonNullable<ReportedRelation['size']>,
  marks: readonly Mark[],
): Html | undefined {
  const own = finite(distance.rmsNats);
  if (own === undefined || own <= 0 || marks.length === 0) return undefined;
  const floor = floorNats === null ? undefined : finite(floorNats);
  const rows = [...marks, { kind: 'drift' as const, name: 'this run', value: own }].sort(
    (a, b) => b.value - a.value,
  );
  const logs = rows.map(({ value }) => Math.log10(value));
  const [low, high] = [Math.min(...logs) - 0.3, Math.max(...logs)];
  return html`<table class="scale"><caption>This run among what is known, by distance (logarithmic)</caption>
<thead><tr><th scope="col">What</th><th scope="col">Distance</th><th scope="col" class="n">Nats</th><th scope="col" class="n">Floors</th></tr></thead>
<tbody>${rows.map(({ kind, name, value }) => {
    const share = high === low ? 1 : (Math.log10(value) - low) / (high - low);
    return html`<tr class="k-${kind}"><th scope="row">${capped(name, MAX_NAME)}</th><td><span class="bar"><i style="--p:${(share * 100).toFixed(1)}%"></i></span></td><td class="n">${nats(value).replace(' nats', '')}</td><td class="n">${floor === undefined || floor === 0 ? '–' : times(value / floor)}</td></tr>`;
  })}</tbody></table>`;
}

interface Profile extends Series {
  readonly finding: ReportedFinding;
  readonly rms: number;
}

function profiles(
  groups: readonly Group[],
  kind: (typeof KINDS)[number],
  marks: readonly Mark[],
  draw: Draw,
): Html | undefined {
  const all = groups
    .flatMap((group) => profileOf(group, kind))
    // Not a number is worse than any.
    .sort((a, b) => b.rms - a.rms);
  if (all.length === 0) return undefined;
  const shown = all.slice(0, MAX_SERIES);
  const unit = kind === 'score' ? 'position' : 'step';
  const [worst] = shown;
  const label = `Line chart: distance in nats along the ${unit}s of ${shown.length} prompts, logarithmic. ${
    worst === undefined ? '' : `The largest is ${worst.name}: ${worstWords(worst, unit)}. `
  }Marks: ${marks.map(({ name, value }) => `${name} ${nats(value)}`).join(', ') || 'none'}. The table below has the numbers.`;
  const rest = all.length - shown.length;
  return html`<figure class="profile"><figcaption><b>Distance along the ${unit}s (${kind})</b>, root mean square in nats on a logarithmic scale. ${rest === 0 ? '' : `The ${shown.length} largest; ${rest} more are in the report’s JSON.`}</figcaption>
<ul class="legend lines" aria-label="Lines of the chart">${shown
    .slice(0, DISTINCT)
    .map(
      ({ name }, index) =>
        html`<li><svg class="key" aria-hidden="true" viewBox="0 0 28 8"><path class="l-${index + 1}" d="M0 4h28"/></svg>${capped(name, MAX_NAME)}</li>`,
    )}${shown.length <= DISTINCT ? undefined : html`<li><svg class="key" aria-hidden="true" viewBox="0 0 28 8"><path class="l-rest" d="M0 4h28"/></svg>${shown.length - DISTINCT} more</li>`}</ul>
${draw(shown, marks, unit, label)}
<details><summary>The same as a table</summary><table><caption>Distance of each prompt in the chart</caption><thead><tr><th scope="col">Prompt</th><th scope="col" class="n">Overall</th><th scope="col" class="n">Largest of one token</th><th scope="col">Highest point in the chart</th></tr></thead><tbody>${shown.map(
    (profile) =>
      html`<tr><th scope="row">${capped(profile.name, MAX_NAME)}</th><td class="n">${nats(profile.finding.distance?.rmsNats ?? 0)}</td><td class="n">${nats(profile.finding.distance?.largestNats ?? 0)}</td><td>${worstWords(profile, unit)}</td></tr>`,
  )}</tbody></table></details></figure>`;
}

function profileOf(group: Group, kind: (typeof KINDS)[number]): Profile[] {
  const finding = byKind(group).find(
    (one) => one.kind === kind && (one.divergence?.profile?.length ?? 0) > 0,
  );
  const { profile, steps } = finding?.divergence ?? {};
  if (finding === undefined || profile === undefined || profile === null || steps === undefined) return [];
  const values = profile.map(finite);
  const known = values.flatMap((value) => value ?? []);
  if (!values.some((value) => value === undefined || value > 0)) return [];
  const rms = finding.distance === null ? Math.max(0, ...known) : finite(finding.distance.rmsNats);
  return [{ name: group.prompt, values, steps, finding, rms: rms ?? Number.POSITIVE_INFINITY }];
}

/** `0.0700 nats at positions 129 to 136`. */
function worstWords({ values, steps }: Series, unit: string): string {
  const known = values.map((value) => value ?? -1);
  const largest = known.reduce((a, b) => Math.max(a, b), -1);
  if (largest < 0) return 'no number';
  const cell = known.indexOf(largest);
  const from = cell === 0 ? 1 : cellEnd(cell - 1, values.length, steps) + 1;
  const to = cellEnd(cell, values.length, steps);
  return `${nats(largest)} at ${to <= from ? `${unit} ${from}` : `${unit}s ${from} to ${to}`}`;
}

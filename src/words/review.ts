import { counted } from '../counted.ts';
import { excerpt } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { refusalOf } from './accept.ts';
import { answerOf, promptLine } from './answer.ts';
import { byKind, kindWords } from './groups.ts';
import { issueLines } from './issues.ts';
import { type Drifted, read } from './reading.ts';
import { STRIP_LEGEND, tellingStrip, textStrip } from './strip.ts';
import { baselineWords } from './words.ts';

/** A prompt that drifted, as somebody who goes through a list of them meets it. */
export interface Drift {
  /** Path of the report. */
  readonly path: string;
  readonly report: Report;
  readonly drifted: Drifted;
  /** Its place among those of its report, from 0. */
  readonly index: number;
}

const MAX_NAME = 64;
/** Whole on 80 columns, behind the kind of its pass. */
const MAX_STRIP = 64;
const MAX_CHANGES = 12;

export const nameOf = ({ prompt }: Pick<Drifted, 'prompt'>): string => excerpt(prompt, MAX_NAME);

/**
 * What the reviewer of a drift sees first: its one sentence, its strip, where it parts and by which margin. Before the
 * first prompt of a report, what the report says in one line. Not yet inert.
 *
 * @param at its place among all, from 0
 */
export function cardLines(drift: Drift, at: number, all: number): string[] {
  const { path, report, drifted, index } = drift;
  return [
    '',
    ...(index === 0
      ? [path, ...[read(report).line, answerOf(report)].filter((line) => line !== ''), '']
      : []),
    `[${at + 1}/${all}] ${nameOf(drifted)}: ${promptLine(drifted)}`,
    ...drifted.broken.flatMap(({ relation: { relation }, group, frame }) => {
      const named = drifted.broken.length === 1 ? '' : `${relation}, `;
      const telling = tellingStrip(group.findings);
      const strip =
        telling === undefined
          ? []
          : [`  ${telling.kind.padEnd(8)}  ${textStrip(telling.divergence, MAX_STRIP)}`];
      return [...strip, ...kindWords(group, frame).map((line) => `  ${named}${line}`)];
    }),
  ];
}

/** What else the report tells: how large it is, what changed, what it looks like, and its page. Not yet inert. */
export function moreLines({ report, drifted }: Drift): string[] {
  const { broken } = drifted;
  const { changes, context, createdAt } = report;
  return [
    `Strips along the steps: ${STRIP_LEGEND}`,
    ...broken.flatMap(({ relation: { relation }, group, sizes }) => [
      ...byKind(group).map(({ kind, agreement }) => `  ${relation}, ${kind}: ${agreement}`),
      ...sizes.map((size) => `  ${size}`),
    ]),
    ...changes
      .slice(0, MAX_CHANGES)
      .map(({ half, field, before, after }) => `  changed (${half}): ${field}: ${before} → ${after}`),
    ...(changes.length > MAX_CHANGES
      ? [`  … and ${changes.length - MAX_CHANGES} more changed facts, all in the record`]
      : []),
    ...baselineWords(context.baseline, createdAt),
    ...issueLines(read(report).issues),
    `Page: ${context.htmlPath}`,
  ];
}

/** The keys, in one line: an acceptance takes a whole record, and so all prompts of its report. */
export function keyLine({ report }: Drift): string {
  const count = read(report).drifted.length;
  const accept =
    refusalOf(report) === undefined
      ? `a accept this record (${count === 1 ? 'its one prompt' : `all ${counted(count, 'prompt')}`})`
      : 'a why it cannot be accepted';
  return `${accept}, s skip, n next report, b back, m more, q quit`;
}

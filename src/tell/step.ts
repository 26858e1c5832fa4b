import * as core from '@actions/core';
import { logLine, markdown, visible, within } from '../inert.ts';
import type { Notice, Report } from '../report/model.ts';
import { type Annotation, annotations } from '../surfaces/annotations.ts';
import { outputs } from '../surfaces/outputs.ts';
import { summary } from '../surfaces/summary.ts';
import { legTable, mergedLine } from '../words/merged.ts';
import { ICON } from '../words/verdict.ts';

/** Annotations, job summary and outputs. Text in a report is inert before it gets here or made so by `core`. */
export async function publish(report: Report): Promise<void> {
  for (const annotation of annotations(report)) annotate(annotation);
  for (const [name, value] of Object.entries(outputs(report))) core.setOutput(name, value);
  const text = summary(report);
  await publishSummary(text);
  reported = Buffer.byteLength(text);
}

/** No more can be read at once. */
const MAX_LEGS = 256;

/** What several jobs found: one table and the page of all. */
export async function publishMerged({
  reports,
  conclusion,
  verdict,
  htmlPath,
}: {
  readonly reports: readonly Report[];
  readonly conclusion: Report['conclusion'];
  readonly verdict: Report['verdict'];
  readonly htmlPath: string;
}): Promise<void> {
  core.setOutput('conclusion', conclusion);
  core.setOutput('verdict', verdict);
  core.setOutput('html-path', htmlPath);
  const head = `## ${ICON[verdict]} ${markdown(mergedLine(reports))}`;
  const page = `All of them on one page: <code>${markdown(htmlPath.slice(htmlPath.search(/[^/\\]*$/)), 255)}</code>.`;
  await publishSummary(`${[head, page, legTable(reports, MAX_LEGS)].join('\n\n')}\n`);
}

/** What could not be told elsewhere. The runner drops the eleventh of a kind silently: the log has it. */
export function publishNotices(notices: readonly Notice[]): void {
  for (const { level, title, message } of notices) {
    const told = { title: within(title, 250), message: within(message, 4000) };
    if (annotated[level] < MAX_OF_A_KIND) annotate({ level, ...told });
    else core.info(logLine(`${level}: ${told.title}. ${told.message}`));
  }
}

/** The runner drops a summary of more whole: step by step, and all that a step writes goes into one file. */
const MAX_BYTES = 1024 * 1024;
/** Bytes of the report's summary, behind which that of an error may come. */
let reported = 0;

/** @param text Markdown that is inert already */
export async function publishSummary(text: string): Promise<void> {
  try {
    await core.summary.addRaw(fitted(text, MAX_BYTES - reported)).write();
  } catch (error) {
    // A runner without a summary file still has annotations, outputs and the log.
    core.notice(`The job summary could not be written: ${visible(String(error))}`);
  }
}

/** At most `max` bytes: whole lines, and a note about the rest. Empty where there is no room for that either. */
export function fitted(text: string, max: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return text;
  const note = `\n✂️ A job summary holds no more: this was cut, of ${bytes.length} bytes in all.\n`;
  const room = max - Buffer.byteLength(note);
  if (room < 0) return '';
  // No character is cut where a line ends.
  return `${bytes.subarray(0, bytes.subarray(0, room).lastIndexOf('\n') + 1).toString()}${note}`;
}

const MAX_OF_A_KIND = 10;
/** In this step, of each kind. */
const annotated: Record<Annotation['level'], number> = { error: 0, warning: 0, notice: 0 };

type Placed = Pick<Annotation, 'level' | 'title' | 'message'> & Partial<Annotation>;

function annotate({ level, title, message, file, line, column }: Placed): void {
  const show = { error: core.error, warning: core.warning, notice: core.notice }[level];
  annotated[level]++;
  show(message, {
    title,
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { startLine: line }),
    ...(column === undefined ? {} : { startColumn: column }),
  });
}

import * as core from '@actions/core';
import { type Annotation, annotations } from '../report/annotations.ts';
import { visible } from '../report/inert.ts';
import type { Report } from '../report/model.ts';
import { outputs } from '../report/outputs.ts';
import { summary } from '../report/summary.ts';

/** Annotations, job summary and outputs. Text in a report is inert before it gets here or made so by `core`. */
export async function publish(report: Report): Promise<void> {
  for (const annotation of annotations(report)) annotate(annotation);
  for (const [name, value] of Object.entries(outputs(report))) core.setOutput(name, value);
  await publishSummary(summary(report));
}

/** @param text Markdown that is inert already */
export async function publishSummary(text: string): Promise<void> {
  try {
    await core.summary.addRaw(text).write();
  } catch (error) {
    // A runner without a summary file still has annotations, outputs and the log.
    core.notice(`The job summary could not be written: ${visible(String(error))}`);
  }
}

function annotate({ level, title, message, file, line, column }: Annotation): void {
  const show = { error: core.error, warning: core.warning, notice: core.notice }[level];
  show(message, { title, file, startLine: line, startColumn: column });
}

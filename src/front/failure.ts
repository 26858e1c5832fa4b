import { error as annotate, info, setFailed, setOutput } from '@actions/core';
import { userErrorIn } from '../errors.ts';
import { logLine } from '../inert.ts';
import { errorLines, errorSummary, toldError } from '../words/errors.ts';

/** Characters of the cause. */
const MAX_LOG = 60_000;
/** The runner keeps 4096 of an annotation, in the log too: the remedy at its end must be among them. */
const MAX_ANNOTATION = 2200;

/** What ended the run: an error of the user's with its remedy and at its lines, or a bug of ours with its stack. */
export async function tellError(error: unknown): Promise<void> {
  const told = toldError(error);
  output(told.code);
  for (const { file, line, column, message } of userErrorIn(error)?.places.slice(0, MAX_PLACES) ?? [])
    annotate(logLine(message, 4000), { title: told.code, file, startLine: line, startColumn: column });
  // Node would print a stack raw, and the runner executes what a foreign message in it looks like.
  const whole = errorLines(told, MAX_LOG).join('\n');
  const brief = errorLines(told, MAX_ANNOTATION).join('\n');
  if (whole !== brief) info(whole);
  setFailed(brief);
  // The failure is told by now, whatever becomes of its summary; and what writes it is loaded for nothing else.
  const { addSummary } = await import('../tell/job-summary.ts');
  await addSummary(errorSummary(told));
}

function output(code: string): void {
  try {
    setOutput('error-code', code);
  } catch {
    // On a full disk there is no room for outputs either: the failure itself must still be told.
  }
}

/** One of the runner's ten error annotations is `setFailed`'s own. */
const MAX_PLACES = 9;

import { error as annotate, setFailed, setOutput } from '@actions/core';
import { type UserError, userErrorIn } from '../errors.ts';
import { cap, logLine } from '../report/inert.ts';

/** What ended the run: an error of the user's with its remedy, or a bug of ours with its stack. */
export function publishError(error: unknown): void {
  const known = userErrorIn(error);
  if (known === undefined) publishBug(error);
  else publishUserError(known);
}

/** Node would print the stack raw, and the runner executes what a foreign message in it looks like. */
function publishBug(error: unknown): void {
  output('internal-error');
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  setFailed(`internal-error: this is a bug of the action, please report it.\n${inertLines(stack)}`);
}

/** At its lines where it has some. */
function publishUserError({ code, message, hint, places }: UserError): void {
  output(code);
  for (const { file, line, column, message: what } of places.slice(0, MAX_PLACES))
    annotate(logLine(what, 4000), { title: code, file, startLine: line, startColumn: column });
  setFailed(`${code}: ${inertLines(message)}\n${inertLines(hint)}`);
}

function output(code: string): void {
  try {
    setOutput('error-code', code);
  } catch {
    // On a full disk there is no room for outputs either: the failure itself must still be told.
  }
}

const inertLines = (text: string) =>
  cap(
    text
      .split('\n')
      .map((line) => logLine(line))
      .join('\n'),
    60_000,
  );

/** One of the runner's ten error annotations is `setFailed`'s own. */
const MAX_PLACES = 9;

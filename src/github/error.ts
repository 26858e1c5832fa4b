import { error as annotate, setFailed, setOutput } from '@actions/core';
import type { UserError } from '../errors.ts';
import { cap, logLine } from '../report/inert.ts';

/** An error of the user's: at its lines where it has some. */
export function publishError({ code, message, hint, places }: UserError): void {
  setOutput('error-code', code);
  for (const { file, line, column, message: what } of places.slice(0, MAX_PLACES))
    annotate(logLine(what, 4000), { title: code, file, startLine: line, startColumn: column });
  const lines = message.split('\n').map((line) => logLine(line));
  setFailed(`${code}: ${cap(lines.join('\n'), 60_000)}\n${hint}`);
}

/** One of the runner's ten error annotations is `setFailed`'s own. */
const MAX_PLACES = 9;

import { userErrorIn } from '../errors.ts';
import { logLine, markdown } from '../inert.ts';
import { ERROR_WORDS, type ToldCode } from './error-words.ts';

/** What ended a run. Its texts may quote a model, a container or a file: surfaces escape. */
export interface ToldError {
  readonly code: ToldCode;
  /** What happened here, and where. */
  readonly message: string;
  /** What to do about it here; empty for a bug of ours. */
  readonly hint: string;
}

/** Whatever was thrown: an error of the user's with its remedy, or a bug of ours with its stack. */
export function toldError(thrown: unknown): ToldError {
  const known = userErrorIn(thrown);
  if (known !== undefined) return { code: known.code, message: known.message, hint: known.hint };
  const stack = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  return { code: 'internal-error', message: `This is a bug of the action.\n${stack}`, hint: '' };
}

/** Longer than any hint of ours: they name an image or a key at most. */
const MAX_HINT = 1000;

/**
 * For a terminal, a log or an annotation, inert: the cause first, then the remedy here, then what the code says
 * wherever it comes up.
 *
 * @param max characters of the cause; the rest is short
 */
export function errorLines({ code, message, hint }: ToldError, max: number): string[] {
  const { what, meaning, next } = ERROR_WORDS[code];
  const inert = (line: string) => logLine(line, Math.min(2000, Math.floor(max / 2)));
  return [
    ...shortened(`${code}: ${message}`, max, inert),
    ...(hint === '' ? [] : shortened(hint, MAX_HINT, inert)),
    `In general: ${what} ${meaning} ${next}`,
  ];
}

/** Of a job summary, as it is written there. */
const MAX_CAUSE = 60_000;

/** The job summary: GitHub Markdown in which nothing that came from outside acts. */
export function errorSummary({ code, message, hint }: ToldError): string {
  const { what, meaning, next } = ERROR_WORDS[code];
  const inert = (line: string) => markdown(line, 2000);
  // A traceback is read by its shape, which Markdown would take for code.
  const indented = (line: string) => `${/^ {0,20}/.exec(line)?.[0] ?? ''}${inert(line)}`;
  const advice = shortened(hint, 10 * MAX_HINT, inert).join('<br>');
  return [
    `## ❌ \`${code}\`: an error, no verdict`,
    what,
    ['<pre>', ...shortened(message, MAX_CAUSE, indented), '</pre>'].join('\n'),
    meaning,
    `**Next:** ${hint === '' ? next : advice}`,
    ...(hint === '' ? [] : [`In general: ${next}`]),
  ]
    .join('\n\n')
    .concat('\n');
}

/** Inert lines: the first one, which names the cause, and of the others the last, which are an engine's own. */
function shortened(text: string, max: number, inert: (line: string) => string): string[] {
  const lines = text.split('\n');
  const first = inert(lines[0] ?? '');
  const last: string[] = [];
  let left = max - first.length;
  for (let at = lines.length - 1; at > 0; at--) {
    const line = inert(lines[at] ?? '');
    left -= line.length + 1;
    if (left < 0) return [first, `… (${at} ${at === 1 ? 'line' : 'lines'} left out)`, ...last];
    last.unshift(line);
  }
  return [first, ...last];
}

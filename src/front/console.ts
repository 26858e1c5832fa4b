import type { Verdict } from '../compare/conclusion.ts';
import { logLine } from '../inert.ts';
import type { Console } from '../job/console.ts';

/** Milliseconds between two progress lines where each one stays in the log. */
const LOG_INTERVAL_MS = 10_000;

/** Lines of progress in a minute, whatever an engine calls its work: it may call it something new each time. */
const MAX_PROGRESS = 60;
const MINUTE_MS = 60_000;

export interface ConsoleOptions {
  readonly write: (text: string) => void;
  readonly now: () => number;
}

/** GitHub's log: sections fold, progress is a line every 10 s and for each new work, up to one a second. */
export function actionsConsole({ write, now }: ConsoleOptions): Console {
  let last = now();
  let current = '';
  let minute = now();
  let told = 0;
  const info = (text: string) => {
    for (const line of text.split('\n')) write(`${logLine(line)}\n`);
  };
  return {
    info,
    async section(title, work) {
      const start = now();
      write(`::group::${logLine(title)}\n`);
      try {
        return await work();
      } finally {
        write('::endgroup::\n');
        info(`${title}: ${seconds(now() - start)}`);
      }
    },
    progress(what, line) {
      if (what === current && now() - last < LOG_INTERVAL_MS) return;
      if (now() - minute >= MINUTE_MS) {
        minute = now();
        told = 0;
      }
      if (told >= MAX_PROGRESS) return;
      told += 1;
      current = what;
      last = now();
      info(line);
    },
  };
}

export type Colour = 'green' | 'yellow' | 'red';

/** Colours a text, or gives it back as it is: whether colours are wanted is the caller's to know. */
export type Paint = (colour: Colour, text: string) => string;

/** Of a verdict, wherever it is shown in colour. */
export const COLOURS: Readonly<Record<Verdict, Colour>> = { pass: 'green', warn: 'yellow', fail: 'red' };

export interface TerminalOptions extends ConsoleOptions {
  /** Whether a line that was written can be overwritten. */
  readonly tty: boolean;
  /** Width at this moment; 0 or undefined where it is not known. */
  readonly columns?: () => number | undefined;
  readonly paint?: Paint;
}

/** Disposing takes the live line away: what is written next begins on a line of its own. */
export interface TerminalConsole extends Console, Disposable {
  info(line: string, colour?: Colour): void;
}

/** Milliseconds between two states of the live line: more often nobody can read. */
const TERMINAL_INTERVAL_MS = 100;

/** A terminal: progress on one line that is overwritten where the output is a TTY, dropped where it is not. */
export function terminalConsole(options: TerminalOptions): TerminalConsole {
  const { write, now, tty, columns = () => undefined, paint = (_, text) => text } = options;
  let live: { readonly what: string; readonly at: number } | undefined;
  const clear = () => {
    if (live !== undefined) write('\r\u001b[K');
    live = undefined;
  };
  const info = (text: string, colour?: Colour) => {
    clear();
    for (const part of text.split('\n')) {
      // Colour comes last: an escape in the text itself is shown, not obeyed.
      const line = logLine(part);
      write(`${colour === undefined ? line : paint(colour, line)}\n`);
    }
  };
  return {
    info,
    async section(title, work) {
      const start = now();
      info(`${title} …`);
      try {
        return await work();
      } finally {
        info(`${title}: ${seconds(now() - start)}`);
      }
    },
    progress(what, line, share) {
      if (!tty || (live?.what === what && now() - live.at < TERMINAL_INTERVAL_MS)) return;
      clear();
      write(liveLine(logLine(line, MAX_LIVE), share, columns() || DEFAULT_COLUMNS));
      live = { what, at: now() };
    },
    [Symbol.dispose]: clear,
  };
}

const DEFAULT_COLUMNS = 80;
const MAX_LIVE = 500;
const BAR = 20;

/** A line that wraps cannot be overwritten; one that fills the last column may wrap. */
function liveLine(text: string, share: number | undefined, columns: number): string {
  const shown = share === undefined || !Number.isFinite(share) ? '' : `${bar(share)} `;
  // A narrow terminal has room for the figures only.
  return fitting(columns < 2 * BAR + shown.length ? text : `${shown}${text}`, columns - 1);
}

/** `[█████░░░░░░░░░░░░░░░]  25 %`. */
function bar(share: number): string {
  const done = Math.min(1, Math.max(0, share));
  const full = Math.floor(done * BAR);
  const percent = `${Math.floor(done * 100)}`.padStart(3);
  return `[${'█'.repeat(full)}${'░'.repeat(BAR - full)}] ${percent} %`;
}

function fitting(text: string, columns: number): string {
  const widths = [...text].map((character) => ({ character, width: widthOf(character) }));
  if (widths.reduce((sum, { width }) => sum + width, 0) <= columns) return text;
  let used = 1;
  const kept = widths.filter(({ width }) => {
    used += width;
    return used <= columns;
  });
  return `${kept.map(({ character }) => character).join('')}…`;
}

/** Columns at most: what is neither Latin nor punctuation, such as 世, may take two. */
function widthOf(character: string): number {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x300 || (code >= 0x2010 && code < 0x2600) ? 1 : 2;
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

import { logLine } from './inert.ts';

/** Where a use-case tells what it does. Implementations make every line inert: callers need not. */
export interface Console {
  info(line: string): void;
  /** A titled section: folds on Actions, is timed. */
  section<T>(title: string, work: () => Promise<T>): Promise<T>;
  /** Live state of long work, whose first line is told at once; the others may be dropped or thinned out. */
  progress(what: string, line: string): void;
}

/** Milliseconds between two progress lines where each one stays in the log. */
const LOG_INTERVAL_MS = 10_000;

export interface ConsoleOptions {
  readonly write: (text: string) => void;
  readonly now: () => number;
}

/** GitHub's log: sections fold, progress is a line every 10 s. */
export function actionsConsole({ write, now }: ConsoleOptions): Console {
  let last = now();
  let current = '';
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
      current = what;
      last = now();
      info(line);
    },
  };
}

/** A terminal: progress on one line that is overwritten where the output is a TTY, dropped where it is not. */
export function terminalConsole({ write, now, tty }: ConsoleOptions & { readonly tty: boolean }): Console {
  let live = false;
  const clear = () => {
    if (live) write('\r\u001b[K');
    live = false;
  };
  const info = (text: string) => {
    clear();
    for (const line of text.split('\n')) write(`${logLine(line)}\n`);
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
    progress(_, line) {
      if (!tty) return;
      clear();
      write(logLine(line, 100));
      live = true;
    },
  };
}

const seconds = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

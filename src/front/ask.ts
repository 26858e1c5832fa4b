import { createInterface } from 'node:readline/promises';
import type { Ask } from '../job/tools.ts';

/** Asks on the terminal; undefined where nobody is there to answer. */
export function terminalAsk(signal: AbortSignal): Ask | undefined {
  if (process.stdin.isTTY !== true || process.stderr.isTTY !== true) return undefined;
  return async (question) => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return (await terminal.question(question, { signal })).trim();
    } finally {
      terminal.close();
    }
  };
}

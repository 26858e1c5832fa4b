import { once } from 'node:events';
import { createInterface } from 'node:readline/promises';
import { cancelled } from '../errors.ts';
import type { Ask, Keys } from '../job/tools.ts';

/** Nobody is there to answer where either is a file or a pipe. */
const isTerminal = () => process.stdin.isTTY === true && process.stderr.isTTY === true;

/** Asks on the terminal; undefined where nobody is there to answer. Ctrl-C and Ctrl-D cancel. */
export function terminalAsk(signal: AbortSignal): Ask | undefined {
  if (!isTerminal()) return undefined;
  return async (question) => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr });
    try {
      return (await terminal.question(question, { signal })).trim();
    } catch (error) {
      // Node takes the keys itself, says so by an error of its own, and leaves the line as it is.
      process.stderr.write('\n');
      throw error instanceof Error && error.name === 'AbortError' ? cancelled() : error;
    } finally {
      terminal.close();
    }
  };
}

const [CTRL_C, CTRL_D, ESCAPE] = ['\u0003', '\u0004', '\u001b'];

/**
 * Keys of the terminal, without the enter behind them; undefined where nobody is there to press one. What is typed ahead is
 * not shown, and read next. Ctrl-C and Ctrl-D cancel.
 */
export function terminalKeys(signal: AbortSignal): Keys | undefined {
  if (!isTerminal()) return undefined;
  const { stdin } = process;
  const ahead: string[] = [];
  stdin.setRawMode(true);
  return {
    async next() {
      // A question in between gives the terminal back as it usually is.
      stdin.setRawMode(true);
      if (ahead.length === 0) ahead.push(...keysIn(await chunk(stdin, signal)));
      const key = ahead.shift() ?? CTRL_D;
      if (key === CTRL_C || key === CTRL_D) throw cancelled();
      return key;
    },
    [Symbol.dispose]: () => void stdin.setRawMode(false),
  };
}

/** What comes next; empty where nothing ever will. */
async function chunk(stdin: NodeJS.ReadStream, signal: AbortSignal): Promise<string> {
  const done = new AbortController();
  const either = { signal: AbortSignal.any([signal, done.signal]) };
  stdin.resume();
  try {
    return await Promise.race([
      once(stdin, 'data', either).then(([data]) => String(data)),
      once(stdin, 'end', either).then(() => ''),
    ]);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    done.abort();
    stdin.pause();
  }
}

/** An arrow or the like comes whole, and begins with an escape; of all else a character is a key. */
const keysIn = (text: string): readonly string[] => (text.startsWith(ESCAPE) ? [text] : [...text]);

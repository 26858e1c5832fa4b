import { styleText } from 'node:util';
import type { Verdict } from '../compare/conclusion.ts';
import { json as toJson, visible } from '../inert.ts';
import type { Recipients } from '../tell/tell.ts';
import { answer, answerSaves } from './answer.ts';
import { COLOURS, terminalConsole } from './console.ts';
import { readSituation } from './event.ts';
import type { Inputs } from './inputs.ts';
import { wire } from './wiring.ts';

/** What the command line asks for. */
export interface Invocation {
  readonly inputs: Inputs;
  /** Whether a program reads the answer. */
  readonly json: boolean;
}

/** What the entry knows of the terminal. */
export interface Terminal {
  /** It obeys no escape sequence, as `TERM=dumb` says: a line that was written stays. */
  readonly dumb: boolean;
}

/** One command on a terminal: progress on stderr, the answer on stdout. */
export async function runCommand(
  { inputs: { mode, door, settings, connections }, json: isJson }: Invocation,
  signal: AbortSignal,
  { dumb }: Terminal,
): Promise<Verdict> {
  const terminal = (stream: NodeJS.WriteStream) =>
    terminalConsole({
      write: (text) => stream.write(text),
      now: Date.now,
      tty: stream.isTTY && !dumb,
      columns: () => stream.columns,
      // Node looks at NO_COLOR, FORCE_COLOR, TERM and whether anybody looks.
      paint: (colour, text) => styleText(['bold', colour], text, { stream }),
    });
  using console = terminal(process.stderr);
  const situation = await readSituation(connections.environment, door);
  const tools = wire(connections, situation, { console, signal });
  const to = recipients(isJson || mode.onlyJson === true);
  const given = { ...settings, situation };
  if (given.named.watch !== undefined) return await answerSaves(given, given.named.watch, tools, to);
  const { verdict } = await answer(mode, given, tools, to);
  return verdict;

  function recipients(json: boolean): Recipients {
    if (json) return { json: (value) => void process.stdout.write(`${toJson(value)}\n`) };
    return {
      // The line of the verdict is the only one in colour.
      terminal(lines, { verdict, line: headline }) {
        const stdout = terminal(process.stdout);
        const at = headline === undefined ? -1 : lines.lastIndexOf(visible(headline));
        for (const [index, line] of lines.entries())
          stdout.info(line, index === at ? COLOURS[verdict] : undefined);
      },
    };
  }
}

import { styleText } from 'node:util';
import type { Verdict } from '../compare/conclusion.ts';
import { json as toJson, visible } from '../inert.ts';
import type { VerifySettings } from '../job/settings.ts';
import type { Situation } from '../job/situation.ts';
import type { Tools } from '../job/tools.ts';
import { type Recipients, tell } from '../tell/tell.ts';
import { check } from '../use-cases/check.ts';
import { fingerprint } from '../use-cases/fingerprint.ts';
import { log, logFolder } from '../use-cases/history.ts';
import { mergeReports } from '../use-cases/merge.ts';
import { power } from '../use-cases/power.ts';
import { refresh } from '../use-cases/refresh.ts';
import { verify } from '../use-cases/verify.ts';
import { COLOURS, terminalConsole } from './console.ts';
import { readSituation } from './event.ts';
import type { Inputs } from './inputs.ts';
import { records, reports, wire } from './wiring.ts';

/** What the command line asks for. */
export type Invocation = { readonly json: boolean } & (
  | {
      readonly command: 'check' | 'refresh' | 'fingerprint' | 'power' | 'log' | 'report';
      readonly inputs: Inputs;
    }
  | { readonly command: 'log'; readonly folder: string }
  | { readonly command: 'verify'; readonly request: VerifySettings }
);

/** What the entry knows of the terminal. */
export interface Terminal {
  /** It obeys no escape sequence, as `TERM=dumb` says: a line that was written stays. */
  readonly dumb: boolean;
}

/** One command on a terminal: progress on stderr, the answer on stdout. */
export async function runCommand(
  invocation: Invocation,
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
  // Only programs ask for a fingerprint.
  const to = recipients(invocation.json || invocation.command === 'fingerprint');
  const { verdict } = await told();
  return verdict;

  async function told() {
    switch (invocation.command) {
      case 'check':
        return await tell('report', await asked(invocation.inputs, check), to);
      case 'refresh':
        return await tell('report', await asked(invocation.inputs, refresh), to);
      case 'power':
        return await tell('power', await asked(invocation.inputs, power), to);
      case 'fingerprint':
        return await tell('fingerprint', await asked(invocation.inputs, fingerprint), to);
      case 'report':
        return await tell('merged', await asked(invocation.inputs, mergeReports), to);
      case 'log':
        return await tell(
          'history',
          'folder' in invocation
            ? await logFolder(invocation.folder, { records })
            : await asked(invocation.inputs, log),
          to,
        );
      case 'verify':
        return await tell('verification', await verify(invocation.request, { reports, records }), to);
    }
  }

  async function asked<T>(
    { door, settings, connections }: Inputs,
    useCase: (settings: Inputs['settings'] & { situation: Situation }, tools: Tools) => Promise<T>,
  ): Promise<T> {
    const situation = await readSituation(connections.environment, door);
    return await useCase({ ...settings, situation }, wire(connections, situation, { console, signal }));
  }

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

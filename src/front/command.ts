import { styleText } from 'node:util';
import type { Verdict } from '../compare/conclusion.ts';
import { json as toJson, visible } from '../inert.ts';
import type { VerifySettings } from '../job/settings.ts';
import { logLines } from '../surfaces/history.ts';
import { outputs } from '../surfaces/outputs.ts';
import { powerLine, powerLines, powerVerdict } from '../surfaces/power.ts';
import { terminalLines } from '../surfaces/terminal.ts';
import { check } from '../use-cases/check.ts';
import { fingerprint } from '../use-cases/fingerprint.ts';
import { log, logFolder } from '../use-cases/history.ts';
import { mergeReports } from '../use-cases/merge.ts';
import { power } from '../use-cases/power.ts';
import { refresh } from '../use-cases/refresh.ts';
import { verify } from '../use-cases/verify.ts';
import { mergedLine, mergedLines } from '../words/merged.ts';
import { verdictLine } from '../words/verdict.ts';
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
  const { json } = invocation;
  switch (invocation.command) {
    case 'check':
    case 'refresh': {
      const { settings, tools } = await asked(invocation.inputs);
      const report =
        invocation.command === 'check' ? await check(settings, tools) : await refresh(settings, tools);
      answer(
        { outputs: outputs(report), report },
        terminalLines(report),
        verdictLine(report),
        report.verdict,
      );
      return report.verdict;
    }
    case 'power': {
      const { settings, tools } = await asked(invocation.inputs);
      const measured = await power(settings, tools);
      const verdict = powerVerdict(measured);
      answer(measured, powerLines(measured), powerLine(measured), verdict);
      return verdict;
    }
    case 'fingerprint': {
      const { settings, tools } = await asked(invocation.inputs);
      process.stdout.write(`${toJson(await fingerprint(settings, tools))}\n`);
      return 'pass';
    }
    case 'log': {
      const histories =
        'folder' in invocation
          ? await logFolder(invocation.folder, { records })
          : await ofStore(invocation.inputs);
      answer(histories, logLines(histories));
      return histories.length === 0 ? 'fail' : 'pass';
    }
    case 'report': {
      const { settings, tools } = await asked(invocation.inputs);
      const merged = await mergeReports(settings, tools);
      answer(merged, mergedLines(merged), mergedLine(merged.reports), merged.verdict);
      return merged.verdict;
    }
    case 'verify': {
      const verified = await verify(invocation.request, { reports, records });
      const verdict = verified.agrees ? 'pass' : 'fail';
      answer(verified, verified.lines, verified.lines.at(-1), verdict);
      return verdict;
    }
  }

  async function ofStore(inputs: Inputs) {
    const { settings, tools } = await asked(inputs);
    return await log(settings, tools);
  }

  async function asked({ door, settings, connections }: Inputs) {
    const situation = await readSituation(connections.environment, door);
    return {
      settings: { ...settings, situation },
      tools: wire(connections, situation, { console, signal }),
    };
  }

  /** The line of the verdict is the only one in colour. */
  function answer(value: unknown, lines: readonly string[], headline?: string, verdict?: Verdict): void {
    if (json) {
      process.stdout.write(`${toJson(value)}\n`);
      return;
    }
    const stdout = terminal(process.stdout);
    const at = headline === undefined ? -1 : lines.lastIndexOf(visible(headline));
    for (const [index, line] of lines.entries())
      stdout.info(line, index === at && verdict !== undefined ? COLOURS[verdict] : undefined);
  }
}

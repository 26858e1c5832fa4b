import { styleText } from 'node:util';
import type { Verdict } from '../compare/conclusion.ts';
import { readSituation } from '../github/event.ts';
import { json as toJson, visible } from '../inert.ts';
import type { Settings } from '../job/settings.ts';
import type { Tools } from '../run/start.ts';
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
import { type VerifyRequest, verify } from '../use-cases/verify.ts';
import { mergedLine, mergedLines } from '../words/merged.ts';
import { verdictLine } from '../words/verdict.ts';
import { COLOURS, terminalConsole } from './console.ts';
import type { Inputs } from './inputs.ts';

/** What the command line asks for. */
export type Invocation = { readonly json: boolean } & (
  | {
      readonly command: 'check' | 'refresh' | 'fingerprint' | 'power' | 'log' | 'report';
      readonly inputs: Inputs;
    }
  | { readonly command: 'log'; readonly folder: string }
  | { readonly command: 'verify'; readonly request: VerifyRequest }
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
  const tools: Tools = { console, signal };
  const { json } = invocation;
  switch (invocation.command) {
    case 'check':
    case 'refresh': {
      const settings = await settingsOf(invocation.inputs);
      const report =
        invocation.command === 'check'
          ? await check(settings, tools)
          : await refresh(settings, invocation.inputs.refreshing, tools);
      answer(
        { outputs: outputs(report), report },
        terminalLines(report),
        verdictLine(report),
        report.verdict,
      );
      return report.verdict;
    }
    case 'power': {
      const measured = await power(await settingsOf(invocation.inputs), tools);
      const verdict = powerVerdict(measured);
      answer(measured, powerLines(measured), powerLine(measured), verdict);
      return verdict;
    }
    case 'fingerprint':
      process.stdout.write(`${toJson(await fingerprint(await settingsOf(invocation.inputs), tools))}\n`);
      return 'pass';
    case 'log': {
      const histories =
        'folder' in invocation
          ? await logFolder(invocation.folder)
          : await log(await settingsOf(invocation.inputs), tools);
      answer(histories, logLines(histories));
      return histories.length === 0 ? 'fail' : 'pass';
    }
    case 'report': {
      const merged = await mergeReports(
        await settingsOf(invocation.inputs),
        invocation.inputs.merging,
        tools,
      );
      answer(merged, mergedLines(merged), mergedLine(merged.reports), merged.verdict);
      return merged.verdict;
    }
    case 'verify': {
      const verified = await verify(invocation.request);
      const verdict = verified.agrees ? 'pass' : 'fail';
      answer(verified, verified.lines, verified.lines.at(-1), verdict);
      return verdict;
    }
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

const settingsOf = async ({ settings }: Inputs): Promise<Settings> => ({
  ...settings,
  situation: await readSituation(settings.environment),
});

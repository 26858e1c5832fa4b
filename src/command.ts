import { check } from './check.ts';
import type { Verdict } from './compare/conclusion.ts';
import { fingerprint } from './fingerprint.ts';
import { readSituation } from './github/event.ts';
import type { Inputs } from './inputs.ts';
import { log, logFolder } from './log.ts';
import { power } from './power.ts';
import { refresh } from './refresh.ts';
import { terminalConsole } from './report/console.ts';
import { json as toJson } from './report/inert.ts';
import { logLines } from './report/log.ts';
import { outputs } from './report/outputs.ts';
import { powerLines, powerVerdict } from './report/power.ts';
import { terminalLines } from './report/terminal.ts';
import type { Tools } from './run.ts';
import type { Settings } from './settings.ts';
import { type VerifyRequest, verify } from './verify.ts';

/** What the command line asks for. */
export type Invocation = { readonly json: boolean } & (
  | { readonly command: 'check' | 'refresh' | 'fingerprint' | 'power' | 'log'; readonly inputs: Inputs }
  | { readonly command: 'log'; readonly folder: string }
  | { readonly command: 'verify'; readonly request: VerifyRequest }
);

/** One command on a terminal: progress on stderr, the answer on stdout. */
export async function runCommand(invocation: Invocation, signal: AbortSignal): Promise<Verdict> {
  const terminal = (stream: NodeJS.WriteStream) =>
    terminalConsole({ write: (text) => stream.write(text), now: Date.now, tty: stream.isTTY });
  const tools: Tools = { console: terminal(process.stderr), signal };
  const answer = (value: unknown, lines: readonly string[]) => {
    if (invocation.json) process.stdout.write(`${toJson(value)}\n`);
    else for (const line of lines) terminal(process.stdout).info(line);
  };
  switch (invocation.command) {
    case 'check':
    case 'refresh': {
      const settings = await settingsOf(invocation.inputs);
      const report =
        invocation.command === 'check'
          ? await check(settings, tools)
          : await refresh(settings, invocation.inputs.refreshing, tools);
      answer({ outputs: outputs(report), report }, terminalLines(report));
      return report.verdict;
    }
    case 'power': {
      const measured = await power(await settingsOf(invocation.inputs), tools);
      answer(measured, powerLines(measured));
      return powerVerdict(measured);
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
    case 'verify': {
      const verified = await verify(invocation.request);
      answer(verified, verified.lines);
      return verified.agrees ? 'pass' : 'fail';
    }
  }
}

const settingsOf = async ({ settings }: Inputs): Promise<Settings> => ({
  ...settings,
  situation: await readSituation(settings.environment),
});

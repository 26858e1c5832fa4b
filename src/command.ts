import { check } from './check.ts';
import type { Verdict } from './compare/conclusion.ts';
import { fingerprint } from './fingerprint.ts';
import type { Inputs } from './inputs.ts';
import { refresh } from './refresh.ts';
import { terminalConsole } from './report/console.ts';
import { json as toJson } from './report/inert.ts';
import { outputs } from './report/outputs.ts';
import { terminalLines } from './report/terminal.ts';
import type { Tools } from './run.ts';

/** One command on a terminal: progress on stderr, the answer on stdout. */
export async function runCommand(
  {
    command,
    inputs,
    json,
  }: {
    readonly command: 'check' | 'refresh' | 'fingerprint';
    readonly inputs: Inputs;
    readonly json: boolean;
  },
  signal: AbortSignal,
): Promise<Verdict> {
  const terminal = (stream: NodeJS.WriteStream) =>
    terminalConsole({ write: (text) => stream.write(text), now: Date.now, tty: stream.isTTY });
  const tools: Tools = { console: terminal(process.stderr), signal };
  const answer = terminal(process.stdout);
  const { settings, refreshing } = inputs;
  if (command === 'fingerprint') {
    process.stdout.write(`${toJson(await fingerprint(settings, tools))}\n`);
    return 'pass';
  }
  const report =
    command === 'check'
      ? await check(settings, tools)
      : await refresh(settings, { ...refreshing, defaultBranch: undefined }, tools);
  if (json) process.stdout.write(`${toJson({ outputs: outputs(report), report })}\n`);
  else for (const line of terminalLines(report)) answer.info(line);
  return report.verdict;
}

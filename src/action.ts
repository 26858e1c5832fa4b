import { check } from './check.ts';
import { readSituation } from './github/event.ts';
import { publish, publishSummary } from './github/surfaces.ts';
import type { Inputs } from './inputs.ts';
import { log } from './log.ts';
import { power } from './power.ts';
import { refresh } from './refresh.ts';
import { actionsConsole } from './report/console.ts';
import { logLines, logSummary } from './report/log.ts';
import type { Report } from './report/model.ts';
import { powerLine, powerLines, powerSummary, powerVerdict } from './report/power.ts';
import { terminalLines } from './report/terminal.ts';
import { verdictLine } from './report/verdict.ts';
import type { Tools } from './run.ts';

/** One step of a workflow: runs the use-case that `mode` names and shows its report. Returns the failure, if any. */
export async function runAction(
  { mode, settings: given, refreshing }: Inputs,
  signal: AbortSignal,
): Promise<string | undefined> {
  const console = actionsConsole({ write: (text) => process.stdout.write(text), now: Date.now });
  const tools: Tools = { console, signal };
  const settings = { ...given, situation: await readSituation(given.environment) };
  switch (mode) {
    case 'check':
      return await told(await check(settings, tools));
    case 'refresh':
      return await told(await refresh(settings, refreshing, tools));
    case 'power': {
      const measured = await power(settings, tools);
      for (const line of powerLines(measured)) console.info(line);
      await publishSummary(powerSummary(measured));
      return powerVerdict(measured) === 'fail' ? powerLine(measured) : undefined;
    }
    case 'log': {
      const histories = await log(settings, tools);
      for (const line of logLines(histories)) console.info(line);
      await publishSummary(logSummary(histories));
      return histories.length === 0 ? logLines(histories)[0] : undefined;
    }
  }

  async function told(report: Report): Promise<string | undefined> {
    for (const line of terminalLines(report)) console.info(line);
    await publish(report);
    return report.verdict === 'fail' ? verdictLine(report) : undefined;
  }
}

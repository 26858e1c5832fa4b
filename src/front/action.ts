import type { Report } from '../report/model.ts';
import { logLines, logSummary } from '../surfaces/history.ts';
import { powerLine, powerLines, powerSummary, powerVerdict } from '../surfaces/power.ts';
import { terminalLines } from '../surfaces/terminal.ts';
import { tell } from '../tell/recipient.ts';
import { publish, publishMerged, publishNotices, publishSummary } from '../tell/step.ts';
import { check } from '../use-cases/check.ts';
import { log } from '../use-cases/history.ts';
import { mergeReports } from '../use-cases/merge.ts';
import { power } from '../use-cases/power.ts';
import { refresh } from '../use-cases/refresh.ts';
import { mergedLine } from '../words/merged.ts';
import { verdictLine } from '../words/verdict.ts';
import { actionsConsole } from './console.ts';
import { readSituation } from './event.ts';
import type { Inputs } from './inputs.ts';
import { wire } from './wiring.ts';

/** One step of a workflow: runs the use-case that `mode` names and shows its report. Returns the failure, if any. */
export async function runAction(
  { mode, door, settings: given, connections }: Inputs,
  signal: AbortSignal,
): Promise<string | undefined> {
  const console = actionsConsole({ write: (text) => process.stdout.write(text), now: Date.now });
  const situation = await readSituation(connections.environment, door);
  const settings = { ...given, situation };
  const tools = wire(connections, situation, { console, signal });
  switch (mode) {
    case 'check':
      return await told(await check(settings, tools), true);
    case 'refresh':
      return await told(await refresh(settings, tools), false);
    case 'report': {
      const merged = await mergeReports(settings, tools);
      for (const report of merged.reports) console.info(verdictLine(report));
      await publishMerged(merged);
      publishNotices(await tell(merged.reports, true, settings, tools));
      // Nobody waits for the job that shows what another workflow measured, and what it shows may be a stranger's.
      const isOwn = situation.event !== 'workflow_run';
      return isOwn && merged.verdict === 'fail' ? mergedLine(merged.reports) : undefined;
    }
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

  async function told(report: Report, announced: boolean): Promise<string | undefined> {
    for (const line of terminalLines(report)) console.info(line);
    await publish(report);
    if (announced) publishNotices(await tell([report], false, settings, tools));
    return report.verdict === 'fail' ? verdictLine(report) : undefined;
  }
}

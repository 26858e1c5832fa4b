import { check } from './check.ts';
import { defaultBranch } from './github/event.ts';
import { publish, publishSummary } from './github/surfaces.ts';
import type { Inputs } from './inputs.ts';
import { power } from './power.ts';
import { refresh } from './refresh.ts';
import { actionsConsole } from './report/console.ts';
import type { Report } from './report/model.ts';
import { powerLine, powerLines, powerSummary, powerVerdict } from './report/power.ts';
import { terminalLines } from './report/terminal.ts';
import { verdictLine } from './report/verdict.ts';
import type { Tools } from './run.ts';

/** One step of a workflow: runs the use-case that `mode` names and shows its report. Returns the failure, if any. */
export async function runAction(
  { mode, settings, refreshing }: Inputs,
  signal: AbortSignal,
): Promise<string | undefined> {
  const console = actionsConsole({ write: (text) => process.stdout.write(text), now: Date.now });
  const tools: Tools = { console, signal };
  if (mode === 'power') {
    const measured = await power(settings, tools);
    for (const line of powerLines(measured)) console.info(line);
    await publishSummary(powerSummary(measured));
    return powerVerdict(measured) === 'fail' ? powerLine(measured) : undefined;
  }
  const report: Report = await useCase(mode);
  for (const line of terminalLines(report)) console.info(line);
  await publish(report);
  return report.verdict === 'fail' ? verdictLine(report) : undefined;

  async function useCase(asked: 'check' | 'refresh'): Promise<Report> {
    switch (asked) {
      case 'check':
        return await check(settings, tools);
      case 'refresh':
        return await refresh(
          settings,
          { ...refreshing, defaultBranch: await defaultBranch(settings.environment['GITHUB_EVENT_PATH']) },
          tools,
        );
    }
  }
}

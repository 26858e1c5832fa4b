import { step } from '../tell/step.ts';
import { tell } from '../tell/tell.ts';
import { check } from '../use-cases/check.ts';
import { log } from '../use-cases/history.ts';
import { mergeReports } from '../use-cases/merge.ts';
import { power } from '../use-cases/power.ts';
import { refresh } from '../use-cases/refresh.ts';
import { actionsConsole } from './console.ts';
import { readSituation } from './event.ts';
import type { Inputs } from './inputs.ts';
import { wire } from './wiring.ts';

/** One step of a workflow: runs the use-case that `mode` names and tells what it gives. Returns the failure, if any. */
export async function runAction(
  { mode, door, settings: given, connections }: Inputs,
  signal: AbortSignal,
): Promise<string | undefined> {
  const console = actionsConsole({ write: (text) => process.stdout.write(text), now: Date.now });
  const situation = await readSituation(connections.environment, door);
  const settings = { ...given, situation };
  const tools = wire(connections, situation, { console, signal });
  const to = step(settings, tools);
  const { verdict, line } = await told();
  // Nobody waits for the job that shows what another workflow measured, and what it shows may be a stranger's.
  const isOwn = mode !== 'report' || situation.event !== 'workflow_run';
  return isOwn && verdict === 'fail' ? line : undefined;

  async function told() {
    switch (mode) {
      case 'check':
        return await tell('report', await check(settings, tools), to);
      case 'refresh':
        return await tell('report', await refresh(settings, tools), to);
      case 'report':
        return await tell('merged', await mergeReports(settings, tools), to);
      case 'power':
        return await tell('power', await power(settings, tools), to);
      case 'log':
        return await tell('history', await log(settings, tools), to);
    }
  }
}

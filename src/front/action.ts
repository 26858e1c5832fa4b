import { step } from '../tell/step.ts';
import { answer } from './answer.ts';
import { actionsConsole } from './console.ts';
import { readSituation } from './event.ts';
import type { Inputs } from './inputs.ts';
import { wire } from './wiring.ts';

/** Where a step shows what it does. */
export interface Shows {
  /** The job's log. */
  readonly write: (text: string) => void;
  readonly recipients: typeof step;
}

const RUNNER: Shows = { write: (text) => process.stdout.write(text), recipients: step };

/** One step of a workflow: runs the use-case that `mode` names and tells what it gives. Returns the failure, if any. */
export async function runAction(
  { mode, door, settings: given, connections }: Inputs,
  signal: AbortSignal,
  { write, recipients }: Shows = RUNNER,
): Promise<string | undefined> {
  const console = actionsConsole({ write, now: Date.now });
  const situation = await readSituation(connections.environment, door);
  const settings = { ...given, situation };
  const tools = wire(connections, situation, { console, signal });
  const { verdict, line } = await answer(mode, settings, tools, recipients(settings, tools));
  // Nobody waits for the job that shows what another workflow measured, and what it shows may be a stranger's.
  const isOwn = mode.needs !== 'show' || situation.event !== 'workflow_run';
  return isOwn && verdict === 'fail' ? line : undefined;
}

import { join } from 'node:path';
import { userErrorIn } from '../../../src/errors.ts';
import { runAction } from '../../../src/front/action.ts';
import { parseInputs } from '../../../src/front/inputs.ts';
import type { Annotation } from '../../../src/surfaces/surface.ts';
import { logOf } from '../../../src/tell/log.ts';
import { tellChange } from '../../../src/tell/recipient.ts';
import { errorLines, errorSummary, toldError } from '../../../src/words/errors.ts';
import type { Action } from './action.ts';
import { type RunnerCommand, runnerCommands } from './commands.ts';
import { environment, type Outcome, type Runner, type StepOptions, writeEvent } from './spawn.ts';

/**
 * A step in this process, as `stepHere` of here.ts, and as many at once as a test likes: it takes neither the environment nor
 * the standard output. Inputs, event, use-case, surfaces and GitHub are the action's own; how the runner's commands are
 * escaped and its files written is not looked at.
 *
 * @throws what is a bug: only what the user can mend has an outcome here
 */
export async function stepAtOnce(
  action: Action,
  runner: Runner,
  options: StepOptions = {},
): Promise<Outcome> {
  await writeEvent(runner, options);
  const env = environment(action, runner, options);
  const input = (name: string) => env[`INPUT_${name.replaceAll(' ', '_').toUpperCase()}`]?.trim() ?? '';
  const annotated: RunnerCommand[] = [];
  const annotate = ({ level, title, message, file, line, column }: Shown) =>
    annotated.push({
      command: level,
      properties: {
        title,
        ...(file === undefined ? {} : { file, line: `${line}`, col: `${column}` }),
      },
      data: message,
    });
  const outputs: Record<string, string> = {};
  let [log, summary] = ['', ''];
  const write = (text: string) => {
    log += text;
  };
  let exitCode = 0;
  const fail = (data: string) => {
    exitCode = 1;
    annotated.push({ command: 'error', properties: {}, data });
  };
  try {
    const inputs = parseInputs(input, 'action', env, join(action.path, 'docker/harness'));
    const failure = await runAction(inputs, new AbortController().signal, {
      write,
      recipients: (settings, tools) => ({
        ...logOf(tools.console),
        annotations(all) {
          for (const annotation of all) annotate(annotation);
        },
        outputs(all) {
          Object.assign(outputs, all);
        },
        summary(text) {
          summary += text;
        },
        async change(change, posts) {
          for (const notice of await tellChange(change, posts, settings, tools)) annotate(notice);
        },
      }),
    });
    if (failure !== undefined) fail(failure);
  } catch (error) {
    if (userErrorIn(error) === undefined) throw error;
    const told = toldError(error);
    outputs['error-code'] = told.code;
    fail(errorLines(told, MAX_CAUSE).join('\n'));
    summary += errorSummary(told);
  }
  return {
    exitCode,
    signal: null,
    log,
    commands: [...runnerCommands(log), ...annotated],
    ...{ outputs, state: {}, summary, env: '', path: '' },
  };
}

/** Characters. */
const MAX_CAUSE = 60_000;

/** On a line of the suite, or at none. */
type Shown = Pick<Annotation, 'level' | 'title' | 'message'> & Partial<Annotation>;

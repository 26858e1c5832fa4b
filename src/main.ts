import { fileURLToPath } from 'node:url';
import { getInput, setFailed } from '@actions/core';
import { cancelled } from './errors.ts';
import { parseInputs } from './front/inputs.ts';

/*
 * Composition root of the action: here, in `post` and in `cli`, and nowhere else, the environment is read, the
 * exit code written and the step failed. What an early error does not need is not loaded.
 */
const abort = new AbortController();
// The runner sends SIGINT, SIGTERM 7.5 s later and kills 2.5 s after that: by then everything is given back.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort(cancelled()));
try {
  const harness = fileURLToPath(new URL('../docker/harness', import.meta.url));
  const inputs = parseInputs(getInput, 'action', process.env, harness);
  const { runAction } = await import('./front/action.ts');
  const failure = await runAction(inputs, abort.signal);
  if (failure !== undefined) setFailed(failure);
} catch (error) {
  const { tellError } = await import('./front/failure.ts');
  await tellError(error);
}
// A library's forgotten timer or socket must not keep a finished job alive.
process.exit();

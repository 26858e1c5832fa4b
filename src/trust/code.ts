import { UserError } from '../errors.ts';
import type { Run } from '../run/start.ts';
import { codeInArguments, codeInServe, pickledIn } from '../suite/code.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import type { Permission } from './events.ts';

/**
 * A stranger's change is measured with tensors and the engine's own code alone, even where the base branch's suite asks
 * for more: what the change makes of the rest is not worth the risk.
 *
 * @throws UserError `pull-request-limited`, before an engine is started
 */
export function refuseArguments({ limits }: Permission, { suite, places, program }: LoadedSuite): void {
  // What a program of the base branch's is given, it alone makes something of: its files are that branch's own.
  if (limits !== 'fork' || program !== undefined) return;
  const [first] = [...codeInArguments(suite.engine.args), ...codeInServe(suite.engine.serve)];
  if (first === undefined) return;
  const message = `this pull request comes from another repository, and ${first}`;
  throw limited(`${places.file}: ${message}.`, {
    ...{ file: places.file, message },
    ...places.engine,
  });
}

/** @throws UserError `pull-request-limited`, before the model is loaded */
export function refusePickled(
  { limits }: Permission,
  { fingerprint: { declared } }: Pick<Run, 'fingerprint'>,
  { places }: LoadedSuite,
): void {
  const [first] = limits === 'fork' ? pickledIn(declared.model.files) : [];
  if (first === undefined) return;
  const message = `this pull request comes from another repository, and the model has pickled weights, which can hold a program: ${first}`;
  throw limited(`${message.charAt(0).toUpperCase()}${message.slice(1)}.`, {
    ...{ file: places.file, message },
    ...places.model,
  });
}

const limited = (message: string, place: UserError['places'][number]) =>
  new UserError(
    'pull-request-limited',
    message,
    'Whoever trusts the change can bring it into a branch of this repository, where it is checked; or let the base branch’s suite name a model in safetensors and arguments that load nothing.',
    { places: [place] },
  );

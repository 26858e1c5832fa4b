import { UserError } from '../../errors.ts';
import { plain } from '../foreign.ts';
import { type ListedEntry, parseKey } from '../port.ts';
import { type CacheService, nameOf, remedy } from './service.ts';

/* What the cache store says when it cannot do its part: what happened, where, and what helps. */

export function readable(service: CacheService): CacheService {
  if (service.mayRead) return service;
  throw new UserError(
    'store-unavailable',
    `This job may not read caches (ACTIONS_CACHE_MODE is "${plain(service.mode)}").`,
    'Whether there is a baseline is unknown. Let the job read caches, or keep baselines in the repository: `baseline: { store: files }` in the suite.',
  );
}

const WHO_MAY_WRITE =
  'GitHub makes the cache read-only for runs that outsiders can start (pull_request_target, issue_comment, workflow_run of a fork): refresh by `workflow_dispatch`, `schedule` or `push` on the default branch.';

/** Reading is needed too, to see that what was saved is there. */
export function writable(service: CacheService): CacheService {
  if (service.mayWrite && service.mayRead) return service;
  throw new UserError(
    'store-refused',
    `The baseline was not stored: this job may not both write and read caches (ACTIONS_CACHE_MODE is "${plain(service.mode)}").`,
    WHO_MAY_WRITE,
  );
}

export function denied(service: CacheService, key: string, why: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline was not stored: the cache service at ${service.host} denied this job to write "${plain(key)}" (${why}).`,
    WHO_MAY_WRITE,
  );
}

export function taken(key: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline was not stored: the cache has an entry "${plain(key)}" already, and entries cannot be replaced.`,
    'This very run has stored this very baseline before, or another one did so at the same time: there is nothing left to do. Run the refresh anew (not only its failed jobs) if you want another.',
  );
}

export function notStored(service: CacheService, key: string, happened: string): UserError {
  return new UserError(
    'store-unavailable',
    `The baseline was not stored as "${plain(key)}". ${nameOf(service)} ${happened}.`,
    remedy(service),
  );
}

export function overtaken(found: string, expected: string | undefined): UserError {
  const was = expected === undefined ? 'there was none' : `it was "${plain(expected)}"`;
  return new UserError(
    'store-refused',
    `The baseline was not stored: another refresh (${runIn(found)}) stored its baseline "${plain(found)}" in the meantime; when this run began, ${was}.`,
    'What this run has shown compares with another baseline than the one that it would replace. Look at that one, and refresh anew if you still want to.',
  );
}

export function superseded(key: string, newest: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline "${key}" was stored, but is superseded by "${plain(newest)}" of another refresh (${runIn(newest)}): the newer one counts.`,
    'Two refreshes ran at once. Look which one you want, and run that one alone; a `concurrency` group in the workflow keeps them apart.',
  );
}

function runIn(key: string): string {
  const parsed = parseKey(key);
  return parsed === undefined ? 'of an unknown run' : `run ${parsed.runId}, attempt ${parsed.runAttempt}`;
}

/** The list is the repository's own: what is in it exists. */
export function withheld(service: CacheService, { key, ref }: ListedEntry): UserError {
  return new UserError(
    'store-unavailable',
    `The repository's list of cache entries has the baseline "${plain(key)}" on ${plain(ref)}, but ${nameOf(service).replace(/^The/, 'the')} does not give it to this run.`,
    `It may have been evicted this very moment, so whether there is a baseline is unknown. ${remedy(service)}`,
  );
}

export function hidden(trusted: ListedEntry, key: string, ref: string | undefined): UserError {
  // Into a command only what no shell takes for anything else: whoever makes a branch chooses its name.
  const isSafe = (text: string) => /^[\w./-]+$/.test(text);
  const command =
    ref !== undefined && isSafe(ref) && isSafe(key)
      ? `\`gh cache delete ${key} --ref ${ref}\``
      : '`gh cache delete` with its key, and `--ref` with its branch';
  return new UserError(
    'baseline-invalid',
    `The baseline "${plain(trusted.key)}" of ${plain(trusted.ref)} is shadowed: ${ref === undefined ? 'a branch that is not trusted' : plain(ref)} has the cache entry "${plain(key)}", which the cache service may give in its place. Nothing was compared.`,
    `Nobody but the refresh should write entries under this name: find out which workflow of that branch did. Then delete it (${command}) and re-run the job.`,
  );
}

export function foreign(key: string, prefix: string): UserError {
  return new UserError(
    'baseline-invalid',
    `The newest cache entry under "${prefix}" is "${plain(key)}", a name that this action does not give. It hides what is behind it, so whether there is a baseline is unknown.`,
    'Find out which workflow writes it and let it use another name. Then delete it: `gh cache delete` with that key.',
  );
}

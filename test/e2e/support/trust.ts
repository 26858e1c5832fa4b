import assert from 'node:assert/strict';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { CACHED_PATH } from '../../../src/baseline/cache/service.ts';
import type { Conclusion, Verdict } from '../../../src/compare/conclusion.ts';
import {
  type Fault as CacheFault,
  type CacheJob,
  type CacheServer,
  type Put,
  type StoredEntry,
  startCacheServer,
} from '../../support/cache-server.ts';
import { REPOSITORY, refOf, SHAS } from '../../support/events.ts';
import {
  type GitHubFault,
  type GitHubServer,
  type GitHubServerOptions,
  startGitHubServer,
} from '../../support/github-server.ts';
import type { Action } from './action.ts';
import { assertFault, type Fault } from './faults.ts';
import { type Outcome, type Runner, runStep, type StepOptions } from './spawn.ts';
import { checkout, type SuiteOptions, suite } from './suites.ts';

export const MAIN = refOf('push');
export const PULL = refOf('pull_request');

const TOKEN = 'ghs_that-nobody-may-see';
/** Of the last run: they grow, and a refresh holds to that. */
let lastRun = 2_000_000_000_000;

/** A suite that keeps its baselines in the cache. */
export const cached = (options: SuiteOptions = {}): string =>
  suite({ name: 'a', ...options, baseline: { store: 'cache', ...options.baseline } });

export interface Asked extends Omit<StepOptions, 'github'> {
  readonly mode?: 'check' | 'refresh';
  /** What of the checkout's suite differs from the base branch's usual one. */
  readonly suite?: SuiteOptions;
  /** What the job's token for the cache may do, and on which branches. */
  readonly job?: Partial<CacheJob>;
  /** A new one unless given. */
  readonly runner?: Runner;
}

/** A step that ended, and where. */
export interface Stepped extends Outcome {
  readonly runner: Runner;
}

/** A repository on GitHub: its API, its cache, and runners for its jobs. */
export interface Hosted extends AsyncDisposable {
  readonly cache: CacheServer;
  readonly github: GitHubServer;
  /** What the base branch holds, by path; may change between two steps. */
  readonly base: Record<string, string>;
  /** A check on a pull request unless told otherwise, in the `process` runtime. */
  step(asked?: Asked): Promise<Stepped>;
  /** By a dispatch on the default branch unless told otherwise. */
  refresh(asked?: Asked): Promise<Stepped>;
  /** What is stored, as a list that can be compared. */
  stored(): readonly Pick<StoredEntry, 'id' | 'key' | 'ref'>[];
}

export interface HostedOptions {
  readonly permissions?: GitHubServerOptions['permissions'];
  /** The base branch's suite; null for none. */
  readonly base?: SuiteOptions | null;
  /** What lies in its cache from the start, on the default branch. */
  readonly seeds?: readonly Put[];
  /** How its jobs run their step: by the built action unless told otherwise. */
  readonly by?: typeof runStep;
}

export async function hosted(action: Action, options: HostedOptions = {}): Promise<Hosted> {
  const {
    permissions = ['actions', 'contents', 'pull-requests:write'],
    base: baseSuite = {},
    seeds = [],
    by = runStep,
  } = options;
  const owned = new AsyncDisposableStack();
  const cache = owned.use(await startCacheServer());
  for (const seed of seeds) cache.put(seed);
  const base: Record<string, string> = baseSuite === null ? {} : { 'determinism.yml': cached(baseSuite) };
  const github = owned.use(
    await startGitHubServer({
      ...{ repository: REPOSITORY, token: TOKEN, permissions, caches: cache },
      contents: baseBranch(base),
      parents: { [TIP]: [SHAS.commit], [SHAS.commit]: [SHAS.base] },
    }),
  );

  const step: Hosted['step'] = async (asked = {}) => {
    const {
      mode = 'check',
      suite: differs = {},
      job = {},
      event = 'pull_request',
      env = {},
      ...rest
    } = asked;
    const { ref = refOf(event), runner = owned.use(await checkout()) } = asked;
    await runner.write('determinism.yml', cached(differs));
    lastRun += 1;
    const given: Readonly<Record<string, string>> = {
      GITHUB_RUN_ID: String(lastRun),
      ...cache.job({ ref, ...(ref === PULL ? { base: MAIN } : {}), default: MAIN, ...job }),
      ...env,
    };
    const outcome = await by(action, runner, {
      ...rest,
      ...{ event, ref, env: given, github: { url: github.url, token: TOKEN } },
      with: { runtime: 'process', mode, ...rest.with },
    });
    assertSecretsKept(outcome, [TOKEN, given['ACTIONS_RUNTIME_TOKEN'] ?? TOKEN]);
    return { ...outcome, runner };
  };
  return {
    ...{ cache, github, base, step },
    refresh: async (asked = {}) =>
      await step({
        event: 'workflow_dispatch',
        mode: 'refresh',
        ...asked,
        with: { reason: 'first one', ...asked.with },
      }),
    stored: () => cache.entries.map(({ id, key, ref }) => ({ id, key, ref })),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

const TIP = 'ba5e'.repeat(10);

/**
 * Where GitHub has the files of the branch that a pull request is to go into: at its tip, not at the commit that the
 * event names, whose suite would let anything pass.
 */
function baseBranch(files: Readonly<Record<string, string>>): NonNullable<GitHubServerOptions['contents']> {
  const old = { 'determinism.yml': cached({ relations: ['rerun'] }) };
  const commits = { [SHAS.base]: old, [SHAS.commit]: old, [TIP]: files };
  return { kind: 'commits', commits, heads: { main: TIP } };
}

/** Neither a token nor the signature of an address stands anywhere that somebody reads. */
function assertSecretsKept({ log, summary, outputs, state }: Outcome, secrets: readonly string[]): void {
  const shown = [log, summary, JSON.stringify([outputs, state])].join('\n');
  for (const secret of secrets) assert.ok(!shown.includes(secret), 'a token is told to nobody');
  assert.doesNotMatch(shown, /[?&]sig=(?!\*\*\*)/, 'a signature is told to nobody');
}

/** The step failed with this, stored nothing, and left nothing in the runner's temporary folder. */
export async function assertFailed(
  { stored }: Pick<Hosted, 'stored'>,
  before: ReturnType<Hosted['stored']>,
  stepped: Stepped,
  fault: Fault,
): Promise<void> {
  await assertFault(stepped, stepped.runner, fault);
  assert.deepEqual(stored(), before, 'nothing is stored');
}

/** `title: message` of each annotation of a level that the runner shows. */
export const annotated = ({ commands }: Outcome, level: 'warning' | 'error'): readonly string[] =>
  commands
    .filter(({ command }) => command === level)
    .map(({ properties, data }) => `${properties['title'] ?? ''}: ${data}`);

/** The step came to this, with this baseline where one is named. */
export function assertConcluded(
  { outputs, exitCode, log }: Outcome,
  conclusion: Conclusion,
  verdict: Verdict,
  key?: string,
): void {
  assert.equal(outputs['error-code'] ?? '', '', log);
  assert.deepEqual([outputs['conclusion'], outputs['verdict']], [conclusion, verdict], log);
  assert.equal(exitCode, verdict === 'fail' ? 1 : 0);
  if (key !== undefined) assert.equal(outputs['baseline-key'], key);
}

export function assertWarned(outcome: Outcome, ...says: readonly RegExp[]): void {
  const all = annotated(outcome, 'warning').join('\n\n');
  for (const say of says) assert.match(all, say);
}

/** What goes wrong, and what must then be told. */
export interface Trouble extends Fault {
  readonly cache?: CacheFault;
  readonly github?: GitHubFault;
  /** What is otherwise about the job. */
  readonly job?: Pick<Asked, 'job' | 'env'>;
}

export async function assertTrouble(
  repository: Hosted,
  { cache, github, job = {}, ...fault }: Trouble,
  step: (job: Asked) => Promise<Stepped>,
): Promise<void> {
  if (cache !== undefined) repository.cache.faults.push(cache);
  if (github !== undefined) repository.github.faults.push(github);
  const before = repository.stored();
  await assertFailed(repository, before, await step(job), fault);
}

export type Member = Parameters<ReturnType<typeof pack>['entry']>[0];

/** Where the members of a baseline's archive lie. */
export const INSIDE = CACHED_PATH;

/** A tar archive as an entry of the cache holds it, of members that @actions/cache may never have made. */
export async function archiveOf(...members: readonly Member[]): Promise<Buffer> {
  const archive = pack();
  for (const member of members) archive.entry(member, member.type === undefined ? 'hostile' : '');
  archive.finalize();
  return gzipSync(await buffer(archive));
}

const GIB = 1024 ** 3;

/** A file of 10 GB of zeros, in 10 MB: gzip takes one part after another. */
export async function bomb(name: string): Promise<Buffer> {
  const head = await archiveOf({ name, pax: { size: String(10 * GIB) } });
  const zeros = gzipSync(Buffer.alloc(GIB / 16));
  return Buffer.concat([head, ...Array.from({ length: 160 }, () => zeros)]);
}

import { createCacheStore } from '../baseline/cache/store.ts';
import { createFilesStore } from '../baseline/files.ts';
import type { BaselineStore } from '../baseline/port.ts';
import { readHarness } from '../disk/harness-files.ts';
import type { LoadedSuite } from '../disk/suite-file.ts';
import { fetchModel } from '../engine/fetch.ts';
import { type GitHubApi, githubApi } from '../github/api.ts';
import { type GitHubPosts, githubPosts } from '../github/posts.ts';
import type { Settings } from '../job/settings.ts';
import { ProgressLine } from '../run/progress.ts';
import type { Tools } from '../run/start.ts';
import { chooseRuntime } from '../runtime/choose.ts';
import type { Runtime } from '../runtime/port.ts';

/** The store that the suite names. */
export function openStore(
  { suite }: LoadedSuite,
  settings: Settings,
  { console, signal }: Tools,
): BaselineStore {
  const { environment: env, temporary: tempFolder, workspace, situation } = settings;
  const log = (line: string) => console.info(line);
  switch (suite.baseline.store) {
    case 'cache': {
      const { defaultBranch, base, ref: ownRef } = situation;
      const trustedRefs = new Set([
        ...(defaultBranch === undefined ? [] : [`refs/heads/${defaultBranch}`]),
        ...(base === undefined ? [] : [base]),
      ]);
      const listing = openGitHub(settings, { signal });
      return createCacheStore({
        env,
        tempFolder,
        log,
        signal,
        listing,
        trustedRefs: [...trustedRefs],
        ownRef,
      });
    }
    case 'files':
      return createFilesStore({ workspace, path: suite.baseline.path, tempFolder, log });
  }
}

/** GitHub's REST API, with the token of the job. */
export const openGitHub = (settings: Settings, tools: Pick<Tools, 'signal'>): GitHubApi =>
  githubApi(apiOptions(settings, tools));

/** The same, to write. */
export const openPosts = (settings: Settings, tools: Pick<Tools, 'signal'>): GitHubPosts =>
  githubPosts(apiOptions(settings, tools));

const apiOptions = ({ environment, job, githubToken }: Settings, { signal }: Pick<Tools, 'signal'>) => ({
  url: environment['GITHUB_API_URL'] ?? 'https://api.github.com',
  repository: job.repository,
  token: githubToken,
  signal,
  env: environment,
});

/** The runtime that inputs and suite ask for, with its image in place. */
export async function openRuntime(
  { suite }: LoadedSuite,
  settings: Settings,
  { console, signal }: Tools,
): Promise<Runtime> {
  const { environment, hubToken, timeoutSeconds, inactivitySeconds, job } = settings;
  const line = new ProgressLine(Date.now);
  return await chooseRuntime({
    choice: settings.runtime,
    runtime: suite.runtime,
    devices: settings.gpuDevices,
    python: settings.python,
    workspace: settings.workspace,
    stateDir: settings.statePath,
    job,
    user: { uid: process.getuid?.() ?? 1000, gid: process.getgid?.() ?? 1000 },
    now: () => Date.now() / 1000,
    environment,
    hub: { token: hubToken, endpoint: environment['HF_ENDPOINT'] },
    fetchModel: async (start, request, { log, onProgress, deadlineSeconds }) =>
      await fetchModel(
        {
          harness: await readHarness(settings.harnessPath),
          start,
          inactivitySeconds,
          deadlineSeconds,
          signal,
          onOutput: log,
          onProgress: ({ what, done, total }) => onProgress(what, done, total),
        },
        request,
      ),
    deadlineSeconds: timeoutSeconds,
    signal,
    log: (text) => console.info(text),
    onProgress: (what, done, total) =>
      console.progress(what, line.bytes(what, done, total), total > 0 ? done / total : undefined),
  });
}

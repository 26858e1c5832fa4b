import { createCacheStore } from './baseline/cache.ts';
import { createFilesStore } from './baseline/files.ts';
import type { BaselineStore } from './baseline/store.ts';
import { readHarness } from './disk/harness-files.ts';
import type { LoadedSuite } from './disk/suite-file.ts';
import { fetchModel } from './engine/fetch.ts';
import type { Runtime } from './engine/runtime.ts';
import { chooseRuntime } from './engine/runtimes/choose.ts';
import { bytes } from './report/progress.ts';
import type { Tools } from './run.ts';
import type { Settings } from './settings.ts';

/** The store that the suite names. */
export function openStore(
  { suite }: LoadedSuite,
  settings: Settings,
  { console, signal }: Tools,
): BaselineStore {
  const { environment: env, temporary: tempFolder, workspace } = settings;
  const log = (line: string) => console.info(line);
  switch (suite.baseline.store) {
    case 'cache':
      return createCacheStore({ env, tempFolder, log, signal });
    case 'files':
      return createFilesStore({ workspace, path: suite.baseline.path, tempFolder, log });
  }
}

/** The runtime that inputs and suite ask for, with its image in place. */
export async function openRuntime(
  { suite }: LoadedSuite,
  settings: Settings,
  { console, signal }: Tools,
): Promise<Runtime> {
  const { environment, hubToken, timeoutSeconds, inactivitySeconds, job } = settings;
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
    log: (line) => console.info(line),
    onProgress: (what, done, total) =>
      console.progress(what, `${what}: ${bytes(done)}${total > 0 ? ` of ${bytes(total)}` : ''}`),
  });
}

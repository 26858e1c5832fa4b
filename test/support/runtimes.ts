import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Models } from '../../src/engine/runtime.ts';
import { type ModelsOptions, openModels } from '../../src/model/store.ts';
import type { RuntimeOptions } from '../../src/runtime/choose.ts';
import { thisMoment } from '../../src/runtime/clock.ts';
import { type Launch, readLauncher } from '../../src/suite/launcher.ts';
import { folderOfProcess } from './folders.ts';

export { temporaryFolder } from './folders.ts';

/** The models of this machine, for a repository's runs; without a state folder nothing outlives a test. */
export function models(overrides: Partial<ModelsOptions> = {}): Models {
  return openModels({
    stateFolder: join(folderOfProcess(), 'state'),
    repository: 'test/test',
    hub: { endpoint: 'http://127.0.0.1:1', token: undefined, environment: {} },
    deadlineSeconds: 600,
    signal: new AbortController().signal,
    log: () => {},
    onProgress: () => {},
    ...overrides,
  });
}

/** What a launcher's words take an engine to, as the inputs have it. */
export function launchOf(words: string, more: Partial<Launch> = {}): NonNullable<RuntimeOptions['launch']> {
  const read = readLauncher(words);
  if ('problem' in read) throw new Error(read.problem);
  const [keeper, fetcher] = ['far.py', 'fetch.py'].map((name) =>
    readFileSync(new URL(`../../docker/harness/${name}`, import.meta.url), 'utf8'),
  ) as [string, string];
  return { launch: { argv: read.ok, python: 'python3', model: undefined, ...more }, keeper, fetcher };
}

/** Options of a run that nobody else has, on the CPU. */
export function runtimeOptions(overrides: Partial<RuntimeOptions> = {}): RuntimeOptions {
  return {
    keptCaches: undefined,
    choice: 'auto',
    runtime: { gpus: 'none', shm: '64MiB' },
    devices: [],
    cpuSets: [],
    atOnce: { planned: 1, most: 1 },
    python: 'python3',
    isolation: 'auto',
    knowsHubToken: false,
    workspace: process.cwd(),
    job: { repository: 'test/test', run: randomUUID(), attempt: '1', runner: 'test' },
    user: { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
    now: thisMoment,
    environment: { PATH: process.env['PATH'], HOME: process.env['HOME'] },
    models: models(),
    inactivitySeconds: 60,
    deadlineSeconds: 600,
    signal: new AbortController().signal,
    log: () => {},
    onProgress: () => {},
    ...overrides,
  };
}

/** Ids of the processes of this machine, those in containers included, whose command line holds a text. */
export async function processesWith(text: string): Promise<number[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(
    pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
  );
  return pids.filter((_, index) => commands[index]?.includes(text)).map(Number);
}

/** Waits until something holds; how long that took is nobody's claim. */
export async function until(condition: () => Promise<boolean>, what: string, seconds = 30): Promise<void> {
  const end = performance.now() + seconds * 1000;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}`);
    await delay(20);
  }
}

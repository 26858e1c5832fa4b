import { join } from 'node:path';
import { markerOf } from '../baseline/cache/mark.ts';
import type { BaselineStore } from '../baseline/port.ts';
import { openCaches } from '../caches/store.ts';
import { openCheckout } from '../disk/checkout.ts';
import { openDocuments } from '../disk/documents.ts';
import { readWorkflows } from '../disk/example-workflows.ts';
import { readFleet } from '../disk/fleet-file.ts';
import { foreignFolders } from '../disk/foreign.ts';
import { readFarSide, readHarness } from '../disk/harness-files.ts';
import { findLeftovers } from '../disk/leftovers.ts';
import { LogFile } from '../disk/log-file.ts';
import { findRecords, recordBatch } from '../disk/record-batch.ts';
import {
  keepCopy,
  missingRecord,
  openRecord,
  RecordWriter,
  readBaselineMeta,
  writeBaselineMeta,
} from '../disk/record-folder.ts';
import { readReport, writeText } from '../disk/report-file.ts';
import { findReports } from '../disk/report-folder.ts';
import { changeSuite, filesOfSuite, loadSuite, openSuiteText } from '../disk/suite-file.ts';
import { openWatching } from '../disk/watching.ts';
import { engineNamed, engines } from '../engine/engines/index.ts';
import { KeptEngine } from '../engine/kept.ts';
import type { JobIdentity, Runtime } from '../engine/runtime.ts';
import { githubApi } from '../github/api.ts';
import { githubPosts } from '../github/posts.ts';
import type { Situation } from '../job/situation.ts';
import type { Records, Reports, Tools } from '../job/tools.ts';
import { commitOf } from '../model/commit.ts';
import { modelFiles } from '../model/files.ts';
import { openModels } from '../model/store.ts';
import { ProgressLine } from '../run/progress.ts';
import { chooseRuntime, type RuntimeChoice, type RuntimeOptions, refuseUnpinned } from '../runtime/choose.ts';
import { thisMoment } from '../runtime/clock.ts';
import type { IsolationChoice } from '../runtime/options.ts';
import { digestOfImage } from '../runtime/registry.ts';
import type { Launch } from '../suite/launcher.ts';
import type { Suite } from '../suite/schema.ts';
import { terminalAsk, terminalKeys } from './ask.ts';
import { refusePlatform } from './platform.ts';
import { stores } from './stores.ts';
import { PROGRAMS, SUITE_SCHEMA } from './suites.ts';

/** What the adapters need, and nobody else gets: tokens, the environment, folders of this machine. */
export interface Connections {
  /** As the door was given it: the adapters pick from it by name. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Reads the base branch's suite and the list of caches; undefined where nobody gave one. */
  readonly githubToken: string | undefined;
  readonly hubToken: string | undefined;
  /** Of the endpoint that a suite names; nobody else is sent it. */
  readonly endpointKey: string | undefined;
  readonly runtime: RuntimeChoice;
  readonly python: string;
  /** Of the launcher runtime. */
  readonly launch: Launch | undefined;
  readonly isolation: IsolationChoice;
  readonly gpuDevices: readonly string[];
  readonly cpuSets: readonly string[];
  readonly timeoutSeconds: number;
  readonly inactivitySeconds: number;
  readonly job: JobIdentity;
  /** Absolute folder of the checkout. */
  readonly workspace: string;
  /** Absolute folder of private copies, gone after the run. */
  readonly temporary: string;
  /** Absolute folder of what outlives a run on this machine: digests of weights, fetched models. */
  readonly statePath: string;
  /** Absolute folder of the harness's Python files. */
  readonly harnessPath: string;
}

/** What every use-case is handed: nothing is opened before it is asked for. */
export function wire(
  given: Connections,
  situation: Pick<Situation, 'defaultBranch' | 'base' | 'ref'>,
  { console, signal }: Pick<Tools, 'console' | 'signal'>,
): Tools {
  const told = { console, signal };
  const { environment, harnessPath, workspace } = given;
  const api = {
    url: environment['GITHUB_API_URL'] ?? 'https://api.github.com',
    repository: given.job.repository,
    token: given.githubToken,
    signal,
    env: environment,
  };
  return {
    ...told,
    suiteSchema: SUITE_SCHEMA,
    open: {
      suite: (path) => loadSuite(path, workspace, SUITE_SCHEMA, PROGRAMS),
      changed: (loaded, change) => changeSuite(loaded, change, workspace, SUITE_SCHEMA, PROGRAMS),
      store: (baseline, own) => openStore(baseline, own, given, situation, githubApi(api), told),
      suiteText: (path) => openSuiteText(path, workspace),
      pins: () => ({
        commit: (model, ref) => commitOf({ ...hub(given), signal }, model, ref),
        digest: (image) => digestOfImage(image, { environment, signal }),
      }),
      checkout: () => openCheckout(workspace),
      workflows: () => readWorkflows(join(harnessPath, '../../examples/workflows')),
      servers: () =>
        engines.flatMap(({ name: engine, served }) =>
          served === undefined ? [] : [{ engine, programs: served.programs }],
        ),
      imageOf: (name) => engineNamed(name).image,
      runsProgram: (name) => engineNamed(name).program === true,
      isModelless: (name) => engineNamed(name).probes !== undefined,
      ask: () => terminalAsk(signal),
      keys: () => terminalKeys(signal),
      image: refuseUnpinned,
      modelFiles,
      runtime: async (runtime, keepsCaches, atOnce, endpoint) =>
        endpoint === undefined
          ? await openRuntime(runtime, keepsCaches, atOnce, given, told)
          : (await import('../endpoint/runtime.ts')).openEndpoint({
              ...{ endpoint, environment, key: given.endpointKey },
              log: (line) => console.info(line),
            }),
      fleet: (path) => readFleet(path, workspace),
      through: (launch, own) => (runtime, keepsCaches, atOnce) =>
        openRuntime(runtime, keepsCaches, atOnce, { ...given, ...own, launch, runtime: 'launcher' }, own),
      caches: () =>
        openCaches({
          stateFolder: given.statePath,
          repository: given.job.repository,
          signal,
          log: (line) => console.info(line),
        }),
      harness: (engine) =>
        readHarness(harnessPath, { program: engine.program === true, without: othersThan(engine) }),
      filesOf: (path) => filesOfSuite(path, workspace, SUITE_SCHEMA),
      kept: (sources) => new KeptEngine(sources),
      watching: (apart) => openWatching(signal, apart),
      log: (path) => LogFile.create(path, workspace),
      leftovers: () =>
        findLeftovers(given.statePath, [
          environment['TMPDIR'] ?? '/tmp',
          given.temporary,
          join(given.statePath, 'caches'),
        ]),
      documents: () => openDocuments(workspace),
      github: () => githubApi(api),
      posts: () => githubPosts(api),
    },
    records,
    reports,
    many: { results: foreignFolders, records: findRecords, place: recordBatch },
  };
}

/** Engines whose halves of the harness another has no use for: of probes each has, as they are called beside any model. */
const othersThan = (engine: { readonly name: string }): string[] =>
  engines.filter(({ name, probes }) => name !== engine.name && probes === undefined).map(({ name }) => name);

export const records: Records = {
  create: (folder) => RecordWriter.create(folder),
  missing: missingRecord,
  open: openRecord,
  metaOf: readBaselineMeta,
  addMeta: writeBaselineMeta,
  keepCopy,
};

export const reports: Reports = { write: writeText, read: readReport, find: findReports };

function openStore(
  { store, path }: Suite['baseline'],
  own: readonly string[] = [],
  { environment, temporary: tempFolder, workspace }: Connections,
  { defaultBranch, base, ref: ownRef }: Pick<Situation, 'defaultBranch' | 'base' | 'ref'>,
  listing: ReturnType<typeof githubApi>,
  { console, signal }: Pick<Tools, 'console' | 'signal'>,
): BaselineStore {
  const kind = stores.find(({ name }) => name === store);
  if (kind === undefined) throw new Error(`no store is called ${store}`);
  // What a branch has of its own counts before what it has from the default one.
  const trustedRefs = new Set([
    ...own,
    ...(base === undefined ? [] : [base]),
    ...(defaultBranch === undefined ? [] : [`refs/heads/${defaultBranch}`]),
  ]);
  const shared = {
    ...{ marks: listing, trustedRefs: [...trustedRefs], signal },
    log: (line: string) => console.info(line),
  };
  return kind.open({
    ...{ path, workspace, tempFolder, environment, listing, ownRef },
    ...shared,
    marker: markerOf({ ...shared, env: environment }),
  });
}

async function openRuntime(
  runtime: Suite['runtime'],
  keepsCaches: boolean,
  atOnce: RuntimeOptions['atOnce'],
  given: Connections,
  { console, signal }: Pick<Tools, 'console' | 'signal'>,
): Promise<Runtime> {
  refusePlatform(process.platform);
  const { environment, timeoutSeconds: deadlineSeconds } = given;
  const line = new ProgressLine(Date.now);
  const told = {
    deadlineSeconds,
    signal,
    log: (text: string) => console.info(text),
    onProgress: (what: string, done: number, total: number) =>
      console.progress(what, line.bytes(what, done, total), total > 0 ? done / total : undefined),
  };
  return await chooseRuntime({
    ...told,
    keptCaches: keepsCaches ? join(given.statePath, 'caches') : undefined,
    choice: given.runtime,
    runtime,
    devices: given.gpuDevices,
    cpuSets: given.cpuSets,
    atOnce,
    python: given.python,
    launch: given.launch && { launch: given.launch, ...(await readFarSide(given.harnessPath)) },
    isolation: given.isolation,
    knowsHubToken: given.hubToken !== undefined,
    workspace: given.workspace,
    job: given.job,
    user: { uid: process.getuid?.() ?? 1000, gid: process.getgid?.() ?? 1000 },
    now: thisMoment,
    environment,
    models: openModels({
      ...told,
      stateFolder: given.statePath,
      repository: given.job.repository,
      // The token stays in this process: what is fetched is fetched here.
      hub: hub(given),
    }),
    inactivitySeconds: given.inactivitySeconds,
  });
}

const hub = ({ hubToken: token, environment }: Connections) => ({
  ...{ token, environment },
  endpoint: environment['HF_ENDPOINT'],
});

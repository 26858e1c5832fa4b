import { access, constants, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises';
import { delimiter, dirname, join, resolve } from 'node:path';
import type { Environment } from '../options.ts';
import { isBelow } from './mounts.ts';

/** Whom an engine runs as; groups beside the own one. */
export interface EngineUser {
  readonly uid: number;
  readonly gid: number;
  readonly groups: readonly number[];
}

/** The job's own: what the runner reads after a step, tokens of a checkout, what names the machine to others. */
export async function jobFolders(environment: Environment): Promise<string[]> {
  const { RUNNER_TEMP: temp, GITHUB_WORKSPACE: workspace, HOME: home } = environment;
  return await existing([
    ...(temp ? [temp, ...commandFiles(environment).map((file) => dirname(file))] : []).filter((folder) =>
      isBelow(folder, temp ?? ''),
    ),
    ...(workspace ? (await checkouts(workspace)).map((folder) => join(folder, '.git')) : []),
    ...(environment['XDG_RUNTIME_DIR'] ? [environment['XDG_RUNTIME_DIR']] : []),
    ...(home ? CREDENTIALS.folders.map((folder) => join(home, folder)) : []),
  ]);
}

export async function jobFiles(environment: Environment): Promise<string[]> {
  const { RUNNER_TEMP: temp, HOME: home } = environment;
  return await existing([
    ...commandFiles(environment),
    // The folder of the runner's own program is two above its temporary one.
    ...(temp ? RUNNER_FILES.map((file) => resolve(temp, '../..', file)) : []),
    ...(home ? CREDENTIALS.files.map((file) => join(home, file)) : []),
  ]);
}

const commandFiles = (environment: Environment) =>
  ['ENV', 'OUTPUT', 'PATH', 'STATE', 'STEP_SUMMARY', 'EVENT_PATH'].flatMap(
    (name) => environment[`GITHUB_${name}`] || [],
  );

const RUNNER_FILES = ['.credentials', '.credentials_rsaparams', '.env', '.runner'];
const CREDENTIALS = {
  folders: ['.ssh', '.aws', '.azure', '.kube', '.docker', '.gnupg', '.config/gh', '.config/gcloud'],
  files: ['.netrc', '.git-credentials', '.npmrc', '.pypirc', '.cache/huggingface/token'],
};

/** A workflow checks others out beside its own, as `path: name` or `path: owner/name`. */
async function checkouts(folder: string, depth = 2): Promise<string[]> {
  if (depth === 0) return [folder];
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const below = entries
    .filter((one) => one.isDirectory() && one.name !== '.git')
    .map(({ name }) => checkouts(join(folder, name), depth - 1));
  return [folder, ...(await Promise.all(below)).flat()];
}

/** What the job will run or read after the engine, where it could lie in a folder that everybody writes to. */
export async function jobPrograms({
  RUNNER_TEMP: temp,
  GITHUB_WORKSPACE: workspace,
  RUNNER_TOOL_CACHE: tools,
}: Environment): Promise<string[]> {
  return await existing([
    ...(temp ? [dirname(temp)] : []),
    ...(workspace ? [workspace] : []),
    ...(tools ? [tools] : []),
    import.meta.dirname,
    dirname(process.execPath),
  ]);
}

/** Sockets that a user may write to: behind them are the daemons of containers, the session's manager, runtimes' debuggers. */
export async function openSockets(user: EngineUser | undefined): Promise<string[]> {
  const table = await readFile('/proc/net/unix', 'utf8').catch(() => '');
  const paths = table
    .split('\n')
    .map((line) => line.slice(line.indexOf('/')))
    .filter((path) => path.startsWith('/') && !GPU_SOCKET.test(path));
  const found = await existing(paths);
  const open = await Promise.all(found.map((path) => mayWrite(path, user)));
  return found.filter((_, index) => open[index]);
}

/** CUDA's own service for sharing a GPU, and the like. */
const GPU_SOCKET = /nvidia/;

/** Folders that a Python is made of: where each link on the way to it lies, and what the environment adds. */
export async function pythonFolders(python: string, environment: Environment): Promise<string[]> {
  const listed = ['PYTHONPATH', 'LD_LIBRARY_PATH'].flatMap((name) =>
    (environment[name] ?? '').split(delimiter),
  );
  const roots = ['VIRTUAL_ENV', 'CONDA_PREFIX', 'PYTHONUSERBASE'].map((name) => environment[name] ?? '');
  const programs: string[] = [];
  for (let program: string | undefined = python; program !== undefined && programs.length < 40; ) {
    programs.push(program);
    const link: string | undefined = await readlink(program).catch(() => undefined);
    program = link === undefined ? undefined : resolve(dirname(program), link);
  }
  return await existing([
    ...programs.map((program) => resolve(program, '../..')),
    ...[...listed, ...roots].filter((path) => path.startsWith('/')),
  ]);
}

/** The outermost folders above what a user is to reach that do not let it through. */
export async function closedAbove(paths: readonly string[], user: EngineUser): Promise<string[]> {
  const found = new Set<string>();
  for (const path of paths)
    for (const parent of parentsOf(path)) {
      if (await mayEnter(parent, user)) continue;
      found.add(parent);
      break;
    }
  return [...found];
}

/** From below the root downwards, without the path itself. */
function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
}

/** Groups that devices of GPUs are open to, where they are not open to all. */
export async function deviceGroups(): Promise<number[]> {
  const names = await Promise.all(
    ['/dev', '/dev/dri'].map(async (folder) =>
      (await readdir(folder).catch(() => [])).map((name) => join(folder, name)),
    ),
  );
  const devices = names.flat().filter((name) => /\/(nvidia[^/]*|kfd|renderD\d+)$/.test(name));
  const stats = await Promise.all(devices.map((device) => stat(device).catch(() => undefined)));
  return [
    ...new Set(
      stats.flatMap((one) =>
        one !== undefined && (one.mode & 0o006) !== 0o006 && (one.mode & 0o060) === 0o060 && one.gid !== 0
          ? [one.gid]
          : [],
      ),
    ),
  ];
}

async function mayEnter(path: string, user: EngineUser): Promise<boolean> {
  const { uid, gid, mode } = await stat(path);
  if (uid === user.uid) return (mode & 0o100) !== 0;
  return (mode & ([user.gid, ...user.groups].includes(gid) ? 0o010 : 0o001)) !== 0;
}

async function mayWrite(path: string, user: EngineUser | undefined): Promise<boolean> {
  if (user !== undefined) {
    // One whose program has ended since it was listed: nobody is behind it any more.
    const seen = await stat(path).catch(() => undefined);
    return seen !== undefined && (seen.mode & 0o002) !== 0;
  }
  return await access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** Without links, and without what is not there; each once. */
export async function existing(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(paths.map((path) => realpath(path).catch(() => undefined)));
  return [...new Set(found.filter((path) => path !== undefined))];
}

/** Those in a folder that everybody may write to: all others are sealed with the mount that they lie on. */
export const within = (paths: readonly string[], folders: readonly string[]): string[] =>
  paths.filter((path) => folders.some((folder) => isBelow(path, folder)));

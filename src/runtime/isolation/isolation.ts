import { access, chown, constants, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Environment } from '../options.ts';
import { quoted } from '../quoted.ts';
import { isBelow, parseMounts } from './mounts.ts';
import {
  closedAbove,
  deviceGroups,
  type EngineUser,
  existing,
  jobFiles,
  jobFolders,
  jobPrograms,
  openSockets,
  pythonFolders,
  within,
} from './places.ts';
import { viewScript } from './script.ts';

/** What one program is to reach. Absolute paths. */
export interface Reach {
  /** Its own folder, where it starts. */
  readonly scratch: string;
  readonly readable: readonly string[];
  /** Folders of ours beside its own that it writes to. */
  readonly writable?: readonly string[];
}

/**
 * How far a program is kept from the job that starts it.
 *
 * - `namespaces`: it sees no process but its own, none of the job's files, and writes to its own folders alone; where
 *   the job is root's, it is another user too.
 * - `user`: it is another user than the job, root's, whose processes it can neither read nor touch.
 * - `none`: it is the job's user among the job's processes.
 */
export interface Isolation {
  readonly level: 'namespaces' | 'user' | 'none';
  /** What keeps it from more, each in the machine's own words; empty for `namespaces`. */
  readonly reasons: readonly string[];
  /** The command that runs a program so. The program's own LD_LIBRARY_PATH is not the tools'. */
  command(program: readonly string[], environment: Environment, reach: Reach): Promise<readonly string[]>;
  /** Gives it a folder of ours. */
  give(folder: string): Promise<void>;
}

export interface IsolationOptions {
  /** The job's. */
  readonly environment: Environment;
  /** Absolute. */
  readonly python: string;
  /** The run's own folder: what is tried has one in it. */
  readonly scratch: string;
  /** Whom this runner runs as. */
  readonly user: { readonly uid: number; readonly gid: number };
}

/** No isolation, for these reasons. */
export const NONE = (...reasons: string[]): Isolation => ({
  level: 'none',
  reasons,
  command: async (program) => program,
  give: async () => {},
});

/** The most that this machine lets us have: each is tried once, with a program that does nothing. */
export async function openIsolation(options: IsolationOptions): Promise<Isolation> {
  const { uid } = options.user;
  const tools = await findTools();
  if (typeof tools === 'string') return NONE(tools);
  const user = uid === 0 ? await otherUser() : undefined;
  const reasons: string[] = [];
  for (const make of [inNamespaces, ...(user === undefined ? [] : [asUser])]) {
    const isolation = make(options, tools, user, [...reasons]);
    const failure = await tryOut(isolation, options);
    if (failure === undefined) return isolation;
    reasons.push(failure);
  }
  return NONE(...reasons);
}

type System = Readonly<Record<(typeof TOOLS)[number], string>>;
const TOOLS = ['unshare', 'setpriv', 'mount', 'umount', 'mkdir', 'env', 'sh', 'test'] as const;
/** A tool of the job's own on PATH must not be what keeps the job's secrets. */
const SYSTEM_PATH = ['/usr/bin', '/bin', '/usr/sbin', '/sbin'];

/** Says which tool is missing. */
async function findTools(): Promise<System | string> {
  const found: Record<string, string> = {};
  for (const tool of TOOLS) {
    const [path] = await existingPrograms(SYSTEM_PATH.map((folder) => join(folder, tool)));
    if (path === undefined) return `\`${tool}\` (util-linux) is not installed`;
    found[tool] = path;
  }
  return found as System;
}

async function existingPrograms(paths: readonly string[]): Promise<string[]> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path, constants.X_OK).then(
        () => [path],
        () => [],
      ),
    ),
  );
  return found.flat();
}

/** Where the range begins that systemd gives to services without a name: nobody's. */
const NOBODYS = 61_184;
const otherUser = async (): Promise<EngineUser> => ({
  uid: NOBODYS,
  gid: NOBODYS,
  groups: await deviceGroups(),
});

function inNamespaces(
  { environment, python, user: owner }: IsolationOptions,
  system: System,
  user: EngineUser | undefined,
  reasons: readonly string[],
): Isolation {
  const { unshare, setpriv, sh } = system;
  return {
    level: 'namespaces',
    reasons,
    async command(program, programEnvironment, { scratch, readable, writable = [] }) {
      const mounts = parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
      const open = await existing(['/tmp', '/var/tmp', scratch, ...writable]);
      const kept = await existing([
        ...open.filter((path) => !isBelow('/var/tmp', path)),
        ...readable,
        ...(await pythonFolders(python, programEnvironment)),
      ]);
      const [folder = scratch] = await existing([scratch]);
      const script = viewScript(
        {
          mounts,
          writable: open,
          readOnly: within(await jobPrograms(environment), ['/tmp', '/var/tmp']).filter(
            (path) => !open.includes(path),
          ),
          covered: [
            ...(await jobFolders(environment)),
            // Another view of the machine's processes, as a changed root has one.
            ...(await existing(
              mounts.filter(({ type, at }) => type === 'proc' && !isBelow(at, '/proc')).map(({ at }) => at),
            )),
            ...(user === undefined ? [] : await closedAbove(kept, user)),
          ],
          kept,
          blanked: [...(await jobFiles(environment)), ...(await openSockets(user))],
          folder,
        },
        system,
      );
      const last =
        user === undefined
          ? // A namespace below the one that made the view: the kernel lets nobody in it take the view apart.
            [unshare, '--user', `--map-user=${owner.uid}`, `--map-group=${owner.gid}`, '--', setpriv]
          : [setpriv, ...become(user)];
      return [
        ...[setpriv, '--pdeathsig', 'KILL', '--', unshare],
        ...(user === undefined ? ['--user', '--map-root-user'] : []),
        // The first process of a namespace takes all others with it when it is killed.
        ...['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--'],
        ...[sh, '-c', `${script}\nexec "$@"`, 'view'],
        ...last,
        ...['--no-new-privs', '--pdeathsig', 'KILL', '--'],
        // It must not be the first process itself, to whom the kernel delivers no signal that it does not handle.
        ...[sh, '-c', '"$@"; exit $?', 'init'],
        ...withLibraries(program, programEnvironment, system),
      ];
    },
    give: async (folder) => await give(folder, user),
  };
}

function asUser(
  _: IsolationOptions,
  system: System,
  user: EngineUser | undefined,
  reasons: readonly string[],
): Isolation {
  return {
    level: 'user',
    reasons,
    command: async (program, programEnvironment) => [
      system.setpriv,
      ...(user === undefined ? [] : become(user)),
      ...['--no-new-privs', '--pdeathsig', 'KILL', '--'],
      ...withLibraries(program, programEnvironment, system),
    ],
    give: async (folder) => await give(folder, user),
  };
}

const become = ({ uid, gid, groups }: EngineUser) => [
  ...[`--reuid=${uid}`, `--regid=${gid}`],
  groups.length === 0 ? '--clear-groups' : `--groups=${groups.join()}`,
];

async function give(folder: string, user: EngineUser | undefined): Promise<void> {
  if (user !== undefined) await chown(folder, user.uid, user.gid);
}

const withLibraries = (
  program: readonly string[],
  { LD_LIBRARY_PATH: libraries }: Environment,
  { env }: System,
) => (libraries === undefined ? program : [env, `LD_LIBRARY_PATH=${libraries}`, ...program]);

/** Why it cannot be had; undefined where it can. What is tried is not the Python, which could choose to fail. */
async function tryOut(
  isolation: Isolation,
  { python, scratch: own }: IsolationOptions,
): Promise<string | undefined> {
  const { execa } = await import('execa');
  const scratch = join(own, 'try');
  await mkdir(scratch, { mode: 0o700 });
  try {
    await isolation.give(scratch);
    const program = ['/bin/sh', '-c', `[ -w . ] && [ -x ${quoted(python)} ]`];
    const [file = '', ...args] = await isolation.command(program, {}, { scratch, readable: [] });
    const { failed, exitCode, stderr, shortMessage } = await execa(file, args, {
      cwd: scratch,
      env: {},
      extendEnv: false,
      reject: false,
      stdin: 'ignore',
      timeout: 30_000,
    });
    if (!failed) return undefined;
    const said = stderr.trim().split('\n')[0] ?? '';
    if (said === '' && exitCode === 1 && !(await isThere(python))) return `there is no ${python}`;
    if (said === '' && exitCode === 1)
      return `as another user than root it may not start ${python}: open its folders (\`chmod -R a+rX\`)`;
    const why = said === '' ? shortMessage : said;
    const hint = await forbidden();
    return hint === undefined ? why : `${why} (${hint})`;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

const isThere = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

/** What an administrator has set against it. */
async function forbidden(): Promise<string | undefined> {
  for (const [name, value] of SWITCHES) {
    const found = await readFile(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').catch(() => '');
    if (found.trim() === value) return `${name} is ${value}`;
  }
  return undefined;
}

const SWITCHES = [
  ['kernel.apparmor_restrict_unprivileged_userns', '1'],
  ['kernel.unprivileged_userns_clone', '0'],
  ['user.max_user_namespaces', '0'],
] as const;

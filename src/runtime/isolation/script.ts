import { quoted } from '../quoted.ts';
import { isBelow, lockedFlags, type Mount, mountOf } from './mounts.ts';

/** What an engine finds in its own view of the machine's files. All paths are absolute and free of links. */
export interface View {
  /** The machine's mounts, as they are before. */
  readonly mounts: readonly Mount[];
  /** Folders that stay as they are, whatever they lie in. */
  readonly writable: readonly string[];
  /** Folders in a writable one that are not. */
  readonly readOnly: readonly string[];
  /** Folders that are empty for it. */
  readonly covered: readonly string[];
  /** Folders that it sees though they lie in a covered one. */
  readonly kept: readonly string[];
  /** Files and sockets that are not there for it. */
  readonly blanked: readonly string[];
  /** Where its program starts. */
  readonly folder: string;
}

/** Where the system keeps a tool: a name on PATH could be the job's own. */
export type Tools = Readonly<Record<'mount' | 'umount' | 'mkdir', string>>;

/** A place where what is kept can wait while its folder is covered: everywhere there, and never a model's. */
const WAITING = '/sys';

/** File systems that hold no files of anybody, or cannot be written to by their nature. */
const PSEUDO = ['proc', 'sysfs', 'devtmpfs', 'devpts', 'mqueue', 'cgroup', 'cgroup2', 'autofs', 'squashfs'];
const LEFT = ['/proc', '/dev', '/sys'];

/**
 * The part of a shell script that makes the view, in a mount namespace of its own: everything read-only, so that no
 * program that the job still runs is replaced by the engine's; and the job's own files and the machine's sockets gone.
 */
export function viewScript(view: View, { mount, umount, mkdir }: Tools): string {
  const { mounts, writable, readOnly, covered, kept, blanked, folder } = view;
  const remount = (at: string, flags: readonly string[]) =>
    `${mount} -n -o ${['remount', 'bind', 'ro', ...flags].join()} none ${quoted(at)}`;
  const own = parentsFirst([...writable, ...readOnly]);
  const staysWritable = (path: string) => {
    const nearest = own.filter((folder) => isBelow(path, folder)).at(-1);
    return nearest !== undefined && !readOnly.includes(nearest);
  };
  const sealed = mounts.filter(
    ({ at, type, options }) =>
      !PSEUDO.includes(type) &&
      !options.includes('ro') &&
      !LEFT.some((left) => isBelow(at, left)) &&
      !staysWritable(at),
  );
  const waiting = parentsFirst(kept.filter((path) => covered.some((cover) => isBelow(path, cover))));
  const restored = waiting.map((path, index) => ({ path, at: `${WAITING}/${index}` }));
  return [
    'set -e',
    'ulimit -c 0',
    'cd /',
    ...own.map((path) => `${mount} -n --rbind ${quoted(path)} ${quoted(path)}`),
    // One that cannot be reached by its path cannot be written to either.
    ...sealed.map((one) => `${remount(one.at, lockedFlags(one))} 2>/dev/null || :`),
    ...readOnly.map((path) => remount(path, flagsAt(path, mounts))),
    ...(restored.length > 0 ? [`${mount} -n -t tmpfs -o mode=755 tmpfs ${WAITING}`] : []),
    ...restored.flatMap(({ path, at }) => [`${mkdir} ${at}`, `${mount} -n --rbind ${quoted(path)} ${at}`]),
    ...parentsFirst(covered).flatMap((cover) => [
      `if [ -d ${quoted(cover)} ]; then`,
      `${mount} -n -t tmpfs -o mode=755,nosuid,nodev tmpfs ${quoted(cover)}`,
      ...restored
        .filter(({ path }) => isBelow(path, cover))
        .flatMap(({ path, at }) => [
          `${mkdir} -p ${quoted(path)}`,
          `${mount} -n --rbind ${at} ${quoted(path)}`,
        ]),
      ...(kept.includes(cover) ? [] : [remount(cover, ['nosuid', 'nodev'])]),
      'fi',
    ]),
    ...(restored.length > 0 ? [`${umount} -n -l ${WAITING}`] : []),
    ...blanked.map((path) => `[ ! -e ${quoted(path)} ] || ${mount} -n --bind /dev/null ${quoted(path)}`),
    // By the path: the folder that one started in is still the uncovered one, and so are its parents.
    `cd ${quoted(folder)}`,
  ].join('\n');
}

const parentsFirst = (paths: readonly string[]) =>
  [...new Set(paths)].sort((a, b) => a.length - b.length || (a < b ? -1 : 1));

function flagsAt(path: string, mounts: readonly Mount[]): string[] {
  const mount = mountOf(path, mounts);
  return mount === undefined ? [] : lockedFlags(mount);
}

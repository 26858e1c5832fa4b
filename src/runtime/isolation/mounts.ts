/** A line of /proc/self/mountinfo. */
export interface Mount {
  readonly at: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** In the table's own order: of two at one place the later one is seen. */
export function parseMounts(mountinfo: string): Mount[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , , at, options] = before.split(' ');
    const [type] = after.split(' ');
    if (at === undefined || options === undefined || type === undefined) return [];
    return [{ at: unescaped(at), type, options: options.split(',') }];
  });
}

/** The kernel writes space, tab, newline and backslash as three octal digits. */
const unescaped = (path: string) =>
  path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

export const isBelow = (path: string, folder: string): boolean =>
  path === folder || path.startsWith(folder === '/' ? '/' : `${folder}/`);

/** What a user namespace may not take off a mount that it was born with: a remount has to say it again. */
const LOCKED = ['nosuid', 'nodev', 'noexec', 'nosymfollow'];

export const lockedFlags = ({ options }: Mount): string[] =>
  options.filter((option) => LOCKED.includes(option));

/** The mount that a path lies on. */
export function mountOf(path: string, mounts: readonly Mount[]): Mount | undefined {
  return mounts
    .filter(({ at }) => isBelow(path, at))
    .reduce<Mount | undefined>(
      (deepest, mount) => (deepest === undefined || mount.at.length >= deepest.at.length ? mount : deepest),
      undefined,
    );
}

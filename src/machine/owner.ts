import { createHash } from 'node:crypto';
import { readFileSync, readlinkSync } from 'node:fs';

/** Which start of this machine this is; undefined where the system does not tell. */
export const bootId = (): string | undefined => read('/proc/sys/kernel/random/boot_id')?.trim();

/** Names this process so that another one can tell whether it is gone; undefined where the system has no /proc. */
export function ownerMark(): string | undefined {
  const own = self();
  return own && `${own.place} ${process.pid} ${own.started}\n`;
}

/** The same for a file's name, in which it stands from the beginning: between a folder and a mark in it a kill can come. */
export function ownerName(): string {
  const { place, started } = self() ?? { place: '', started: '0' };
  return `${process.pid}.${started}.${short(place)}`;
}

/**
 * Whether the process of a mark is gone; undefined where that cannot be told from here: it is of another start of a machine,
 * of a container's own list of processes, or the mark is none.
 */
export function isGone(mark: string): boolean | undefined {
  const [, place, pid = '', started] = /^(\S+ \S+) (\d{1,10}) (\d{1,20})\n$/.exec(mark) ?? [];
  return place !== undefined && place === here() ? startOf(pid) !== started : undefined;
}

/** As `isGone`, of a name. */
export function isNameGone(name: string): boolean | undefined {
  const [, pid = '', started, place] = /^(\d{1,10})\.(\d{1,20})\.([0-9a-f]{8})$/.exec(name) ?? [];
  const own = here();
  return own !== undefined && short(own) === place ? startOf(pid) !== started : undefined;
}

function self(): { readonly place: string; readonly started: string } | undefined {
  const place = here();
  const started = startOf('self');
  return place === undefined || started === undefined ? undefined : { place, started };
}

const short = (place: string) => createHash('sha256').update(place).digest('hex').slice(0, 8);

/** Where a process's number means one process. */
function here(): string | undefined {
  const boot = bootId();
  const numbers = link('/proc/self/ns/pid');
  return boot === undefined || numbers === undefined ? undefined : `${boot} ${numbers}`;
}

/** In clock ticks since the machine's start, which tells a later process with its number apart; undefined for one that is not there, or has ended and waits to be seen. */
function startOf(pid: string): string | undefined {
  // Its second field may hold spaces and parentheses.
  const fields = read(`/proc/${pid}/stat`)?.split(')').at(-1)?.trim().split(' ') ?? [];
  const [state = 'X'] = fields;
  return 'ZX'.includes(state) ? undefined : fields[19];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

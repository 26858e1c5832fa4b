import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import type { Exit } from '../engine/runtime.ts';

/** An exit as the port tells it. A shell, and an init as PID 1, tell a signal n as code 128 + n. */
export function exitOf(
  code: number | null,
  signal: string | null,
  outOfMemory: (signal: string | null) => boolean,
): Exit {
  const name = signal ?? signalOf(code);
  return { code, signal: name, outOfMemory: outOfMemory(name) };
}

function signalOf(code: number | null): string | null {
  if (code === null || code <= 128) return null;
  return Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0] ?? null;
}

/** A file's text; undefined where it cannot be read. */
type Read = (path: string) => string | undefined;

/**
 * How often this machine's kernel has killed for memory, in any control group and of either version; undefined
 * where that cannot be read. A control group's own `memory.events` is gone with its container.
 */
const ofMachine = (read: Read): number | undefined => counted(read('/proc/vmstat'));

/**
 * The same of this process's own control group, in which its children are: whom else the kernel killed says nothing of them.
 * Undefined where it has none whose memory is counted: version 2 keeps no such file for the machine's first group.
 */
function ofOwnGroup(read: Read): number | undefined {
  const groups = read('/proc/self/cgroup') ?? '';
  const first = /^\d+:(?:\w+,)*memory(?:,\w+)*:(\/.*)$/m.exec(groups)?.[1];
  const second = /^0::(\/.*)$/m.exec(groups)?.[1];
  // In a container the path may be the machine's, and what is mounted the container's own.
  const files =
    first !== undefined
      ? [first, ''].map((path) => `/sys/fs/cgroup/memory${path}/memory.oom_control`)
      : [second ?? '', ''].map((path) => `/sys/fs/cgroup${path}/memory.events`);
  for (const file of files) {
    const count = counted(read(file));
    if (count !== undefined) return count;
  }
  return undefined;
}

function counted(text: string | undefined): number | undefined {
  const count = /^oom_kill (\d+)$/m.exec(text ?? '')?.[1];
  return count === undefined ? undefined : Number(count);
}

function fromDisk(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * Watches the kernel's counter from now on.
 *
 * @param whose what may have been killed: a child of this process, or something in a control group that nobody can look at
 *   any more
 */
export function watchOomKills(whose: 'child' | 'container', read: Read = fromDisk): () => boolean {
  const own = whose === 'child' ? ofOwnGroup(read) : undefined;
  const count = own === undefined ? ofMachine : ofOwnGroup;
  const before = own ?? ofMachine(read);
  return () => {
    const now = count(read);
    return before !== undefined && now !== undefined && now > before;
  };
}

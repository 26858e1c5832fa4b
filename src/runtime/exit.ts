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

/**
 * How often this machine's kernel has killed for memory, in any control group and of either version; undefined
 * where that cannot be read. A control group's own `memory.events` is gone with its container.
 */
function oomKills(): number | undefined {
  try {
    const count = /^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1];
    return count === undefined ? undefined : Number(count);
  } catch {
    return undefined;
  }
}

/** Watches the kernel's counter from now on. */
export function watchOomKills(): () => boolean {
  const before = oomKills();
  return () => {
    const now = oomKills();
    return before !== undefined && now !== undefined && now > before;
  };
}

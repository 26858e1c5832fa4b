import { spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Holds a lock between processes, waiting for it as long as it takes. */
export async function lock(
  file: string,
  mode: 'shared' | 'exclusive' = 'exclusive',
): Promise<AsyncDisposable> {
  const waiting = setTimeout(
    () => process.stderr.write(`[setup] … waiting for another process that holds ${file}\n`),
    1000,
  );
  const held = await flock(file, `--${mode}`).finally(() => clearTimeout(waiting));
  if (held === undefined) throw new Error(`could not lock ${file}`);
  return held;
}

/** The same, exclusive and at once, or undefined if another process holds it. */
export function tryLock(file: string): Promise<AsyncDisposable | undefined> {
  return flock(file, '--exclusive', '--nonblock');
}

/**
 * Node cannot lock a file, so a child does, for as long as its standard input stays open: when this process ends,
 * kill -9 included, the kernel gives the lock back.
 */
async function flock(file: string, ...options: readonly string[]): Promise<AsyncDisposable | undefined> {
  await mkdir(dirname(file), { recursive: true });
  // Detached: a Ctrl-C that goes to the whole process group must not release the lock under its holder.
  const holder = spawn('flock', [...options, file, 'sh', '-c', 'echo held; exec cat >&2'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const exited = event(holder, 'exit');
  const held = await Promise.race([event(holder.stdout, 'data').then(() => true), exited.then(() => false)]);
  if (!held) return undefined;
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await exited;
    },
  };
}

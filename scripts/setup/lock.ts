import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * A lock between processes. The kernel gives it back when the last process that has its descriptor ends, in whatever
 * way: this one, and a child to which it was handed so that an orphan is waited for rather than trampled on.
 */
export interface Lock extends AsyncDisposable {
  readonly fd: number;
}

/** Waits for a lock as long as it takes. */
export async function lock(file: string, mode: 'shared' | 'exclusive' = 'exclusive'): Promise<Lock> {
  const tell = () => process.stderr.write(`[setup] … waiting for another process that holds ${file}\n`);
  const waiting = setTimeout(tell, 1000);
  const held = await flock(file, `--${mode}`).finally(() => clearTimeout(waiting));
  if (held === undefined) throw new Error(`cannot lock ${file}`);
  return held;
}

/** The same, exclusive and at once, or undefined if another process holds it. */
export function tryLock(file: string): Promise<Lock | undefined> {
  return flock(file, '--exclusive', '--nonblock');
}

/** Node has no call for it, but a child can lock an open file for both: the lock belongs to what they share. */
async function flock(file: string, ...options: readonly string[]): Promise<Lock | undefined> {
  await mkdir(dirname(file), { recursive: true });
  // Readable, since it becomes the standard input of children: an empty one.
  const handle = await open(file, 'a+');
  try {
    const locker = spawn('flock', [...options, '0'], { stdio: [handle.fd, 'ignore', 'inherit'] });
    const [code] = await once(locker, 'exit');
    if (code === 0) return { fd: handle.fd, [Symbol.asyncDispose]: () => handle.close() };
  } catch (error) {
    await handle.close();
    throw new Error('setup needs flock, which is part of util-linux', { cause: error });
  }
  await handle.close();
  return undefined;
}

import { spawn } from 'node:child_process';
import { once as event } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Holds a lock between processes. The kernel gives it back when this process ends in whatever way, kill -9
 * included: Node itself cannot lock a file, so a child does it for as long as its standard input stays open.
 */
export async function lock(
  file: string,
  mode: 'shared' | 'exclusive' = 'exclusive',
): Promise<AsyncDisposable> {
  await mkdir(dirname(file), { recursive: true });
  // Detached: a Ctrl-C that goes to the whole process group must not release the lock under its holder.
  const holder = spawn('flock', [`--${mode}`, file, 'sh', '-c', 'echo held; exec cat >&2'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
  });
  const exited = event(holder, 'exit');
  const waiting = setTimeout(() => process.stderr.write(`[setup] … waiting for ${file}\n`), 1000);
  try {
    const failed = exited.then(([code]) => {
      throw new Error(`flock ${file} ended with ${String(code)}`);
    });
    await Promise.race([event(holder.stdout, 'data'), failed]);
  } finally {
    clearTimeout(waiting);
  }
  return {
    async [Symbol.asyncDispose]() {
      holder.stdin.end();
      await exited;
    },
  };
}

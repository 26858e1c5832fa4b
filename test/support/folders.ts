import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A test's own folders say by their names which process made them. */
const NAME = /^dml-test-(\d+)-\w{6}$/;

/** A folder that is gone when the test is over. */
export async function temporaryFolder(
  parent = tmpdir(),
): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = testFolder(parent);
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The same, gone when this process ends. */
export function folderOfProcess(): string {
  if (OF_PROCESS.length === 0)
    process.once('exit', () => {
      for (const path of OF_PROCESS) rmSync(path, { recursive: true, force: true });
    });
  const path = testFolder();
  OF_PROCESS.push(path);
  return path;
}

const OF_PROCESS: string[] = [];

const testFolder = (parent = tmpdir()) => mkdtempSync(join(parent, `dml-test-${process.pid}-`));

/** A folder in memory too. Short: the path of a socket may have 107 bytes. */
const IN_MEMORY = /^dml-mem-(\d+)$/;

/**
 * A folder in memory for the folders of many tests, gone when this process ends; undefined where none can be mounted.
 *
 * ext4 looks for each new file through those that were removed seconds ago, and tests make and remove thousands.
 */
export function folderInMemory(): string | undefined {
  const path = join(tmpdir(), `dml-mem-${process.pid}`);
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'mode=1777,size=50%', 'tmpfs', path], { stdio: 'ignore' });
  } catch {
    rmdirSync(path);
    return undefined;
  }
  process.once('exit', () => unmount(path));
  return path;
}

function unmount(path: string): void {
  try {
    execFileSync('umount', ['--lazy', path], { stdio: 'ignore' });
  } catch {
    // It is mounted no more.
  }
  rmdirSync(path);
}

/** Removes what test processes that were killed have left. */
export function sweepTestFolders(): void {
  for (const name of readdirSync(tmpdir())) {
    const [, owner] = IN_MEMORY.exec(name) ?? [];
    if (owner !== undefined && !isThere(Number(owner))) unmount(join(tmpdir(), name));
    const [, pid] = NAME.exec(name) ?? [];
    if (pid !== undefined && !isThere(Number(pid)))
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A test's own folders say by their names which process made them. */
const NAME = /^dml-test-(\d+)-\w{6}$/;

/** A folder that is gone when the test is over. */
export async function temporaryFolder(): Promise<{ readonly path: string } & AsyncDisposable> {
  const path = testFolder();
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

const testFolder = () => mkdtempSync(join(tmpdir(), `dml-test-${process.pid}-`));

/** Removes what test processes that were killed have left. */
export function sweepTestFolders(): void {
  for (const name of readdirSync(tmpdir())) {
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

import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A child that runs, with a pipe for each of its three streams. */
export interface Child extends ChildProcessWithoutNullStreams {
  readonly pid: number;
}

/** Why there is no child: the system's code, as `ENOENT`. */
export interface NoChild {
  readonly code: string;
}

export interface ChildOptions {
  readonly cwd?: string;
  /** All that it has: nothing of this process's own. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * Starts a program in a session and process group of its own.
 *
 * @param command a name to look up on the environment's PATH, or a path, and what it is given
 */
export async function startChild(
  command: readonly string[],
  options: ChildOptions,
): Promise<Child | NoChild> {
  return await begun(command, { ...options, detached: true });
}

async function begun(
  [program = '', ...args]: readonly string[],
  options: ChildOptions & { readonly detached: boolean },
): Promise<Child | NoChild> {
  try {
    const child = spawn(program, args, { ...options, stdio: 'pipe' });
    // Where there is none, what comes of it is an error, which this waits for.
    if (!isRunning(child)) await once(child, 'exit');
    return isRunning(child) ? child : { code: 'unknown' };
  } catch (error) {
    return { code: (error as NodeJS.ErrnoException).code ?? 'unknown' };
  }
}

/** What a program printed, at most 1 MiB of each stream, and how it ended. */
export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  /** In words, as `exit code 2`; undefined after exit code 0. */
  readonly failure: string | undefined;
  /** Null where it was killed or never began. */
  readonly exitCode: number | null;
}

/** Runs a program to its end, which is forced after that time. It has this process's terminal. */
export async function runChild(
  command: readonly string[],
  { input = '', seconds, ...options }: ChildOptions & { readonly input?: string; readonly seconds: number },
): Promise<Ran> {
  const child = await begun(command, { ...options, detached: false });
  if ('code' in child) return { stdout: '', stderr: '', failure: child.code, exitCode: null };
  const [stdout, stderr] = [textOf(child.stdout), textOf(child.stderr)];
  // One that reads nothing is told by how it ends: EPIPE would only hide it.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
    // What it started may have the pipes still.
    for (const stream of [child.stdout, child.stderr]) stream.destroy();
  }, seconds * 1000);
  const [exitCode, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  const failure = isLate ? `no end within ${seconds} s` : failureOf(exitCode, signal);
  return { stdout: stdout(), stderr: stderr(), failure, exitCode };
}

function failureOf(exitCode: number | null, signal: NodeJS.Signals | null): string | undefined {
  if (exitCode === 0) return undefined;
  return exitCode === null ? `killed by ${signal}` : `exit code ${exitCode}`;
}

/** Sends it to a child of `startChild` and to what that started, where any of it is left. */
export function killGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch {
    // ESRCH: all of it is gone already.
  }
}

const isRunning = (child: ChildProcess): child is Child => child.pid !== undefined;

const MAX_BYTES = 1024 * 1024;

function textOf(stream: Child['stdout']): () => string {
  const parts: Buffer[] = [];
  let bytes = 0;
  stream.on('data', (part: Buffer) => {
    if (bytes < MAX_BYTES) parts.push(part.subarray(0, MAX_BYTES - bytes));
    bytes += part.length;
  });
  return () => Buffer.concat(parts).toString('utf8');
}

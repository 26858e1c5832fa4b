import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Lock } from './lock.ts';

/** Tells what a step is doing right now; shown while the step is long. */
export type Note = (line: string) => void;

const heartbeatMs = 10_000;

/** The steps that run now, the innermost last: the only one whose heartbeat is news. */
const running: symbol[] = [];

/** Runs one step of the setup and tells on stderr that it began, that it is alive, and how long it took. */
export async function step<T>(title: string, work: (note: Note) => Promise<T>): Promise<T> {
  const start = performance.now();
  const tell = (sign: string, text: string) =>
    process.stderr.write(`[setup] ${sign} ${text} (${((performance.now() - start) / 1000).toFixed(1)} s)\n`);
  const self = Symbol(title);
  let latest = '';
  const heartbeat = setInterval(() => {
    if (running.at(-1) === self) tell('…', latest ? `${title}: ${latest}` : title);
  }, heartbeatMs);
  running.push(self);
  process.stderr.write(`[setup] ▸ ${title}\n`);
  try {
    const result = await work((line) => {
      latest = line.trim().slice(0, 120) || latest;
    });
    tell('✓', title);
    return result;
  } catch (error) {
    tell('✗', title);
    throw error;
  } finally {
    clearInterval(heartbeat);
    running.splice(running.indexOf(self), 1);
  }
}

/** With what a program runs. */
export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** To be held until the program ends, even if this process is killed before it. */
  readonly lock?: Lock;
}

/** Runs a program inside a step: its output lines become notes, the last of them the message of a failure. */
export async function run(
  note: Note,
  file: string,
  args: readonly string[],
  { env, lock }: RunOptions = {},
): Promise<void> {
  const program = spawn(file, args, {
    env: { ...process.env, ...env },
    // A lock is an open file, and an empty one.
    stdio: [lock?.fd ?? 'ignore', 'pipe', 'pipe'],
  });
  const closed = once(program, 'close');
  const lines: string[] = [];
  const read = async (stream: Readable) => {
    for await (const line of createInterface({ input: stream })) {
      note(line);
      lines.push(line);
    }
  };
  const outputs = [program.stdout, program.stderr].filter((stream) => stream !== null);
  await Promise.all([closed, ...outputs.map(read)]);
  const [code, signal] = await closed;
  if (code !== 0) {
    throw new Error([`${file} ${args[0]} ended with ${signal ?? code}`, ...lines.slice(-30)].join('\n'));
  }
}

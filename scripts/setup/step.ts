import { execa } from 'execa';
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

/** Where and with what a program runs. */
export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** To be held until the program ends, even if this process is killed before it. */
  readonly lock?: Lock;
}

/** Runs a program inside a step: its output lines become notes, the last of them the message of a failure. */
export async function run(
  note: Note,
  file: string,
  args: readonly string[],
  { lock, ...options }: RunOptions = {},
): Promise<void> {
  const program = execa(file, args, {
    ...options,
    stdin: lock === undefined ? 'ignore' : lock.fd,
    all: true,
    reject: false,
  });
  for await (const line of program.iterable({ from: 'all' })) note(line);
  const { failed, shortMessage, all } = await program;
  if (failed) throw new Error([shortMessage, ...all.split('\n').slice(-30)].join('\n'));
}

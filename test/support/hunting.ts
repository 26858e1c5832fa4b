import { readFile } from 'node:fs/promises';

/** What an engine is to look for. */
export interface Wanted {
  /** In two parts, so that no text of the hunter holds it. */
  readonly secret: readonly [string, string];
  /** In the command line of the job's own process, in two parts too. */
  readonly job: readonly [string, string];
  /** Files that hold the secret, and folders of such. */
  readonly hidden: readonly string[];
  /** Files that the job will run. */
  readonly sealed: readonly string[];
  readonly covers: readonly string[];
  readonly sockets: readonly string[];
}

export interface Hunted {
  readonly found: readonly string[];
  readonly kept: Readonly<Record<string, unknown>>;
}

/** A Python program that hunts and prints what it found. @param pid the job's: a number, or Python for it */
export async function hunter(wanted: Wanted, pid: string): Promise<string> {
  const program = await readFile(new URL('hunt.py', import.meta.url), 'utf8');
  return `WANTED = ${JSON.stringify(JSON.stringify(wanted))}\nJOB = ${pid}\n${program}`;
}

export function hunted(output: string): Hunted {
  const line = /^HUNT (.*)$/m.exec(output)?.[1];
  if (line === undefined) throw new Error(`nobody hunted:\n${output}`);
  return JSON.parse(line) as Hunted;
}

/**
 * `node writer.ts kill WHAT FOLDER N`: writes the new version of a thing and dies by SIGKILL right before its n-th operation on
 * the file system, or half-way through a write.
 *
 * `node writer.ts FOLDER`: does so of all things without dying, and prints what came of each as JSON (`Made`). Below
 * FOLDER/<name> it leaves
 *   - `first`, `first-states/<n>`: the new version where there was none, and what was there before each operation;
 *   - `before`, `after`: the old version, and the new one over it;
 *   - `states/<n>`: what the folder was right before the n-th operation that made it new: what a process that is killed there
 *     leaves, since what was written until then is the kernel's;
 *   - `full/<n>`: what the new version, written over the old one on a disk that has no more room from the n-th operation on, left.
 */
import { cpSync, existsSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type { Written } from './written.ts';

/** How many operations writing a thing takes. */
export interface Made {
  /** Where there was none. */
  readonly first: number;
  /** Over the old one. */
  readonly operations: number;
  /** On a full disk, by its first operation without room: the error's code, or null. */
  readonly full: readonly (string | null)[];
}

/** What a disk does that is not as it should be; 0 is no operation. */
interface Trouble {
  readonly killAt: number;
  readonly fullFrom: number;
  /** Keeps what the folder was before each operation. */
  readonly watched: { readonly folder: string; readonly states: string } | undefined;
}
const NONE: Trouble = { killAt: 0, fullFrom: Number.POSITIVE_INFINITY, watched: undefined };

/** Of the thing that is being written; undefined before it begins. */
let trouble: Trouble | undefined;
let operations = 0;
let refused = false;

/** @param needsRoom what takes something away, or moves it, does without */
function step(needsRoom = true): void {
  if (trouble === undefined) return;
  operations += 1;
  if (needsRoom && operations >= trouble.fullFrom) {
    refused = true;
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  }
  if (operations === trouble.killAt) process.kill(process.pid, 'SIGKILL');
  const { watched } = trouble;
  if (watched !== undefined && existsSync(watched.folder))
    cpSync(watched.folder, join(watched.states, String(operations)), { recursive: true });
}

const counted =
  <A extends unknown[], R>(work: (...args: A) => Promise<R>, needsRoom = true) =>
  async (...args: A): Promise<R> => {
    step(needsRoom);
    return await work(...args);
  };

// Node's own functions; the modules under test are imported after this.
const { mkdir, open, readdir, rename, rm, cp, writeFile } = fs;
Object.assign(fs, {
  mkdir: counted(mkdir),
  readdir: counted(
    async (path: string, options?: { withFileTypes: true }) =>
      options === undefined ? await readdir(path) : await readdir(path, options),
    false,
  ),
  rename: counted(rename, false),
  rm: counted(rm, false),
  cp: counted(cp),
  writeFile: counted(async (path: string, data: string | Buffer) => {
    const bytes = Buffer.from(data);
    await writeFile(path, bytes.subarray(0, bytes.length / 2));
    step();
    await writeFile(path, bytes);
  }),
  open: async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    step(args[1] !== undefined && args[1] !== 'r');
    const file = await open(...args);
    const { writeFile, sync, close } = file;
    return Object.assign(file, {
      // Half of the bytes are there when the next operation does not come.
      writeFile: counted(async (data: string | Uint8Array) => {
        const bytes = Buffer.from(data);
        const half = Math.floor(bytes.length / 2);
        await writeFile.call(file, bytes.subarray(0, half));
        step();
        await writeFile.call(file, bytes.subarray(half));
      }),
      sync: counted(() => sync.call(file)),
      close: counted(() => close.call(file), false),
    });
  },
});
syncBuiltinESMExports();

const { userErrorIn } = await import('../../../src/errors.ts');
const { WRITERS } = await import('./written.ts');
if (process.argv[2] === 'kill') {
  const [what, folder = '', killAt] = process.argv.slice(3);
  const writer = WRITERS.find(({ name }) => name === what);
  if (writer === undefined) throw new Error(`nothing is called ${what}`);
  await write(writer, folder, 'new', { killAt: Number(killAt) });
} else {
  const [, , below = ''] = process.argv;
  const made: Record<string, Made> = {};
  for (const writer of WRITERS) made[writer.name] = await make(writer, join(below, writer.name));
  process.stdout.write(JSON.stringify(made));
}

/** How many operations it took. */
async function write(
  { prepare }: Written,
  folder: string,
  version: string,
  what: Partial<Trouble> = {},
): Promise<number> {
  const begin = await prepare(folder, version);
  [operations, refused, trouble] = [0, false, { ...NONE, ...what }];
  try {
    await begin();
  } finally {
    trouble = undefined;
  }
  return operations;
}

async function make(writer: Written, below: string): Promise<Made> {
  const at = (...parts: readonly string[]) => join(below, ...parts);
  await write(writer, at('first'), 'new', {
    watched: { folder: at('first'), states: at('first-states') },
  });
  const first = operations;
  await write(writer, at('before'), 'old');
  cpSync(at('before'), at('after'), { recursive: true });
  await write(writer, at('after'), 'new', { watched: { folder: at('after'), states: at('states') } });
  const made = operations;
  const full: (string | null)[] = [];
  while (full.at(-1) !== null) {
    const fullFrom = full.length + 1;
    const place = at('full', String(fullFrom));
    cpSync(at('before'), place, { recursive: true });
    full.push(
      await write(writer, place, 'new', { fullFrom }).then(
        () => (refused ? 'the disk’s refusal is kept quiet' : null),
        (error: unknown) => userErrorIn(error)?.code ?? String(error),
      ),
    );
  }
  return { first, operations: made, full };
}

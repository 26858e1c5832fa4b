/**
 * `node writer.ts WHAT FOLDER VERSION KILL-AT [STATES]`: writes that version of a thing and dies by SIGKILL right before its
 * n-th operation on the file system, or half-way through a write. 0 is never. Prints how many operations there were.
 * Below STATES it leaves for each of them what the folder was right before it: what a process that is killed there leaves,
 * since what was written until then is the kernel's.
 *
 * `node writer.ts WHAT FOLDER VERSION full STATES`: for each n, on a disk that has no more room from its n-th operation on, in a
 * copy of the folder below STATES. Prints how each ended: the error's code, or nothing.
 */
import { cpSync, existsSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import type { Written } from './written.ts';

const [what = '', folder = '', version = '', killAt = '0', states] = process.argv.slice(2);
let operations = 0;
let hasBegun = false;
let fullFrom = Number.POSITIVE_INFINITY;
let refused = false;

/** @param needsRoom what takes something away, or moves it, does without */
function step(needsRoom = true): void {
  operations += 1;
  if (!hasBegun) return;
  if (needsRoom && operations >= fullFrom) {
    refused = true;
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  }
  if (operations === Number(killAt)) process.kill(process.pid, 'SIGKILL');
  if (killAt !== 'full' && states !== undefined && existsSync(folder))
    cpSync(folder, join(states, String(operations)), { recursive: true });
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
const writer = WRITERS.find(({ name }) => name === what);
if (writer === undefined) throw new Error(`nothing is called ${what}`);
if (killAt === 'full') await fill(writer, states ?? '');
else {
  const begin = await writer.prepare(folder, version);
  operations = 0;
  hasBegun = true;
  await begin();
  process.stdout.write(`${operations}\n`);
}

async function fill({ prepare }: Written, below: string): Promise<void> {
  const codes: (string | null)[] = [];
  while (codes.at(-1) !== null) {
    const place = join(below, String(codes.length + 1));
    cpSync(folder, place, { recursive: true });
    const begin = await prepare(place, version);
    [operations, hasBegun, refused, fullFrom] = [0, true, false, codes.length + 1];
    const code = await begin().then(
      () => (refused ? 'the disk’s refusal is kept quiet' : null),
      (error: unknown) => userErrorIn(error)?.code ?? String(error),
    );
    codes.push(code);
    hasBegun = false;
  }
  process.stdout.write(JSON.stringify(codes));
}

/**
 * `node writer.ts WHAT FOLDER VERSION KILL-AT [STATES]`: writes that version of a thing and dies by SIGKILL right before its
 * n-th operation on the file system, or half-way through a write. 0 is never. Prints how many operations there were.
 * Below STATES it leaves for each of them what the folder was right before it: what a process that is killed there leaves,
 * since what was written until then is the kernel's.
 */
import { cpSync, existsSync } from 'node:fs';
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const [what = '', folder = '', version = '', killAt = '0', states] = process.argv.slice(2);
let operations = 0;
let hasBegun = false;

function step(): void {
  operations += 1;
  if (!hasBegun) return;
  if (operations === Number(killAt)) process.kill(process.pid, 'SIGKILL');
  if (states !== undefined && existsSync(folder))
    cpSync(folder, join(states, String(operations)), { recursive: true });
}

const counted =
  <A extends unknown[], R>(work: (...args: A) => R) =>
  (...args: A): R => {
    step();
    return work(...args);
  };

// Node's own functions; the modules under test are imported after this.
const { mkdir, open, readdir, rename, rm, cp, writeFile } = fs;
Object.assign(fs, {
  mkdir: counted(mkdir),
  readdir: counted((path: string, options?: { withFileTypes: true }) =>
    options === undefined ? readdir(path) : readdir(path, options),
  ),
  rename: counted(rename),
  rm: counted(rm),
  cp: counted(cp),
  writeFile: counted(async (path: string, data: string | Buffer) => {
    const bytes = Buffer.from(data);
    await writeFile(path, bytes.subarray(0, bytes.length / 2));
    step();
    await writeFile(path, bytes);
  }),
  open: counted(async (...args: Parameters<typeof open>): Promise<FileHandle> => {
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
      close: counted(() => close.call(file)),
    });
  }),
});
syncBuiltinESMExports();

const { WRITERS } = await import('./written.ts');
const writer = WRITERS.find(({ name }) => name === what);
if (writer === undefined) throw new Error(`nothing is called ${what}`);
const begin = await writer.prepare(folder, version);
operations = 0;
hasBegun = true;
await begin();
process.stdout.write(`${operations}\n`);

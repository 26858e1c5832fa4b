/**
 * `node writer.ts FOLDER KILL-AT`: writes a record of two prompts and dies by SIGKILL right before its n-th
 * operation on the file system. 0 is never. Prints how many operations there were.
 */
import fs, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

const [folder = '', killAt = '0'] = process.argv.slice(2);
let operations = 0;

function step(): void {
  operations += 1;
  if (operations === Number(killAt)) process.kill(process.pid, 'SIGKILL');
}

const counted =
  <A extends unknown[], R>(work: (...args: A) => R) =>
  (...args: A): R => {
    step();
    return work(...args);
  };

// Node's own functions; the module under test is imported after this.
const { mkdir, open, readdir, rename, rm } = fs;
Object.assign(fs, {
  mkdir: counted(mkdir),
  readdir: counted((path: string) => readdir(path)),
  rename: counted(rename),
  rm: counted(rm),
  open: counted(async (...args: Parameters<typeof open>): Promise<FileHandle> => {
    const file = await open(...args);
    const { writeFile, sync, close } = file;
    return Object.assign(file, {
      // Half of the bytes are there when the next operation does not come.
      writeFile: counted(async (data: Buffer) => {
        const half = Math.floor(data.length / 2);
        await writeFile.call(file, data.subarray(0, half));
        step();
        await writeFile.call(file, data.subarray(half));
      }),
      sync: counted(() => sync.call(file)),
      close: counted(() => close.call(file)),
    });
  }),
});
syncBuiltinESMExports();

const { RecordWriter } = await import('../../../src/disk/record-folder.ts');
const { body, side } = await import('./records.ts');

const bodies = { a: body({ text: 'new' }), b: body({ tokens: [7] }) };
await using writer = await RecordWriter.create(folder);
for (const bits of Object.values(bodies)) await writer.addBody(bits);
await writer.commit(side({ passes: { 'generate-1': bodies } }).record);
process.stdout.write(`${operations}\n`);

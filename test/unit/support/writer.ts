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

/** Node's own functions, each counted; the module under test imports them after this. */
const { mkdir, open, readdir, rename, rm } = fs;
Object.assign(fs, {
  mkdir: (...args: Parameters<typeof mkdir>) => (step(), mkdir(...args)),
  readdir: (path: string) => (step(), readdir(path)),
  rename: (...args: Parameters<typeof rename>) => (step(), rename(...args)),
  rm: (...args: Parameters<typeof rm>) => (step(), rm(...args)),
  async open(...args: Parameters<typeof open>): Promise<FileHandle> {
    step();
    const file = await open(...args);
    const { writeFile, sync, close } = file;
    return Object.assign(file, {
      // Half of the bytes are there when the next operation does not come.
      async writeFile(data: Buffer) {
        step();
        await file.write(data, 0, Math.floor(data.length / 2), 0);
        step();
        await writeFile.call(file, data.subarray(Math.floor(data.length / 2)));
      },
      sync: () => (step(), sync.call(file)),
      close: () => (step(), close.call(file)),
    });
  },
});
syncBuiltinESMExports();

const { RecordWriter } = await import('../../../src/disk/record-folder.ts');
const { body, side } = await import('./records.ts');

const bodies = { a: body({ text: process.argv[4] ?? '' }), b: body({ tokens: [7] }) };
await using writer = await RecordWriter.create(folder);
for (const bits of Object.values(bodies)) await writer.addBody(bits);
await writer.commit(side({ passes: { 'generate-1': bodies } }).record);
process.stdout.write(`${operations}\n`);

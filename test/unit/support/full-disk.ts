/** `node full-disk.ts FOLDER`: writes a record into a folder on a disk that is too small, and tells how that ended. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RecordWriter } from '../../../src/disk/record-folder.ts';
import { UserError } from '../../../src/errors.ts';
import { body, channelsOf } from './records.ts';

const [folder = ''] = process.argv.slice(2);
try {
  await using writer = await RecordWriter.create(join(folder, 'record'));
  for (let i = 0; i < 100; i++) await writer.addBody(channelsOf(body({ text: `${i}`.repeat(4000) })));
} catch (error) {
  if (!(error instanceof UserError)) throw error;
  const { code, message } = error;
  process.stdout.write(JSON.stringify({ code, message, left: await readdir(folder) }));
}

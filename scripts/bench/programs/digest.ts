/** `digest.js FOLDER...`: reads all files in these folders, digests them, and does nothing else. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

let bytes = 0;
for (const folder of process.argv.slice(2))
  for (const name of readdirSync(folder)) {
    const content = readFileSync(join(folder, name));
    bytes += content.length;
    createHash('sha256').update(content).digest('hex');
  }
console.log(JSON.stringify({ bytes }));

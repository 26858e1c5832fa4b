import { createWriteStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { pack } from 'tar-stream';

/**
 * Packs files and folders without their owners and times: the same files give the same bytes whenever they are packed.
 *
 * @param names files and folders, relative to `from` @param inside the folder that all unpacks into
 */
export async function archive(
  to: string,
  from: string,
  names: readonly string[],
  inside: string,
): Promise<void> {
  const files = (await Promise.all(names.map((name) => filesOf(from, name)))).flat().sort();
  const tar = pack();
  const written = pipeline(tar, createGzip({ level: 9 }), createWriteStream(to));
  for (const file of files) {
    const path = join(from, file);
    // What can be started stays so; of this machine's other rights none goes along.
    const mode = ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755;
    tar.entry({ name: `${inside}/${file}`, mode, mtime: new Date(0) }, await readFile(path));
  }
  tar.finalize();
  await written;
}

async function filesOf(from: string, name: string): Promise<string[]> {
  if ((await stat(join(from, name))).isFile()) return [name];
  const entries = await readdir(join(from, name), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.pyc'))
    .map((entry) => join(entry.parentPath, entry.name).slice(join(from).replace(/\/$/, '').length + 1));
}

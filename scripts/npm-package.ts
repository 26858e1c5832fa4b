/**
 * Packs the command line as npm gets it, so that `npx deterministic-ml` needs nothing else:
 * `node scripts/npm-package.ts [FOLDER]` leaves `deterministic-ml-VERSION.tgz` there.
 */
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { execa } from 'execa';
import manifest from '../package.json' with { type: 'json' };
import { repository } from './setup/cache.ts';

/** What `dist/cli.js` reads, where it looks for it. Workflows: `init` writes them. */
const HELD = ['dist', 'docker/harness', 'examples', 'schema', 'README.md', 'LICENSE'];

/** @returns path of the packed file: the same bytes wherever and whenever it is packed */
export async function npmPackage(to: string, from = repository): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'npm-package-'));
  try {
    for (const name of HELD) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await cp(join(from, name), join(folder, name), {
        recursive: true,
        filter: (path) => !path.includes('__pycache__'),
      });
    }
    const { version, description, license, bin } = manifest;
    // No dependency: dist/ holds the code of all of them, with their licences.
    const own = {
      name: 'deterministic-ml',
      version,
      description,
      license,
      type: 'module',
      // As src/cli.ts asks for it: an older Node runs the scripts, which bring their own.
      engines: { node: '>=24' },
      bin,
      files: HELD,
    };
    await writeFile(join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
    await mkdir(to, { recursive: true });
    const { stdout } = await execa('npm', ['pack', '--silent', '--pack-destination', resolve(to)], {
      cwd: folder,
    });
    return join(to, stdout.trim());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) console.log(await npmPackage(process.argv[2] ?? '.'));

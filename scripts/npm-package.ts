/**
 * Packs the command line as npm gets it, so that `npx deterministic-ml` needs nothing else:
 * `node scripts/npm-package.ts [FOLDER]` leaves `deterministic-ml-VERSION.tgz` there.
 */
import { chmod, cp, mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
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
    const { version, description, license, repository: source, bin } = manifest;
    // No dependency: dist/ holds the code of all of them, with their licences.
    const own = {
      name: 'deterministic-ml',
      version,
      description,
      license,
      // npm holds the provenance that it is published with to this.
      repository: source,
      type: 'module',
      // As src/cli.ts asks for it: an older Node runs the scripts, which bring their own.
      engines: { node: '>=24' },
      bin,
      files: HELD,
    };
    await writeFile(join(folder, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
    await openAll(folder);
    await mkdir(to, { recursive: true });
    const { stdout } = await execa('npm', ['pack', '--silent', '--pack-destination', resolve(to)], {
      cwd: folder,
    });
    return join(to, stdout.trim());
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of the rights that files have in a checkout, only what can be started stays so: the rest is of its owner's umask. */
async function openAll(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}

if (import.meta.main) console.log(await npmPackage(process.argv[2] ?? '.'));

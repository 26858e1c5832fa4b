import { cp, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { repository } from '../../scripts/setup/cache.ts';
import { ensureTools, ensureWheelTools } from '../../scripts/setup/tools.ts';

/** The Python distribution as it is built: paths of both files. */
export interface Built {
  readonly wheel: string;
  readonly sdist: string;
}

export const project = join(repository, 'docker/harness');

/** @param from a folder with its pyproject.toml @param to a folder that may be there */
export async function build(from: string, to: string): Promise<Built> {
  // A copy: the repository's own folder stays as it is, and what it ignores is not built.
  const copy = join(to, 'source');
  await cp(from, copy, { recursive: true, filter: (path) => !path.includes('__pycache__') });
  const out = join(to, 'dist');
  await execa('python3', ['-m', 'hatchling', 'build', '-d', out], {
    cwd: copy,
    env: { PYTHONPATH: await ensureWheelTools() },
  });
  const names = await readdir(out);
  const [wheel = '', sdist = ''] = ['.whl', '.tar.gz'].map((end) => names.find((name) => name.endsWith(end)));
  return { wheel: join(out, wheel), sdist: join(out, sdist) };
}

/** A virtual environment that holds the wheel and nothing else. */
export interface Clean {
  readonly python: string;
  /** What a program prints; it fails where the program does. */
  run(program: string, env?: Readonly<Record<string, string>>, words?: readonly string[]): Promise<string>;
}

/** @param beside folders of packages that it can import too */
export async function clean(
  wheel: string,
  folder: string,
  { base = 'python3', beside = [] }: { readonly base?: string; readonly beside?: readonly string[] } = {},
): Promise<Clean> {
  const uv = join(await ensureTools(), 'bin/uv');
  const python = join(folder, 'bin/python');
  await execa(uv, ['venv', '--no-project', '--python', base, folder]);
  await execa(uv, ['pip', 'install', '--offline', '--no-deps', '--python', python, wheel]);
  const lib = join(folder, 'lib');
  const [version = ''] = await readdir(lib);
  const packages = join(lib, version, 'site-packages');
  await mkdir(packages, { recursive: true });
  if (beside.length > 0) await writeFile(join(packages, 'beside.pth'), `${beside.join('\n')}\n`);
  return {
    python,
    async run(program, env = {}, words = []) {
      // Only what is named: nothing of this repository is on its path.
      const { stdout } = await execa(python, ['-c', program, ...words], {
        cwd: folder,
        extendEnv: false,
        env: { PATH: process.env['PATH'], HOME: folder, ...env },
      });
      return stdout;
    },
  };
}

import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { ensureTools } from '../../scripts/setup/tools.ts';

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

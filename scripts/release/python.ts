import { cp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { repository } from '../setup/cache.ts';
import { ensureWheelTools } from '../setup/tools.ts';

/** The Python distribution as it is built: paths of both files. */
export interface Built {
  readonly wheel: string;
  readonly sdist: string;
}

/** Where its pyproject.toml lies. */
export const project = join(repository, 'docker/harness');

/** @param from a folder with its pyproject.toml @param to a folder that may be there */
export async function buildPython(from: string, to: string): Promise<Built> {
  // A copy: the repository's own folder stays as it is, and what it ignores is not built.
  const copy = join(to, 'source');
  await cp(from, copy, { recursive: true, filter: (path) => !path.includes('__pycache__') });
  const out = join(to, 'dist');
  // hatchling dates all files alike unless it is told a date: whoever builds the same source gets the same wheel.
  const { SOURCE_DATE_EPOCH: _, ...env } = process.env;
  await execa('python3', ['-m', 'hatchling', 'build', '-d', out], {
    cwd: copy,
    extendEnv: false,
    env: { ...env, PYTHONPATH: await ensureWheelTools() },
  });
  const names = await readdir(out);
  const [wheel = '', sdist = ''] = ['.whl', '.tar.gz'].map((end) => names.find((name) => name.endsWith(end)));
  return { wheel: join(out, wheel), sdist: join(out, sdist) };
}

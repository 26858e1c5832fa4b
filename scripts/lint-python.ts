/**
 * `npm run lint:python`: ruff, its format and mypy --strict over the harness and its tests. They need no engine: what
 * engines bring is of type Any there (mypy.ini).
 */
import { join } from 'node:path';
import { execa } from 'execa';
import { repository } from './setup/cache.ts';
import { ensureMypy, ensureTools } from './setup/tools.ts';

const ruff = join(await ensureTools(), 'bin/ruff');
const mypy = await ensureMypy();
const checks: readonly (readonly [string, readonly string[]])[] = [
  [ruff, ['check', '.']],
  [ruff, ['format', '--check', '.']],
  ['python3', ['-m', 'mypy']],
];
for (const [program, args] of checks) {
  const { failed } = await execa(program, args, {
    cwd: repository,
    // --target put it beside its packages, where only this finds it.
    env: { PYTHONPATH: mypy },
    stdio: 'inherit',
    reject: false,
  });
  if (failed) process.exitCode = 1;
}

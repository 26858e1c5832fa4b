/**
 * `npm run power`: makes known changes on purpose, with the real engine and the demo's model, and shows which of them
 * the demo's suite notices. `--json` for the numbers; docs/verdicts.md says how to read them.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { execa } from 'execa';
import { demoSuite, ON_A_TERMINAL } from './demo-suite.ts';
import { cache, repository } from './setup/cache.ts';
import { containerPlace } from './setup/container.ts';
import { ensureModel } from './setup/model.ts';
import { ensureEngine } from './setup/python.ts';

const folder = join(cache, 'power');
await mkdir(folder, { recursive: true });
const { python } = await ensureEngine();
await using place = await containerPlace({ starting: true });
const model = relative(folder, await ensureModel());
// float32's log-probabilities see everything: bfloat16 is what is served, and where a miss can happen.
const suite = demoSuite({ model, image: place.image, dtype: 'bfloat16' });
await writeFile(join(folder, 'determinism.yml'), suite);
const { exitCode } = await execa(
  process.execPath,
  [join(repository, 'src/cli.ts'), 'power', '--python', python, ...process.argv.slice(2)],
  { cwd: folder, stdio: 'inherit', reject: false, env: { ...ON_A_TERMINAL, ...place.env } },
);
process.exitCode = exitCode ?? 1;

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bundle } from '../build.ts';
import { cache, repository } from '../setup/cache.ts';
import { alternate, atMost, type Figure, median } from './figure.ts';

const REPEATS = 15;

export const coldStart: Figure = {
  ...atMost(1),
  meaning:
    'wall time of dist/main.js up to an input error, over that of a bundle of @actions/core and @actions/cache with an empty main',
  async measure() {
    // Below .cache, so that the bundler finds node_modules.
    await mkdir(cache, { recursive: true });
    const folder = await mkdtemp(join(cache, 'bench-'));
    try {
      const entry = join(folder, 'entry.ts');
      await writeFile(
        entry,
        "import * as core from '@actions/core';\nimport * as cache from '@actions/cache';\nif (process.argv.length > 100) console.log(core, cache);\n",
      );
      const reference = join(folder, 'reference');
      await bundle({ reference: entry }, reference);
      await writeFile(join(reference, 'package.json'), '{ "type": "module" }\n');
      const both = { env: { INPUT_MODE: 'no-such-mode' }, cwd: tmpdir() };
      const times = alternate(REPEATS, {
        ours: { ...both, args: [join(repository, 'dist/main.js')], status: 1 },
        reference: { ...both, args: [join(reference, 'reference.js')] },
      });
      const [ours, bare] = [median(times.ours.milliseconds), median(times.reference.milliseconds)];
      return { value: ours / bare, detail: `${ours.toFixed(0)} ms over ${bare.toFixed(0)} ms` };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

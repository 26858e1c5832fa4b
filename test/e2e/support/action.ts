import { cp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { repository } from '../../../scripts/setup/cache.ts';
import { temporaryFolder } from '../../support/runtimes.ts';

/**
 * A copy of the action that nothing else touches, as the runner finds it after a download. Its dist/ is the committed
 * one: whoever runs these tests has looked that it is what the source gives (scripts/test.ts).
 */
export interface Action extends AsyncDisposable {
  readonly path: string;
  /** `NODE_COMPILE_CACHE` of what is started of it: dozens of steps would compile its dist/ anew. */
  readonly compiled: string;
  /** Input name -> default, from action.yml. */
  readonly inputs: Readonly<Record<string, string>>;
}

const Manifest = z.object({
  inputs: z.record(z.string(), z.object({ default: z.string().default('') })),
  runs: z.object({
    using: z.literal('node24'),
    main: z.literal('dist/main.js'),
    post: z.literal('dist/post.js'),
  }),
});

/** @param engine the real one, or test/e2e/support/engine.py in its place */
export async function builtAction(engine: 'vllm' | 'scripted'): Promise<Action> {
  const folder = await temporaryFolder();
  const { path } = folder;
  await Promise.all([
    cp(join(repository, 'dist'), join(path, 'dist'), { recursive: true }),
    cp(join(repository, 'action.yml'), join(path, 'action.yml')),
    cp(join(repository, 'docker/harness'), join(path, 'docker/harness'), { recursive: true }),
    cp(join(repository, 'examples'), join(path, 'examples'), { recursive: true }),
  ]);
  if (engine === 'scripted') {
    const engines = join(path, 'docker/harness/deterministic_ml/engines');
    await rm(join(engines, 'vllm'), { recursive: true });
    await cp(fileURLToPath(new URL('engine.py', import.meta.url)), join(engines, 'vllm.py'));
  }
  const manifest = Manifest.parse(parse(await readFile(join(path, 'action.yml'), 'utf8')));
  const inputs = Object.entries(manifest.inputs).map(([name, input]) => [name, input.default] as const);
  return {
    path,
    compiled: join(path, '.compiled'),
    inputs: Object.fromEntries(inputs),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

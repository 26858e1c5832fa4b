import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import type { ModelFile, OnProgress } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import { fileError, identityOf, modelFiles } from './files.ts';
import { recallDigests, rememberDigests } from './memory.ts';

const BLOCK_BYTES = 4 * 1024 * 1024;

export interface DigestContext {
  /** Absolute folder of what outlives a run on this machine. */
  readonly stateFolder: string;
  readonly signal: AbortSignal;
  readonly onProgress: OnProgress;
}

/**
 * The files of a model's folder with their SHA-256, read here and by nobody else: what a run calls its model is never
 * the word of the image that it looks into. A file of a known identity is not read again.
 *
 * @throws UserError `model-missing`, `model-unreadable`, `model-changed`
 */
export async function digestFolder(folder: string, context: DigestContext): Promise<readonly ModelFile[]> {
  const { stateFolder, onProgress } = context;
  const known = await recallDigests(stateFolder);
  const files = await Promise.all(
    (await modelFiles(folder)).map(async (path) => ({ path, ...(await identityIn(folder, path)) })),
  );
  const total = files
    .filter(({ identity }) => !known.has(identity))
    .reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const read = new Map<string, string>();
  const digested: ModelFile[] = [];
  try {
    for (const { path, identity, bytes } of files) {
      const seen = known.get(identity) ?? read.get(identity);
      const sha256 =
        seen ??
        (await sha256Of(join(folder, path), context.signal, (count) => {
          done += count;
          onProgress('hash', done, total);
        }));
      if (seen === undefined) {
        if ((await identityIn(folder, path)).identity !== identity)
          throw new UserError(
            'model-changed',
            `The model's file ${join(folder, path)} changed while it was read.`,
            'Let whatever writes the model finish before this step.',
          );
        read.set(identity, sha256);
      }
      digested.push({ path, bytes, sha256, identity });
    }
  } finally {
    // What was read of a run that is cancelled need not be read again either.
    await rememberDigests(stateFolder, read);
  }
  return digested;
}

const identityIn = (folder: string, path: string) =>
  identityOf(join(folder, path)).catch((error: unknown) => {
    throw fileError(join(folder, path), error);
  });

/** @throws UserError `model-unreadable`; what the signal was aborted with */
async function sha256Of(
  path: string,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<string> {
  const hash = createHash('sha256');
  try {
    for await (const block of createReadStream(path, { highWaterMark: BLOCK_BYTES, signal })) {
      const bytes: Buffer = block;
      hash.update(bytes);
      onBytes(bytes.length);
    }
  } catch (error) {
    signal.throwIfAborted();
    throw fileError(path, error);
  }
  return hash.digest('hex');
}

import { randomBytes } from 'node:crypto';
import { lines } from '../../engine/lines.ts';
import type { HubListing, HubModel, Peer } from '../../engine/runtime.ts';
import { UserError } from '../../errors.ts';
import { excerpt } from '../../inert.ts';
import type { CommonOptions } from '../options.ts';

const MAX_LINE_BYTES = 64 * 1024;
/** Of stderr, where it died without a word of its own. */
const MAX_SAID = 500;

/** What docker/harness/fetch.py answers. */
type Told =
  | { readonly kind: 'done'; readonly bytes: number }
  | { readonly kind: 'folder' | 'error'; readonly text: string };

/**
 * Has the far side fetch a model of the hub, unless it is there from another run.
 *
 * @param peer that runs docker/harness/fetch.py
 * @returns the folder there
 * @throws UserError `model-fetch-failed`, `cancelled`, and what the launcher ended of
 */
export async function fetchThere(
  peer: Peer,
  model: HubModel,
  { base, files }: HubListing,
  { signal, deadlineSeconds, onProgress }: Pick<CommonOptions, 'signal' | 'deadlineSeconds' | 'onProgress'>,
): Promise<string> {
  const name = `${model.id} at ${model.revision}`;
  const failed = (why: string) =>
    new UserError(
      'model-fetch-failed',
      `${name} could not be fetched on the far side: ${why}.`,
      'See that the hub is reached from there, without a token, and that the disk of its home has room; or put the model there, and name its folder in `launcher-model`.',
    );
  // Whatever login scripts print has no such mark.
  const mark = randomBytes(16).toString('hex');
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const limit = AbortSignal.timeout(deadlineSeconds * 1000);
  const stop = () => void peer[Symbol.asyncDispose]();
  for (const one of [signal, limit]) one.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    peer.stdin.write(`${JSON.stringify({ mark, base, id: model.id, revision: model.revision, files })}\n`);
    const said = endOf(peer.stderr);
    let folder: string | undefined;
    for await (const line of lines(peer.stdout, MAX_LINE_BYTES)) {
      const told = toldIn(line.toString('utf8'), mark);
      if (told === undefined) continue;
      switch (told.kind) {
        case 'done':
          onProgress('fetch there', Math.min(told.bytes, total), total);
          break;
        case 'error':
          throw failed(excerpt(told.text, MAX_SAID));
        case 'folder':
          folder = told.text;
      }
    }
    const { code, lost } = await peer.exit;
    signal.throwIfAborted();
    if (folder !== undefined) return folder;
    if (limit.aborted) throw failed(`it took longer than ${deadlineSeconds} s`);
    if (lost !== undefined) throw new UserError(lost.code, lost.message, lost.hint);
    throw failed(`what was to fetch it ended with exit code ${code}: ${excerpt(await said, MAX_SAID)}`);
  } finally {
    for (const one of [signal, limit]) one.removeEventListener('abort', stop);
  }
}

function toldIn(line: string, mark: string): Told | undefined {
  if (!line.startsWith(`${mark} `)) return undefined;
  const { done, folder, error } = parsed(line.slice(mark.length + 1));
  if (typeof done === 'number' && done >= 0) return { kind: 'done', bytes: done };
  if (typeof folder === 'string' && folder.startsWith('/')) return { kind: 'folder', text: folder };
  return typeof error === 'string' ? { kind: 'error', text: error } : undefined;
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

/** The last that is said; read to its end, since an unread stream holds its writer up. */
async function endOf(stream: Peer['stderr']): Promise<string> {
  let end = '';
  for await (const chunk of stream) end = `${end}${String(chunk)}`.slice(-MAX_SAID);
  return end.trim();
}

import { createHash, type Hash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { chmod, type FileHandle, mkdir, open, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Hiccup, patiently } from '../network/patience.ts';
import type { Content, Hub, HubFile } from './hub.ts';

/** So much of a file is progress: a connection that breaks off again and again after less is given up. */
const STEP_BYTES = 1024 * 1024;

export interface DownloadContext {
  readonly hub: Hub;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Bytes more, or fewer where they turned out wrong. */
  readonly onBytes: (count: number) => void;
}

/**
 * One file of the hub at `target`, verified by the hub's own digest of it; readable for everybody, since an engine is
 * another user. What an earlier attempt left there is gone on with.
 *
 * @returns its SHA-256; undefined when what came is not what the hub says it is: then nothing is left
 * @throws UserError what `Hub.open` throws; Hiccup when the hub did not get better
 */
export async function download(
  file: HubFile,
  target: string,
  context: DownloadContext,
): Promise<string | undefined> {
  await mkdir(dirname(target), { recursive: true });
  const before = await sizeOf(target);
  const sha256 = await attempt(file, target, context);
  if (sha256 !== undefined || before === 0) return sha256;
  // What lay there was wrong: a crash can leave a file whose bytes never reached the disk.
  return await attempt(file, target, context);
}

async function attempt(file: HubFile, target: string, context: DownloadContext): Promise<string | undefined> {
  const { hub, signal, log, onBytes } = context;
  const kept = new Kept(file, onBytes);
  if ((await sizeOf(target)) > file.bytes) await rm(target);
  {
    await using handle = await open(target, constants.O_RDWR | constants.O_CREAT, 0o644);
    await kept.read(target, signal);
    let last = kept.bytes;
    const moved = () => {
      const far = kept.bytes - last >= STEP_BYTES;
      last = kept.bytes;
      return far;
    };
    if (kept.bytes < file.bytes)
      await patiently(async () => kept.add(await hub.open(file, kept.bytes), handle), {
        what: file.path,
        signal,
        log,
        moved,
      });
    await handle.sync();
  }
  const sha256 = kept.verified();
  if (sha256 === undefined) {
    await rm(target, { force: true });
    onBytes(-kept.bytes);
  } else await chmod(target, 0o644);
  return sha256;
}

/** What is there of a file from its beginning, and the digests of it. */
class Kept {
  bytes = 0;
  readonly #file: HubFile;
  readonly #onBytes: (count: number) => void;
  #sha256: Hash = createHash('sha256');
  #blob: Hash;

  constructor(file: HubFile, onBytes: (count: number) => void) {
    this.#file = file;
    this.#onBytes = onBytes;
    this.#blob = blobHash(file);
  }

  /** What an earlier attempt left. */
  async read(path: string, signal: AbortSignal): Promise<void> {
    try {
      for await (const chunk of createReadStream(path, { highWaterMark: STEP_BYTES, signal }))
        this.#count(chunk);
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    }
  }

  /** Adds what comes in. @throws Hiccup when it ends too early */
  async add({ from, body }: Content, handle: FileHandle): Promise<void> {
    try {
      if (from !== this.bytes) {
        // A server that knows no ranges begins anew.
        if (from !== 0)
          throw new Hiccup(`the hub sent bytes from ${from} on, not from ${this.bytes}`, undefined);
        await this.#forget(handle);
      }
      for await (const chunk of body) {
        const bytes: Buffer = chunk;
        if (this.bytes + bytes.length > this.#file.bytes) {
          await this.#forget(handle);
          throw new Hiccup('more came than the hub says the file has', undefined);
        }
        // By position: two that fetch the same file at once write the same bytes in the same places.
        for (let at = 0; at < bytes.length; )
          at += (await handle.write(bytes, at, bytes.length - at, this.bytes + at)).bytesWritten;
        this.#count(bytes);
      }
    } catch (error) {
      if (error instanceof Hiccup || isOfDisk(error)) throw error;
      throw new Hiccup(error instanceof Error ? error.message : String(error), undefined, error);
    } finally {
      body.destroy();
    }
    if (this.bytes < this.#file.bytes)
      throw new Hiccup(`the connection ended after ${this.bytes} of ${this.#file.bytes} bytes`, undefined);
  }

  /** The SHA-256 if the content is what the hub says. */
  verified(): string | undefined {
    const { kind, hex } = this.#file.digest;
    const sha256 = this.#sha256.digest('hex');
    const own = kind === 'sha256' ? sha256 : this.#blob.digest('hex');
    return own === hex ? sha256 : undefined;
  }

  async #forget(handle: FileHandle): Promise<void> {
    await handle.truncate(0);
    this.#onBytes(-this.bytes);
    this.bytes = 0;
    this.#sha256 = createHash('sha256');
    this.#blob = blobHash(this.#file);
  }

  #count(chunk: Buffer): void {
    this.#sha256.update(chunk);
    if (this.#file.digest.kind === 'git-blob') this.#blob.update(chunk);
    this.bytes += chunk.length;
    this.#onBytes(chunk.length);
  }
}

/** As git names a blob. */
const blobHash = ({ bytes }: HubFile) => createHash('sha1').update(`blob ${bytes}\0`);

const sizeOf = (path: string) =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  );

/** Another attempt would meet it again; what a connection breaks of may be gone then. */
const isOfDisk = (error: unknown) =>
  error instanceof Error && 'code' in error && /^(ENOSPC|EDQUOT|EIO|EROFS|EFBIG)$/.test(String(error.code));

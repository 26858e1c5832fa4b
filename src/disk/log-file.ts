import type { WriteStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../errors.ts';
import { sweepBeside } from '../machine/scratch.ts';
import { refuseLinks } from './confined.ts';
import { diskError, systemCode } from './errors.ts';

/** A chatty engine must not fill the disk. */
const MAX_BYTES = 64 * 1024 * 1024;

/** All that the engine printed, raw, in a file: the place for what no surface may show. */
export class LogFile implements AsyncDisposable {
  readonly path: string;
  readonly #stream: WriteStream;
  #bytes = 0;

  private constructor(path: string, stream: WriteStream) {
    this.path = path;
    this.#stream = stream;
    // A log that cannot be written must not end the run that it describes.
    stream.on('error', () => {});
  }

  /** @param workspace the checkout: a change can bring links, and none of them is followed */
  static async create(path: string, workspace: string): Promise<LogFile> {
    try {
      await refuseLinks(path, workspace);
      await mkdir(dirname(path), { recursive: true });
      // A run may end before it has anything to record: what a killed one left is taken away at its start.
      await sweepBeside(path.replace(/\.log$/, ''));
      // An older one, or a link that waits there, is replaced and never written through.
      await rm(path, { force: true });
      const file = await open(path, 'wx');
      return new LogFile(path, file.createWriteStream());
    } catch (cause) {
      if (
        !['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'ERR_FS_EISDIR'].includes(systemCode(cause) ?? '')
      )
        throw diskError(cause, path);
      throw new UserError(
        'input-invalid',
        `The folder ${dirname(path)} for this run's record cannot be made or written to (${systemCode(cause)}).`,
        'Give the `record-path` input a path that this runner may write to.',
        { cause },
      );
    }
  }

  add(line: string): void {
    if (this.#bytes > MAX_BYTES) return;
    this.#bytes += Buffer.byteLength(line) + 1;
    this.#stream.write(this.#bytes > MAX_BYTES ? `(log cut at ${MAX_BYTES} bytes)\n` : `${line}\n`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#stream.closed) return;
    // Not `once`, which rejects where the last bytes find the disk full.
    const closed = new Promise<void>((resolve) => this.#stream.once('close', resolve));
    this.#stream.end();
    await closed;
    // An engine that was never started left nothing to read.
    if (this.#bytes === 0) await rm(this.path, { force: true });
  }
}

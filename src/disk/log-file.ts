import { createWriteStream, type WriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UserError } from '../errors.ts';
import { systemCode } from './errors.ts';

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

  static async create(path: string): Promise<LogFile> {
    await mkdir(dirname(path), { recursive: true }).catch((cause: Error) => {
      if (!['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST'].includes(systemCode(cause) ?? '')) throw cause;
      throw new UserError(
        'input-invalid',
        `The folder ${dirname(path)} for this run's record cannot be made (${systemCode(cause)}).`,
        'Give the `record-path` input a path that this runner may write to.',
        { cause },
      );
    });
    return new LogFile(path, createWriteStream(path));
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

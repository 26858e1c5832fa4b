import { cp, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import type { BaselineMeta } from '../baseline/port.ts';
import { UserError } from '../errors.ts';
import { partialOf, sweepBeside } from '../machine/scratch.ts';
import { packBody, packVocabulary, unpackBody, unpackVocabulary } from '../record/body.ts';
import type { Channel } from '../record/channels.ts';
import { sha256 } from '../record/digest.ts';
import { packRecord, parseRecord } from '../record/parse.ts';
import type { RunRecord } from '../record/schema.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import { uint32 } from '../record/words.ts';
import { BodyReader } from './body-reader.ts';
import { diskError, systemCode } from './errors.ts';
import { MAX_FILE_BYTES, type Memory, readPlain, shared, whyUnread } from './plain.ts';
import { finishReplace, replaceFolder } from './replace.ts';

/** Bodies of a record in bytes: an engine that tells without end must not fill the disk. */
const MAX_BODIES_BYTES = 4 * 1024 ** 3;

/**
 * Writes a record's folder so that it is whole or absent: bodies go into a sibling `….partial-…` folder,
 * `record.json` comes last, then one rename. Disposing without `commit` removes what was written,
 * and the next writer of the same folder what one that was killed has left.
 */
export class RecordWriter implements AsyncDisposable {
  readonly #folder: string;
  readonly #partial: string;
  /** By digest. Engines side by side give equal bodies at once: whoever comes second must not cut what the first one reads. */
  readonly #written = new Map<string, Promise<void>>();
  readonly #maxBytes: number;
  #bytes = 0;

  private constructor(folder: string, maxBytes: number) {
    this.#folder = folder;
    this.#maxBytes = maxBytes;
    this.#partial = partialOf(folder);
  }

  /** @throws UserError `input-invalid` when `folder` holds anything but an older record */
  static async create(folder: string, maxBytes = MAX_BODIES_BYTES): Promise<RecordWriter> {
    const writer = new RecordWriter(folder, maxBytes);
    await writer.#guarded(async () => {
      await finishReplace(folder);
      await refuseForeign(folder);
      await sweepBeside(folder);
      await mkdir(join(writer.#partial, 'bodies'), { recursive: true });
    });
    return writer;
  }

  /** Keeps a body and gives its digest; one whose digest is already there costs nothing. */
  async addBody(channels: readonly Channel[]): Promise<string> {
    return await this.#add(packBody(channels));
  }

  /** @param tokens uint32 little-endian */
  async addTokens(tokens: Buffer): Promise<string> {
    return await this.#add(tokens);
  }

  async addVocabulary(texts: ReadonlyMap<number, string>): Promise<string> {
    return await this.#add(packVocabulary(texts));
  }

  /** A side of what was added until now, the vocabulary too. */
  side(record: RunRecord): Side {
    return { record, ...sideOf(openBodies(this.#partial), record.vocabulary) };
  }

  async #add(bytes: Buffer): Promise<string> {
    const digest = sha256(bytes);
    let written = this.#written.get(digest);
    if (written === undefined) {
      this.#bytes += bytes.length;
      if (this.#bytes > this.#maxBytes) throw tooLarge(`its bodies have more than ${this.#maxBytes} bytes`);
      written = this.#write(join('bodies', digest), bytes);
      this.#written.set(digest, written);
    }
    await written;
    return digest;
  }

  /** Puts the folder in its place, over an older one, and opens it. */
  async commit(record: RunRecord): Promise<OpenedRecord> {
    const { text, passes, software } = packRecord(record);
    for (const bytes of [...passes, ...software]) await this.#add(bytes);
    const bytes = Buffer.from(text);
    if (bytes.length > MAX_FILE_BYTES)
      throw tooLarge(`its record.json has more than the ${MAX_FILE_BYTES} bytes that are read`);
    await this.#write('record.json', bytes);
    await this.#guarded(async () => {
      await mkdir(dirname(this.#folder), { recursive: true });
      await refuseForeign(this.#folder);
      await replaceFolder(this.#partial, this.#folder);
    });
    return await openRecord(this.#folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#partial, { recursive: true, force: true });
  }

  async #write(name: string, bytes: Buffer): Promise<void> {
    await this.#guarded(async () => {
      await using file = await open(join(this.#partial, name), 'w');
      await file.writeFile(bytes);
      // The rename must not reach the disk before the bytes do.
      await file.sync();
    });
  }

  async #guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw diskError(error, this.#folder);
    }
  }
}

const tooLarge = (why: string) =>
  new UserError(
    'record-too-large',
    `The record was not kept: ${why}.`,
    'Ask for fewer prompts, tokens or relations, or part the suite into several. A suite that asks for little has an engine that says more than it was asked.',
  );

/** What a record's folder may hold. */
const OWN = new Set(['record.json', 'baseline.json', 'bodies']);

/** A path that names something else, such as the repository itself, must not cost the user that folder. */
async function refuseForeign(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return;
    if (code === 'ENOTDIR' || code === 'EACCES')
      throw new UserError(
        'input-invalid',
        `The record cannot be written to ${folder}: ${code === 'ENOTDIR' ? 'a file is there' : 'this user may not read the folder'}.`,
        'Name a folder of its own with `record-path`.',
        { cause: error },
      );
    throw error;
  }
  const foreign = names.find((name) => !OWN.has(name));
  if (foreign !== undefined)
    throw new UserError(
      'input-invalid',
      `The record cannot be written to ${folder}: the folder holds \`${foreign}\`, which is no part of a record.`,
      'Give the `record-path` input a folder of its own: an older record there is replaced, anything else is kept.',
    );
}

/** Makes a record's folder a baseline's: adds `baseline.json`, whole or not at all. */
export async function writeBaselineMeta(folder: string, meta: BaselineMeta): Promise<void> {
  const path = join(folder, 'baseline.json');
  // Beside the folder: in it, what a killed run leaves would be no part of a record.
  const partial = `${folder}.baseline.json.partial`;
  try {
    // A link that waits there would be written through.
    await rm(partial, { force: true });
    await writeFile(partial, json(meta), { flush: true, flag: 'wx' });
    await rename(partial, path);
  } catch (error) {
    throw diskError(error, path);
  }
}

/** Bytes of the `baseline.json` beside a record. @throws Error with the system's code as its message */
export async function readBaselineMeta(folder: string): Promise<Buffer> {
  try {
    return await readFile(join(folder, 'baseline.json'));
  } catch (cause) {
    throw new Error(systemCode(cause) ?? String(cause), { cause });
  }
}

/** Why a folder holds no record at all: the system's code, e.g. `ENOENT`. Undefined where it holds one. */
export async function missingRecord(folder: string): Promise<string | undefined> {
  try {
    await stat(join(folder, 'record.json'));
    return undefined;
  } catch (error) {
    return systemCode(error) ?? String(error);
  }
}

/** Copies a baseline's folder beside the record that was compared with it, over an older copy. */
export async function keepCopy(from: string, to: string): Promise<void> {
  const partial = partialOf(to);
  try {
    await finishReplace(to);
    await refuseForeign(to);
    await cp(from, partial, {
      recursive: true,
      filter: (path) => path === from || kept(relative(from, path)),
    });
    await replaceFolder(partial, to);
  } catch (error) {
    throw diskError(error, to);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
}

const kept = (path: string) => OWN.has(path.split(sep)[0] ?? '');

const json = (value: unknown) => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);

/**
 * Opens a record's folder. Bodies are read on demand and checked against their digest.
 *
 * @throws UserError `record-invalid`
 */
export async function openRecord(folder: string): Promise<OpenedRecord> {
  keepHeapSmall();
  const path = join(folder, 'record.json');
  const bytes = readHead(folder, path);
  const [text, digest] = [bytes.toString('utf8'), sha256(bytes)];
  const record = parseRecord(text, path, (digest) => readBody(folder, digest, shared));
  return { record, sha256: digest, ...sideOf(openBodies(folder), record.vocabulary) };
}

/**
 * A body is a small object with 200 kB behind it. V8 lets the young generation grow by the objects' size alone, to 16 MB
 * and more: thousands of bodies that nobody needs lie behind them then, and whole-heap collections have to clear them
 * away (measured: 1.5 times the memory, and a fifth more CPU time; where it has grown while the records were opened, a
 * tenth more wall time). Both flags are read each time a generation would grow; where a V8 does not know them, nothing but that is
 * lost.
 */
function keepHeapSmall(): void {
  setFlagsFromString('--semi-space-growth-factor=1');
  // The old one is collected when it has doubled. V8 lets it grow further where it was filled fast, and a comparison may
  // then end before what it let go is collected once (measured: 8 MB more for 2,000 prompts).
  setFlagsFromString('--heap-growing-percent=100');
}

/** Ways to the bodies of a folder, each checked against the digest that names it. */
interface Bodies {
  readBody(digest: string): Promise<readonly Channel[]>;
  readTokens(digest: string): Promise<Uint32Array>;
  readVocabulary(digest: string): Promise<ReadonlyMap<number, string>>;
}

/** The ways to its bits that a side of a comparison has. */
function sideOf(bodies: Bodies, vocabulary: string): Omit<Side, 'record'> {
  return { ...bodies, readVocabulary: () => bodies.readVocabulary(vocabulary) };
}

/** One thread for all records: two that are compared are read by turns. */
const reader = new BodyReader();

function openBodies(folder: string): Bodies {
  return {
    readBody: async (digest) => {
      const answer = await reader.read(join(folder, 'bodies', digest));
      if ('failed' in answer) throw unreadable(folder, digest, answer.failed);
      if (answer.digest !== digest) throw misnamed(folder, digest);
      return unpackBody(Buffer.from(answer.bytes.buffer), digest);
    },
    readTokens: async (digest) => {
      const bytes = readBytes(folder, digest);
      if (bytes.length % 4 !== 0) throw damaged(`body ${digest} of ${folder} holds no token ids`);
      return uint32(bytes);
    },
    readVocabulary: async (digest) => unpackVocabulary(readBytes(folder, digest), digest),
  };
}

function readBytes(folder: string, digest: string): Buffer {
  const bytes = readBody(folder, digest);
  if (sha256(bytes) !== digest) throw misnamed(folder, digest);
  return bytes;
}

const unreadable = (folder: string, digest: string, why: string, cause?: unknown) =>
  damaged(`body ${digest} of ${folder} cannot be read (${why})`, cause);

const misnamed = (folder: string, digest: string) =>
  damaged(`body ${digest} of ${folder} has other bytes than its name says`);

/** Bytes that nobody has looked at yet. */
function readBody(folder: string, digest: string, into?: Memory): Buffer<ArrayBuffer> {
  try {
    // Thousands of small files: each asynchronous read would go through the thread pool four times (measured: the
    // comparison of a drifted record then takes twice as long).
    return readPlain(join(folder, 'bodies', digest), into);
  } catch (cause) {
    throw unreadable(folder, digest, whyUnread(cause), cause);
  }
}

function readHead(folder: string, path: string): Buffer<ArrayBuffer> {
  try {
    return readPlain(path, shared);
  } catch (cause) {
    const code = systemCode(cause);
    if (code === 'ENOENT' || code === 'ENOTDIR')
      throw new UserError(
        'record-invalid',
        `${folder} is no folder of a record: it holds no record.json.`,
        'Name the folder that a run wrote, as its output `record-path` does. If this is one, it is damaged: make the record again.',
        { cause },
      );
    throw damaged(`${path} cannot be read (${whyUnread(cause)})`, cause);
  }
}

function damaged(what: string, cause?: unknown): UserError {
  return new UserError('record-invalid', `${what}.`, 'The record is damaged: make it again.', { cause });
}

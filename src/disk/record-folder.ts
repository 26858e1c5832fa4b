import { randomBytes } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BaselineMeta } from '../baseline/store.ts';
import { UserError } from '../errors.ts';
import { type Body, packBody, unpackBody } from '../record/body.ts';
import { sha256 } from '../record/digest.ts';
import { parseRecord } from '../record/parse.ts';
import type { RunRecord } from '../record/schema.ts';
import { diskError, systemCode } from './errors.ts';

/** Largest accepted `record.json` in bytes. */
const MAX_RECORD_BYTES = 256 * 1024 * 1024;

/**
 * Writes a record's folder so that it is whole or absent: bodies go into a sibling `….partial-…` folder,
 * `record.json` comes last, then one rename. Disposing without `commit` removes what was written.
 */
export class RecordWriter implements AsyncDisposable {
  readonly #folder: string;
  readonly #partial: string;
  readonly #old: string;
  readonly #written = new Set<string>();

  private constructor(folder: string) {
    this.#folder = folder;
    this.#partial = `${folder}.partial-${randomBytes(4).toString('hex')}`;
    this.#old = `${this.#partial}-old`;
  }

  /** @throws UserError `input-invalid` when `folder` holds anything but an older record */
  static async create(folder: string): Promise<RecordWriter> {
    const writer = new RecordWriter(folder);
    await writer.#guarded(async () => {
      await refuseForeign(folder);
      await mkdir(join(writer.#partial, 'bodies'), { recursive: true });
    });
    return writer;
  }

  /** Keeps a body and gives its digest; one whose digest is already there costs nothing. */
  async addBody(body: Body): Promise<string> {
    const bytes = packBody(body);
    const digest = sha256(bytes);
    if (!this.#written.has(digest)) {
      await this.#write(join('bodies', digest), bytes);
      this.#written.add(digest);
    }
    return digest;
  }

  /** Puts the folder in its place, over an older one. */
  async commit(record: RunRecord): Promise<void> {
    await this.#write('record.json', json(record));
    await this.#guarded(async () => {
      await mkdir(dirname(this.#folder), { recursive: true });
      await refuseForeign(this.#folder);
      // Removed where it stands, an older record would be a damaged one for as long as that takes.
      await rename(this.#folder, this.#old).catch((error: unknown) => {
        if (systemCode(error) !== 'ENOENT') throw error;
      });
      await rename(this.#partial, this.#folder);
      await rm(this.#old, { recursive: true, force: true });
    });
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

/** What a record's folder may hold. */
const OWN = new Set(['record.json', 'baseline.json', 'bodies']);

/** A path that names something else, such as the repository itself, must not cost the user that folder. */
async function refuseForeign(folder: string): Promise<void> {
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return;
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
  try {
    await writeFile(`${path}.partial`, json(meta), { flush: true });
    await rename(`${path}.partial`, path);
  } catch (error) {
    throw diskError(error, path);
  }
}

const json = (value: unknown) => Buffer.from(`${JSON.stringify(value, null, 2)}\n`);

/**
 * Opens a record's folder. Bodies are read on demand and checked against their digest.
 *
 * @throws UserError `record-invalid`
 */
export async function openRecord(
  folder: string,
): Promise<{ record: RunRecord; readBody: (digest: string) => Promise<Body> }> {
  const record = parseRecord(await readCapped(join(folder, 'record.json')), join(folder, 'record.json'));
  return { record, readBody: (digest) => readBody(folder, digest) };
}

async function readBody(folder: string, digest: string): Promise<Body> {
  let bytes: Buffer;
  try {
    bytes = await readFile(join(folder, 'bodies', digest));
  } catch (cause) {
    throw damaged(
      `body ${digest} of ${folder} cannot be read (${systemCode(cause) ?? String(cause)})`,
      cause,
    );
  }
  if (sha256(bytes) !== digest)
    throw damaged(`body ${digest} of ${folder} has other bytes than its name says`);
  return unpackBody(bytes, digest);
}

async function readCapped(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_RECORD_BYTES) throw damaged(`${path} is larger than ${MAX_RECORD_BYTES} bytes`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw damaged(`${path} cannot be read (${systemCode(cause) ?? String(cause)})`, cause);
  }
}

function damaged(what: string, cause?: unknown): UserError {
  return new UserError('record-invalid', `${what}.`, 'The record is damaged: make it again.', { cause });
}

import {
  type BaselineKey,
  type BaselineMeta,
  type BaselineStore,
  formatKey,
  type Lookup,
  type Memory,
  type Proof,
} from '../../../src/baseline/port.ts';
import { UserError } from '../../../src/errors.ts';
import type { NewRecord, Records, Reports } from '../../../src/job/tools.ts';
import { packBody, packVocabulary } from '../../../src/record/body.ts';
import type { Channel } from '../../../src/record/channels.ts';
import { sha256 } from '../../../src/record/digest.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import type { OpenedRecord, Side } from '../../../src/record/side.ts';
import { uint32 } from '../../../src/record/words.ts';
import type { Report } from '../../../src/report/schema.ts';
import { PROVEN } from './reports.ts';

/*
 * A disk and a store that are maps: what they hold is looked at, and changed, by the test.
 */

/** What belongs to a record or a baseline; replaced whole, never changed. */
export interface Folder {
  readonly record?: OpenedRecord;
  /** Bytes of its `baseline.json`. */
  readonly meta?: Buffer;
}

export class MemoryDisk implements Records, Reports {
  readonly folders = new Map<string, Folder>();
  readonly files = new Map<string, string>();
  /** Records that were begun and neither kept nor given back. */
  unfinished = 0;

  // Records

  async create(folder: string): Promise<NewRecord> {
    return new MemoryRecord(this, folder);
  }

  readonly missing = async (folder: string): Promise<string | undefined> =>
    this.folders.get(folder)?.record === undefined ? 'ENOENT' : undefined;

  async open(folder: string): Promise<OpenedRecord> {
    const record = this.folders.get(folder)?.record;
    if (record === undefined)
      throw new UserError('record-invalid', `${folder} holds no record.`, 'Make it again.');
    return record;
  }

  async metaOf(folder: string): Promise<Buffer> {
    const meta = this.folders.get(folder)?.meta;
    if (meta === undefined) throw new Error('ENOENT');
    return meta;
  }

  async addMeta(folder: string, meta: BaselineMeta): Promise<void> {
    this.folders.set(folder, { ...this.folders.get(folder), meta: Buffer.from(JSON.stringify(meta)) });
  }

  async keepCopy(from: string, to: string): Promise<void> {
    this.folders.set(to, { ...this.folders.get(from) });
  }

  // Reports

  async write(path: string, text: string): Promise<void> {
    this.files.set(path, text);
  }

  async read(path: string): Promise<Report> {
    const text = this.files.get(path);
    if (text === undefined) throw new UserError('report-invalid', `${path} is no report.`, 'Name one.');
    return JSON.parse(text) as Report;
  }

  async find(path: string, expected: number): Promise<readonly string[]> {
    const found = [...this.files.keys()].filter(
      (name) => name.startsWith(path) && name.endsWith('.report.json'),
    );
    if (found.length < expected)
      throw new UserError('reports-missing', `${path} holds too few.`, 'See the job.');
    return found.sort();
  }
}

class MemoryRecord implements NewRecord {
  readonly #disk: MemoryDisk;
  readonly #folder: string;
  readonly #bodies = new Map<string, readonly Channel[]>();
  readonly #tokens = new Map<string, Uint32Array>();
  readonly #vocabularies = new Map<string, ReadonlyMap<number, string>>();

  constructor(disk: MemoryDisk, folder: string) {
    this.#disk = disk;
    this.#folder = folder;
    disk.unfinished += 1;
  }

  async addBody(channels: readonly Channel[]): Promise<string> {
    return keep(this.#bodies, packBody(channels), channels);
  }

  async addTokens(tokens: Buffer): Promise<string> {
    return keep(this.#tokens, tokens, uint32(tokens));
  }

  async addVocabulary(texts: ReadonlyMap<number, string>): Promise<string> {
    return keep(this.#vocabularies, packVocabulary(texts), new Map(texts));
  }

  side(record: RunRecord): Side {
    return {
      record,
      readBody: async (digest) => held(this.#bodies, digest),
      readTokens: async (digest) => held(this.#tokens, digest),
      readVocabulary: async () => held(this.#vocabularies, record.vocabulary),
    };
  }

  async commit(record: RunRecord): Promise<OpenedRecord> {
    const opened = { ...this.side(record), sha256: sha256(JSON.stringify(record)) };
    this.#disk.folders.set(this.#folder, { record: opened });
    return opened;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disk.unfinished -= 1;
  }
}

function keep<T>(all: Map<string, T>, bytes: Buffer, value: T): string {
  const digest = sha256(bytes);
  all.set(digest, value);
  return digest;
}

function held<T>(all: ReadonlyMap<string, T>, digest: string): T {
  const found = all.get(digest);
  if (found === undefined)
    throw new UserError('record-invalid', `body ${digest} is not there.`, 'Make it again.');
  return found;
}

/** Baselines by hardware class, each in a folder of the disk. */
export class MemoryStore implements BaselineStore {
  /** As a suite names it. */
  kind: string;
  readonly baselines = new Map<string, { readonly key: string; readonly folder: string }>();
  /** What was stored, and the key that each was said to replace. */
  readonly saved: { readonly key: string; readonly replaces: string | undefined }[] = [];
  /** Baselines that were found and not given back. */
  open = 0;
  /** Asked before an engine is started. */
  writable: () => void = () => {};
  proof: Proof = PROVEN;
  /** What the repository knows of baselines that are not there. */
  memory: Memory = { kind: 'never' };
  readonly #disk: MemoryDisk;

  constructor(disk: MemoryDisk, kind: 'cache' | 'files' = 'cache') {
    this.#disk = disk;
    this.kind = kind;
  }

  get inCheckout(): boolean {
    return this.kind === 'files';
  }

  get branches(): BaselineStore['branches'] {
    return this.inCheckout ? 'any' : 'default';
  }

  remedyOf(key: string): string {
    return this.inCheckout ? 'Restore it from git.' : `Delete it: \`gh cache delete ${key}\`.`;
  }

  async find({ hardwareClass }: { readonly hardwareClass: string }, wanted?: string): Promise<Lookup> {
    const found =
      wanted === undefined
        ? this.baselines.get(hardwareClass)
        : this.#disk.folders.has(wanted)
          ? { key: wanted, folder: wanted }
          : undefined;
    if (found === undefined)
      return { kind: 'absent', otherClasses: [...this.baselines.keys()], explanation: ['looked here'] };
    this.open += 1;
    return {
      ...{ kind: 'found', ...found, proof: this.proof },
      [Symbol.asyncDispose]: async () => {
        this.open -= 1;
      },
    };
  }

  async classes(): Promise<readonly string[]> {
    return [...this.baselines.keys()].sort();
  }

  async remembers(): Promise<Memory> {
    return this.memory;
  }

  assertWritable(): void {
    this.writable();
  }

  async save(key: BaselineKey, folder: string, replaces: string | undefined): Promise<string> {
    const name = formatKey(key);
    await this.#disk.keepCopy(folder, name);
    this.baselines.set(key.hardwareClass, { key: name, folder: name });
    this.saved.push({ key: name, replaces });
    return name;
  }
}

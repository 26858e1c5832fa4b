import type { ReadBody } from './body.ts';
import type { RunRecord } from './schema.ts';

/** One side of a comparison: a record and ways to its bits. */
export interface Side {
  readonly record: RunRecord;
  readonly readBody: ReadBody;
  /** Known tokens by their digest. */
  readonly readTokens: (digest: string) => Promise<Uint32Array>;
  /** Text of the token ids that occur in this record. */
  readonly readVocabulary: () => Promise<ReadonlyMap<number, string>>;
  /** Engine starts of other runs that gave this baseline's very outcome, and count as its own. */
  readonly startsBeforeMerge?: number;
}

/** A side that is kept, and whole. */
export interface OpenedRecord extends Side {
  /** SHA-256 of the bytes of `record.json`. */
  readonly sha256: string;
}

import type { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import type { Software } from '../fingerprint/software.ts';
import type { Channel } from '../record/channels.ts';
import type { FinishReason } from '../record/witness.ts';
import type { Sampling } from '../suite/schema.ts';
import type { Problems } from './problems.ts';

/** What another program left: one folder's files. Whoever wrote them may mean harm. */
export interface Folder {
  /** Below the folder that was named; empty for that itself. */
  readonly path: string;
  /** Names, sorted. */
  readonly files: readonly string[];
  /** Undefined, and a problem, for one that cannot be read, is too large or is no UTF-8. */
  text(name: string): Promise<string | undefined>;
}

/** What one prompt gave, as another program tells it. */
export interface ImportedAnswer {
  /** As a suite may name it. */
  readonly prompt: string;
  /** Digest of what was asked, as far as it is told. */
  readonly input: string;
  readonly finishReason: FinishReason;
  readonly sampling: Sampling | null;
  /** What is not told is not there. */
  readonly channels: readonly Channel[];
}

export interface ImportedRun {
  /** Names its folder; unique among what one source finds in a folder. Empty: that folder's own run. */
  readonly name: string;
  readonly suite: string;
  /** Undefined where nobody told. */
  readonly createdAt: string | undefined;
  readonly environment: ImportedEnvironment;
  readonly answers: readonly ImportedAnswer[];
  /** Texts of token ids, where they are told. */
  readonly vocabulary: ReadonlyMap<number, string>;
}

/** What is not told is `unknown`. */
export interface ImportedEnvironment {
  readonly fingerprint: Fingerprint;
  readonly settings: EngineSettings;
  readonly software: Software | undefined;
}

/** What a source found in a folder. */
export interface Taken {
  /** Files that are its own, broken ones too. */
  readonly files: readonly string[];
  readonly runs: readonly ImportedRun[];
  /** Of the machine that the runs of the folder ran on, or of those below it. */
  readonly environments: readonly ImportedEnvironment[];
}

/** One program whose results can be read: one file in this room and one line in `index.ts`. */
export interface ImportSource {
  readonly name: string;
  /** What it reads, as the documents say it. */
  readonly what: string;
  /** Never throws for what a file holds: that is a problem, with its line. */
  take(folder: Folder, problems: Problems): Promise<Taken>;
}

export const NOTHING: Taken = { files: [], runs: [], environments: [] };

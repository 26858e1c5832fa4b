import type { SuitePlaces } from './parse.ts';
import type { PromptContent, Sampling, Suite } from './schema.ts';

/** A suite with everything that it names read in. */
export interface LoadedSuite {
  readonly suite: Suite;
  readonly places: SuitePlaces;
  readonly prompts: readonly LoadedPrompt[];
  /** Texts that are scored beside the prompts. */
  readonly texts: readonly LoadedText[];
  /** The user's own files that the engine runs; undefined for one that runs none. */
  readonly program?: Program;
  /** Where `model.path` is; undefined for a model of the hub, and for none. */
  readonly modelFolder: ModelFolder | undefined;
}

/** What the engine `script` runs, as the checkout has it. */
export interface Program {
  /** Path of the file that is run, from the repository's root. */
  readonly file: string;
  /** That one first, then what it imports or reads. */
  readonly files: readonly ProgramFile[];
}

export interface ProgramFile {
  /** From the repository's root. */
  readonly path: string;
  readonly text: string;
}

export interface LoadedText {
  readonly id: string;
  readonly content: PromptContent;
  /** Only the base branch's suite asks it so: the change takes it away, or makes it ask something else. */
  readonly leaving?: true;
}

export interface LoadedPrompt extends LoadedText {
  /** The suite's, with the prompt's own over it. */
  readonly sampling: Sampling;
  /** Names in it that neither says: as it is served, they are the model's. */
  readonly unsaid?: readonly string[];
}

/** A folder of this machine. */
export interface ModelFolder {
  /** Absolute. */
  readonly path: string;
  /** Of the checkout; a link in it may lead anywhere. */
  readonly lies: 'inside' | 'outside' | 'behind-a-link';
}

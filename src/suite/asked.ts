import { UserError } from '../errors.ts';
import { chatContent } from './conversation.ts';
import type { LoadedPrompt, LoadedText } from './loaded.ts';
import { sampleIds } from './samples.ts';
import type { PromptContent, PromptEntry, Sampling, Suite } from './schema.ts';

type Asking = Pick<Suite, 'prompts' | 'score' | 'sampling' | 'said'>;

/** What a suite asks, its files read in. */
export interface Asked {
  readonly prompts: readonly LoadedPrompt[];
  /** Texts that are scored beside the prompts. */
  readonly texts: readonly LoadedText[];
  /** Prompts and texts whose file could not be read, and why. */
  readonly problems: readonly { readonly id: string; readonly message: string }[];
}

/** How every pointer begins: the file itself was not fetched, and the pointer would be asked in its place. */
const LFS_POINTER = 'version https://git-lfs.github.com/spec/';

/** Characters of all files together: a suite of 256 KiB can name one large file ten thousand times. */
const MAX_CHARACTERS = 48 * 1024 * 1024;

/** @param readText of a `file`, as the suite names it: what it throws is a problem of that entry, but for a `UserError` */
export async function readAsked(suite: Asking, readText: (file: string) => Promise<string>): Promise<Asked> {
  const problems: { id: string; message: string }[] = [];
  let characters = 0;
  const readBounded = async (file: string) => {
    if (characters > MAX_CHARACTERS)
      throw new Error(`the files before \`${file}\` hold more than ${MAX_CHARACTERS} characters together`);
    const text = await readText(file);
    characters += text.length;
    if (text.startsWith(LFS_POINTER))
      throw new Error(
        `\`${file}\` is a pointer of Git LFS, and its text lies elsewhere: give actions/checkout \`lfs: true\`, or keep what a pull request is judged by out of LFS`,
      );
    return text;
  };
  const read = async (entry: Entry): Promise<LoadedText[]> => {
    try {
      const { id, adapter } = entry;
      const content = await contentOf(entry, readBounded);
      return [{ id, content: { ...content, ...(adapter !== undefined && { adapter }) } }];
    } catch (error) {
      if (error instanceof UserError) throw error;
      problems.push({ id: entry.id, message: error instanceof Error ? error.message : String(error) });
      return [];
    }
  };
  const prompts: LoadedPrompt[] = [];
  for (const entry of suite.prompts)
    for (const loaded of await read(entry)) prompts.push(...samplesOf(loaded, suite, entry.sampling));
  const texts: LoadedText[] = [];
  for (const entry of suite.score) texts.push(...(await read(entry)));
  return { prompts, texts, problems };
}

/**
 * Each answer that is asked for is a prompt of its own: the first is that of a suite which asks for one, and each further
 * one has a seed one higher, as servers draw them.
 */
function samplesOf(loaded: LoadedText, suite: Asking, entry: PromptEntry['sampling']): LoadedPrompt[] {
  const own = defined(entry);
  const { n, ...rest } = { ...suite.sampling, ...own };
  const sampling = { ...rest, ...guideOf(rest) };
  return sampleIds(loaded.id, n).map((id, index) => ({
    ...loaded,
    id,
    sampling: { ...sampling, seed: sampling.seed + index },
    ...unsaid(suite, own),
  }));
}

/** Engines write an object's members in the order of its schema's: as JSON, that order is part of what is asked. */
function guideOf({ structured_outputs: guide }: Sampling): Pick<Sampling, 'structured_outputs'> {
  return typeof guide?.json === 'object'
    ? { structured_outputs: { ...guide, json: JSON.stringify(guide.json) } }
    : {};
}

/** The length is the suite's to say, and without a seed no draw would repeat. */
const ALWAYS_SAID = ['max_tokens', 'seed'];

function unsaid({ said, sampling }: Pick<Suite, 'said' | 'sampling'>, own: Partial<Sampling>) {
  if (said === undefined) return {};
  const all = new Set([...said, ...Object.keys(own), ...ALWAYS_SAID]);
  return { unsaid: Object.keys(sampling).filter((name) => !all.has(name)) };
}

type Entry = Pick<PromptEntry, 'id' | 'text' | 'file'> & Partial<PromptEntry>;

async function contentOf(
  { id, text, messages, file, 'token-ids': ids, tools, chat_template_kwargs }: Entry,
  readText: (file: string) => Promise<string>,
): Promise<PromptContent> {
  if (text !== undefined) return { text };
  if (messages !== undefined) return chatContent({ messages, tools, chat_template_kwargs });
  if (ids !== undefined) return { 'token-ids': ids };
  if (file === undefined) throw new Error(`\`${id}\` is empty`);
  return { text: await readText(file) };
}

/** Without the keys that are not given: spread over others, an undefined would hide theirs. */
function defined(sampling: PromptEntry['sampling'] = {}): Partial<Suite['sampling']> {
  return Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
}

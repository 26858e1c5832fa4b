import { UserError } from '../errors.ts';
import type { LoadedPrompt, LoadedText } from './loaded.ts';
import type { PromptContent, PromptEntry, Sampling, Suite } from './schema.ts';

/** What a suite asks, its files read in. */
export interface Asked {
  readonly prompts: readonly LoadedPrompt[];
  /** Texts that are scored beside the prompts. */
  readonly texts: readonly LoadedText[];
  /** Prompts and texts whose file could not be read, and why. */
  readonly problems: readonly { readonly id: string; readonly message: string }[];
}

/** Characters of all files together: a suite of 256 KiB can name one large file ten thousand times. */
const MAX_CHARACTERS = 48 * 1024 * 1024;

/** @param readText of a `file`, as the suite names it: what it throws is a problem of that entry, but for a `UserError` */
export async function readAsked(
  suite: Pick<Suite, 'prompts' | 'score' | 'sampling' | 'said'>,
  readText: (file: string) => Promise<string>,
): Promise<Asked> {
  const problems: { id: string; message: string }[] = [];
  let characters = 0;
  const readBounded = async (file: string) => {
    if (characters > MAX_CHARACTERS)
      throw new Error(`the files before \`${file}\` hold more than ${MAX_CHARACTERS} characters together`);
    const text = await readText(file);
    characters += text.length;
    return text;
  };
  const read = async (entry: Entry): Promise<LoadedText[]> => {
    try {
      return [{ id: entry.id, content: await contentOf(entry, readBounded) }];
    } catch (error) {
      if (error instanceof UserError) throw error;
      problems.push({ id: entry.id, message: error instanceof Error ? error.message : String(error) });
      return [];
    }
  };
  const prompts: LoadedPrompt[] = [];
  for (const entry of suite.prompts)
    for (const loaded of await read(entry))
      prompts.push({
        ...loaded,
        sampling: { ...suite.sampling, ...defined(entry.sampling) },
        ...unsaid(suite, defined(entry.sampling)),
      });
  const texts: LoadedText[] = [];
  for (const entry of suite.score) texts.push(...(await read(entry)));
  return { prompts, texts, problems };
}

/** The length is the suite's to say, and without a seed no draw would repeat. */
const ALWAYS_SAID = ['max_tokens', 'seed'];

function unsaid({ said, sampling }: Pick<Suite, 'said' | 'sampling'>, own: Partial<Sampling>) {
  if (said === undefined) return {};
  const all = new Set([...said, ...Object.keys(own), ...ALWAYS_SAID]);
  return { unsaid: Object.keys(sampling).filter((name) => !all.has(name)) };
}

type Entry = Pick<PromptEntry, 'id' | 'text' | 'messages' | 'file'>;

async function contentOf(
  { id, text, messages, file }: Entry,
  readText: (file: string) => Promise<string>,
): Promise<PromptContent> {
  if (text !== undefined) return { text };
  if (messages !== undefined) return { messages };
  if (file === undefined) throw new Error(`\`${id}\` is empty`);
  return { text: await readText(file) };
}

/** Without the keys that are not given: spread over others, an undefined would hide theirs. */
function defined(sampling: PromptEntry['sampling'] = {}): Partial<Sampling> {
  return Object.fromEntries(Object.entries(sampling).filter(([, value]) => value !== undefined));
}

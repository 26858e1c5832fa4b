import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { type Place, UserError } from '../errors.ts';
import { readAsked } from '../suite/asked.ts';
import { withChange } from '../suite/change.ts';
import type { LoadedSuite, ModelFolder } from '../suite/loaded.ts';
import { MAX_SUITE_BYTES, parseSuite, type SuitePlaces } from '../suite/parse.ts';
import type { Change, Suite, SuiteSchema } from '../suite/schema.ts';
import { confined, isBelow, isOfGit } from './confined.ts';
import { systemCode } from './errors.ts';
import { writeText } from './report-file.ts';

/** Largest accepted prompt file in bytes. */
const MAX_PROMPT_BYTES = 4 * 1024 * 1024;

/**
 * @param path of the suite, relative to `workspace`
 * @throws UserError `suite-missing`, `suite-invalid`, `prompt-file-invalid`
 */
export async function loadSuite(path: string, workspace: string, schema: SuiteSchema): Promise<LoadedSuite> {
  const absolute = resolve(workspace, path);
  const source = await readSuite(absolute, path, workspace);
  const file = relative(workspace, absolute).split(sep).join('/');
  const { suite, places } = parseSuite(source, file, schema);
  const folder = dirname(absolute);
  const { prompts, texts, problems } = await readAsked(suite, (name) => readPrompt(name, folder, workspace));
  const told = problems.map(({ id, message }): Place => {
    const { line, column } = places.prompts.get(id) ?? { line: 1, column: 1 };
    return { file, line, column, message };
  });
  if (problems.length > 0)
    throw new UserError(
      'prompt-file-invalid',
      told.map((p) => `${p.file}:${p.line}:${p.column}  ${p.message}`).join('\n'),
      'A `file` is UTF-8 text inside the repository, named relative to the suite.',
      { places: told },
    );
  return {
    suite,
    places,
    prompts,
    texts,
    modelFolder: await modelFolderOf(suite, places, folder, workspace),
  };
}

/**
 * The suite with a change made to it, which asks what the suite asks.
 *
 * @throws UserError `suite-invalid` for a change that no suite could have
 */
export async function changeSuite(
  loaded: LoadedSuite,
  change: Change,
  workspace: string,
  schema: SuiteSchema,
): Promise<LoadedSuite> {
  const { places } = loaded;
  const changed = withChange(loaded.suite, change, schema);
  if ('problems' in changed)
    throw new UserError(
      'suite-invalid',
      `${places.file} cannot be changed so: ${changed.problems.join('; ')}.`,
      'Name arguments and variables as a suite does; docs/suite.md describes every key.',
    );
  const suite = changed.ok;
  const folder = dirname(resolve(workspace, places.file));
  const modelFolder =
    change.model === undefined ? loaded.modelFolder : await modelFolderOf(suite, places, folder, workspace);
  // Where the rest of the sampling is no more the model's, all of it is the suite's.
  const prompts =
    suite.said === undefined ? loaded.prompts.map(({ unsaid: _, ...prompt }) => prompt) : loaded.prompts;
  return { ...loaded, suite, prompts, modelFolder };
}

/**
 * The same file as text, to be changed in its place.
 * @throws UserError `suite-missing`, `suite-invalid`
 */
export async function openSuiteText(
  path: string,
  workspace: string,
): Promise<{ readonly text: string; write(text: string): Promise<void> }> {
  const absolute = resolve(workspace, path);
  const text = await readSuite(absolute, path, workspace);
  // Where a link leads, which `readSuite` has kept inside: the link itself stays.
  return { text, write: async (changed) => await writeText(await confined(absolute, workspace), changed) };
}

const inGit = (path: string, { file, model }: SuitePlaces) => {
  const message = `the model ${path} lies in \`.git\`, which is no part of the repository’s content`;
  return new UserError(
    'suite-invalid',
    `${file}:${model.line}:${model.column}  ${message}.`,
    'Name a folder of its own.',
    {
      places: [{ file, ...model, message }],
    },
  );
};

async function modelFolderOf(
  { model }: Suite,
  places: SuitePlaces,
  folder: string,
  workspace: string,
): Promise<ModelFolder | undefined> {
  if (model.path === undefined) return undefined;
  const path = resolve(folder, model.path);
  if (!isBelow(workspace, path)) return { path, lies: 'outside' };
  // What is not there yet is where its name says.
  const [root = workspace, real = path] = await Promise.all(
    [workspace, path].map((one) => realpath(one).catch(() => one)),
  );
  if (isOfGit(root, real)) throw inGit(model.path, places);
  return { path, lies: isBelow(root, real) ? 'inside' : 'behind-a-link' };
}

async function readSuite(absolute: string, path: string, workspace: string): Promise<string> {
  const missing = (why: string, cause?: unknown) =>
    new UserError(
      'suite-missing',
      `The suite ${path} ${why}.`,
      'Name it with the `suite` input, relative to the repository; the job needs actions/checkout before this action.',
      { cause },
    );
  try {
    // Before it is read: what a parser says of a file tells what is in it.
    const real = await confined(absolute, workspace);
    const found = await stat(real);
    if (!found.isFile()) throw missing('is not a file');
    if (found.size > MAX_SUITE_BYTES) throw missing(`is larger than ${MAX_SUITE_BYTES} bytes`);
    const text = utf8(await readFile(real));
    if (text === undefined)
      throw new UserError('suite-invalid', `The suite ${path} is not valid UTF-8.`, 'Save it as UTF-8.');
    return text;
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    const code = systemCode(cause);
    if (code === undefined) throw missing(cause instanceof Error ? cause.message : String(cause), cause);
    throw missing(code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`, cause);
  }
}

async function readPrompt(file: string, folder: string, workspace: string): Promise<string> {
  let bytes: Buffer;
  try {
    const real = await confined(join(folder, file), workspace).catch((error: unknown) => {
      if (systemCode(error) !== undefined || !(error instanceof Error)) throw error;
      throw new Error(`\`${file}\` ${error.message}`, { cause: error });
    });
    const found = await stat(real);
    // Reading a pipe could take forever.
    if (!found.isFile()) throw new Error(`\`${file}\` is not a file`);
    if (found.size === 0) throw new Error(`\`${file}\` is empty`);
    if (found.size > MAX_PROMPT_BYTES)
      throw new Error(`\`${file}\` is larger than ${MAX_PROMPT_BYTES} bytes`);
    bytes = await readFile(real);
  } catch (error) {
    const code = systemCode(error);
    if (code === undefined) throw error;
    throw new Error(
      code === 'ENOENT' ? `\`${file}\` does not exist` : `\`${file}\` cannot be read (${code})`,
      { cause: error },
    );
  }
  const text = utf8(bytes);
  if (text === undefined) throw new Error(`\`${file}\` is not valid UTF-8`);
  return text;
}

/** Undefined for bytes that are no UTF-8: a replacement character would be another prompt. */
function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, relative, resolve, sep } from 'node:path';
import { type Place, UserError } from '../errors.ts';
import { readAsked } from '../suite/asked.ts';
import { withChange } from '../suite/change.ts';
import type { LoadedSuite, ModelFolder, Program } from '../suite/loaded.ts';
import { MAX_SUITE_BYTES, parseSuite, type SuitePlaces } from '../suite/parse.ts';
import type { Change, Suite, SuiteSchema } from '../suite/schema.ts';
import { confined, isBelow, isOfGit } from './confined.ts';
import { systemCode, unread } from './errors.ts';
import { readProgram } from './program.ts';
import { writeText } from './report-file.ts';
import { readText, utf8 } from './text-file.ts';

/**
 * @param path of the suite, relative to `workspace`
 * @param programs engines that run a program of the user's
 * @throws UserError `suite-missing`, `suite-invalid`, `prompt-file-invalid`, `script-invalid`
 */
export async function loadSuite(
  path: string,
  workspace: string,
  schema: SuiteSchema,
  programs: readonly string[],
): Promise<LoadedSuite> {
  const absolute = resolve(workspace, path);
  const source = await readSuite(absolute, path, workspace);
  const file = relative(workspace, absolute).split(sep).join('/');
  const { suite, places } = parseSuite(source, file, schema);
  const folder = dirname(absolute);
  const { prompts, texts, problems } = await readAsked(suite, (name) => readText(name, folder, workspace));
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
  const program = await programOf(suite, places, folder, workspace, programs);
  return {
    suite,
    places,
    prompts,
    texts,
    ...(program && { program }),
    modelFolder: await modelFolderOf(suite, places, folder, workspace),
  };
}

/** Absolute paths of the suite and of all that it names; of one that cannot be read, or is wrong, that alone. */
export async function filesOfSuite(path: string, workspace: string, schema: SuiteSchema): Promise<string[]> {
  const absolute = resolve(workspace, path);
  const folder = dirname(absolute);
  try {
    const { suite } = parseSuite(await readSuite(absolute, path, workspace), path, schema);
    const named: string[] = [];
    await readAsked(suite, async (file) => {
      named.push(file);
      return '';
    });
    const { file, files } = suite.engine.args;
    named.push(...[suite.model.path, file, files].flat().filter((one) => typeof one === 'string'));
    return [absolute, ...named.map((one) => resolve(folder, one))];
  } catch (error) {
    if (error instanceof UserError) return [absolute];
    throw error;
  }
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
  programs: readonly string[],
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
  const { program: _, ...rest } = loaded;
  const program = await programOf(suite, places, folder, workspace, programs);
  return { ...rest, suite, prompts, modelFolder, ...(program && { program }) };
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

const programOf = async (
  suite: Suite,
  places: SuitePlaces,
  folder: string,
  workspace: string,
  programs: readonly string[],
): Promise<Program | undefined> =>
  programs.includes(suite.engine.name) ? await readProgram(suite, places, folder, workspace) : undefined;

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
  if (model?.path === undefined) return undefined;
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
      'Name it relative to the repository: in a workflow with the `suite` input and after actions/checkout, on a terminal behind the command.',
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
    if (systemCode(cause) === undefined)
      throw missing(cause instanceof Error ? cause.message : String(cause), cause);
    throw missing(unread(cause), cause);
  }
}

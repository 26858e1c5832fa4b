import { readFile, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { type Place, UserError } from '../errors.ts';
import { readAsked } from '../suite/asked.ts';
import type { LoadedSuite, ModelFolder } from '../suite/loaded.ts';
import { MAX_SUITE_BYTES, parseSuite } from '../suite/parse.ts';
import type { Suite, SuiteSchema } from '../suite/schema.ts';
import { systemCode } from './errors.ts';

/** Largest accepted prompt file in bytes. */
const MAX_PROMPT_BYTES = 4 * 1024 * 1024;

/**
 * @param path of the suite, relative to `workspace`
 * @throws UserError `suite-missing`, `suite-invalid`, `prompt-file-invalid`
 */
export async function loadSuite(path: string, workspace: string, schema: SuiteSchema): Promise<LoadedSuite> {
  const absolute = resolve(workspace, path);
  const source = await readSuite(absolute, path);
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
  return { suite, places, prompts, texts, modelFolder: await modelFolderOf(suite, folder, workspace) };
}

async function modelFolderOf(
  { model }: Suite,
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
  return { path, lies: isBelow(root, real) ? 'inside' : 'behind-a-link' };
}

function isBelow(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return !way.startsWith('..') && !isAbsolute(way);
}

async function readSuite(absolute: string, path: string): Promise<string> {
  const missing = (why: string, cause?: unknown) =>
    new UserError(
      'suite-missing',
      `The suite ${path} ${why}.`,
      'Name it with the `suite` input, relative to the repository; the job needs actions/checkout before this action.',
      { cause },
    );
  try {
    const found = await stat(absolute);
    if (!found.isFile()) throw missing('is not a file');
    if (found.size > MAX_SUITE_BYTES) throw missing(`is larger than ${MAX_SUITE_BYTES} bytes`);
    const text = utf8(await readFile(absolute));
    if (text === undefined)
      throw new UserError('suite-invalid', `The suite ${path} is not valid UTF-8.`, 'Save it as UTF-8.');
    return text;
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw missing(
      systemCode(cause) === 'ENOENT' ? 'does not exist' : `cannot be read (${systemCode(cause)})`,
      cause,
    );
  }
}

async function readPrompt(file: string, folder: string, workspace: string): Promise<string> {
  let bytes: Buffer;
  try {
    // A link may lead anywhere: what counts is where the file really is.
    const [real, root] = await Promise.all([realpath(join(folder, file)), realpath(workspace)]);
    if (!isBelow(root, real)) throw new Error(`\`${file}\` lies outside the repository`);
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

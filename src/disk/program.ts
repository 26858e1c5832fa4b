import { join, relative, sep } from 'node:path';
import { UserError } from '../errors.ts';
import type { Program, ProgramFile } from '../suite/loaded.ts';
import type { SuitePlaces } from '../suite/parse.ts';
import type { Suite } from '../suite/schema.ts';
import { readText } from './text-file.ts';

/** More are a package, which belongs into the image. */
const MAX_FILES = 100;

/**
 * The user's own files that the suite's engine runs.
 *
 * @throws UserError `script-invalid`, which names each that cannot be read
 */
export async function readProgram(
  { engine }: Suite,
  places: SuitePlaces,
  folder: string,
  workspace: string,
): Promise<Program> {
  const { file, files: others = [] } = engine.args;
  const invalid = (why: string) => {
    const at = { file: places.file, ...places.engine };
    return new UserError(
      'script-invalid',
      `${at.file}:${at.line}:${at.column}  ${why}.`,
      '`engine: { name: script, args: { file, files } }` names files of the repository, relative to the suite: the one that is run, and a list of those that it imports or reads.',
      { places: [{ ...at, message: why }] },
    );
  };
  if (typeof file !== 'string' || !file.endsWith('.py'))
    throw invalid('`engine.args.file` must name the file of Python that is run');
  if (!isTexts(others)) throw invalid('`engine.args.files` must be a list of paths');
  const named = [...new Set([file, ...others])];
  if (named.length > MAX_FILES) throw invalid(`\`engine.args.files\` names more than ${MAX_FILES} files`);
  const read = await Promise.all(
    named.map(async (name): Promise<ProgramFile | string> => {
      try {
        const text = await readText(name, folder, workspace);
        return { path: relative(workspace, join(folder, name)).split(sep).join('/'), text };
      } catch (error) {
        return error instanceof Error ? error.message : String(error);
      }
    }),
  );
  const problems = read.filter((one) => typeof one === 'string');
  if (problems.length > 0) throw invalid(problems.join('; '));
  const files = read.filter((one) => typeof one !== 'string');
  return { file: files[0]?.path ?? '', files };
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string');

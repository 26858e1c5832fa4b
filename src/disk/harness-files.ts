import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import type { Harness } from '../engine/session.ts';

/** What a user's own program imports, and no other engine needs. */
const OF_PROGRAMS = /^deterministic_ml\/(?:v1\.py$|program\/)/;

/** An engine's half there: a module or a folder of modules. */
const OF_ENGINE = /^deterministic_ml\/engines\/(\w+)(?:\.py$|\/)/;

/** Starts beside a harness what it starts, where that is another machine. */
const KEEPER = 'far.py';

/** Fetches a model there. */
const FETCHER = 'fetch.py';

/** Texts of what runs on the far side of a launcher, beside the engine's harness. */
export interface FarSide {
  /** Keeps whatever is started there. */
  readonly keeper: string;
  /** Fetches a model of the hub there. */
  readonly fetcher: string;
}

export async function readFarSide(folder: string): Promise<FarSide> {
  const [keeper, fetcher] = await Promise.all([readText(folder, KEEPER), readText(folder, FETCHER)]);
  return { keeper, fetcher };
}

const readText = (folder: string, name: string) => readFile(join(folder, name), 'utf8');

/**
 * Reads the harness as it is delivered over stdin: the Python files below `folder`.
 *
 * @param choice whether the engine runs a program of the user's, and whose halves it has no use for
 */
export async function readHarness(
  folder: string,
  {
    program = false,
    without = [],
  }: { readonly program?: boolean; readonly without?: readonly string[] } = {},
): Promise<Harness> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.py'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const names = paths.map((path) => relative(folder, path).split(sep).join('/'));
  const files = await Promise.all(
    names
      .filter((name) => program || !OF_PROGRAMS.test(name))
      .filter((name) => !without.includes(OF_ENGINE.exec(name)?.[1] ?? ''))
      .map(async (name) => [name, await readFile(join(folder, name), 'utf8')] as const),
  );
  const { 'boot.py': boot = '', [KEEPER]: _, [FETCHER]: __, ...rest } = Object.fromEntries(files);
  return { boot, files: rest };
}

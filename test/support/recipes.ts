import { cpSync } from 'node:fs';
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** For a program that runs from source and gets nothing else of this process's: it is not compiled anew each time. */
export const COMPILED = { NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'] ?? '' };

/** What docs/developing.md says to do to add one thing of a kind. */
export interface Recipe {
  /** New files: path from the repository's root -> text. */
  readonly files: ReadonlyMap<string, string>;
  readonly lines: readonly Lines[];
}

/** Lines for a list that is there. */
interface Lines {
  readonly path: string;
  /** For the top of the file. */
  readonly imports: readonly string[];
  readonly entries: readonly string[];
  /** The line that the entries stand above. */
  readonly before: string;
}

/** @param heading of the recipe, e.g. `Add a surface` */
export async function recipeOf(heading: string): Promise<Recipe> {
  const page = await readFile(join(repository, 'docs/developing.md'), 'utf8');
  const [, section = ''] = page.split(`\n### ${heading}\n`);
  const [own = ''] = section.split(/\n##+ /);
  const files = new Map<string, string>();
  const lines: Lines[] = [];
  for (const [, info = '', text = ''] of own.matchAll(/^```\w+ (.+)\n([\s\S]*?)^```$/gm)) {
    const [, file] = /^file=(\S+)$/.exec(info) ?? [];
    const [, path, before] = /^line=(\S+) before="(.+)"$/.exec(info) ?? [];
    if (file !== undefined) files.set(file, text);
    if (path === undefined || before === undefined) continue;
    const all = text.split('\n').filter((line) => line !== '');
    const isImport = (line: string) => line.startsWith('import ');
    lines.push({
      ...{ path, before },
      imports: all.filter(isImport),
      entries: all.filter((line) => !isImport(line)),
    });
  }
  if (files.size === 0 && lines.length === 0)
    throw new Error(`docs/developing.md has no recipe \`${heading}\`.`);
  return { files, lines };
}

/** A copy of the program's source, which runs as it is and may be changed. */
export class SourceCopy implements AsyncDisposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<SourceCopy> {
    // One place after another's end: what was compiled there is compiled for the next one too.
    const path = join(tmpdir(), `recipe-${process.pid}`);
    await mkdir(path);
    // In an eighth of the CPU that its promise takes, which copies in JavaScript.
    for (const name of ['src', 'schema', 'docker/harness', 'package.json', 'tsconfig.json', 'action.yml'])
      cpSync(join(repository, name), join(path, name), { recursive: true });
    await symlink(join(repository, 'node_modules'), join(path, 'node_modules'));
    return new SourceCopy(path);
  }

  async apply({ files, lines }: Recipe): Promise<void> {
    for (const [path, text] of files) {
      await mkdir(dirname(join(this.path, path)), { recursive: true });
      // A recipe adds: what is there already is not its to change.
      await writeFile(join(this.path, path), text, { flag: 'wx' });
    }
    for (const { path, imports, entries, before } of lines)
      await this.edit(path, (all) => {
        const at = all.indexOf(before);
        if (at === -1) throw new Error(`${path} has no line \`${before}\`.`);
        return [...imports, ...all.slice(0, at), ...entries, ...all.slice(at)];
      });
  }

  /** Takes out a line, which must be there once. */
  async without(path: string, line: string): Promise<void> {
    await this.edit(path, (all) => {
      const rest = all.filter((one) => one !== line);
      if (rest.length !== all.length - 1) throw new Error(`${path} has not one line \`${line}\`.`);
      return rest;
    });
  }

  async edit(path: string, change: (lines: readonly string[]) => readonly string[]): Promise<void> {
    const text = await readFile(join(this.path, path), 'utf8');
    await writeFile(join(this.path, path), change(text.split('\n')).join('\n'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { recursive: true });
  }
}

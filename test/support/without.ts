import { readFile } from 'node:fs/promises';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const source = new URL('../../src/', import.meta.url);

/** What each query of an import stands for: an entry of a list that is not there. */
const taken = new Map<string, { readonly list: string; readonly entry: string }>();

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context);
    const query = queryOf(context.parentURL ?? '');
    // Whatever a module imports of ours stands on the same lists.
    return taken.has(query) && found.url.startsWith(source.href) && queryOf(found.url) === ''
      ? { ...found, url: `${found.url}${query}` }
      : found;
  },
  load(url, context, next) {
    const loaded = next(url, context);
    const gone = taken.get(queryOf(url));
    if (gone === undefined || fileURLToPath(url) !== gone.list) return loaded;
    return { ...loaded, source: String(loaded.source).replace(gone.entry, '') };
  },
});

const queryOf = (url: string) => (URL.canParse(url) ? new URL(url).search : '');

/**
 * The address of a module of src/ as it is without one entry of a list, with all that it imports.
 *
 * @param path of the module, below src/
 * @param list path of the file of the list, below src/
 * @param entry its text, which must be there once
 */
export async function without(path: string, list: string, entry: string): Promise<string> {
  const file = fileURLToPath(new URL(list, source));
  const text = await readFile(file, 'utf8');
  if (text.split(entry).length !== 2) throw new Error(`${list} has not one entry \`${entry}\`.`);
  const query = `?without=${taken.size}`;
  taken.set(query, { list: file, entry });
  return `${pathToFileURL(join(fileURLToPath(source), path)).href}${query}`;
}

/** Text of each entry of the one list of a file, in order: a line, or a row of several. */
export async function entriesOf(list: string): Promise<string[]> {
  const text = await readFile(new URL(list, source), 'utf8');
  const [, all = ''] = /\[\] = \[\n([\s\S]*?)^\];$/m.exec(text) ?? [];
  return [...all.matchAll(/^ {2}(?:\w+,|\w+\(\{\n[\s\S]*?\n {2}\}\),)\n/gm)].map(([entry]) => entry);
}

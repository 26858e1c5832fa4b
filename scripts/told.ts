/**
 * What tests say of themselves: what somebody tries who means harm (test/support/tried.ts), and what is odd in what a
 * suite and a model hold (test/support/odd.ts, and `odd` of test/harness/support.py). Tables in docs/ are made of these.
 */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Told {
  readonly what: string;
  /** What holds it, or what comes of it. */
  readonly comes: string;
}

const TEXT = String.raw`(['"\`])((?:\\.|(?!\K).)*)\K`;

/**
 * @param name of the function that is called with two literals: `tried` or `odd`
 * @throws Error where one of them is not told by two literals, so that the table would lack it
 */
export function toldIn(source: string, name: string): readonly Told[] {
  const call = new RegExp(
    String.raw`(?<=^\s*(?:@support\.)?)${name}\(\s*${TEXT.replaceAll('\\K', '\\1')},\s*${TEXT.replaceAll('\\K', '\\3')}\s*[,)]`,
    'gm',
  );
  const found = [...source.matchAll(call)].map(([, , what = '', , comes = '']) => ({
    what: unescaped(what),
    comes: unescaped(comes),
  }));
  const calls = [...source.matchAll(new RegExp(String.raw`^\s*(?:@support\.)?${name}\(`, 'gm'))].length;
  if (found.length !== calls)
    throw new Error(`${calls} calls of ${name}(), and ${found.length} of them with two literals`);
  return found;
}

const unescaped = (text: string) => text.replace(/\\(.)/g, '$1');

/** By file, in the order in which they stand there. */
export async function allTold(
  root: string,
  name: string,
): Promise<readonly (Told & { readonly file: string })[]> {
  const files: string[] = [];
  for await (const file of glob(['test/**/*.test.ts', 'test/harness/test_*.py'], { cwd: root }))
    files.push(file);
  const found = files.sort().map(async (file) => {
    const source = await readFile(join(root, file), 'utf8');
    const imports = new RegExp(String.raw`support/${name}\.ts'|@support\.${name}\(`);
    return (imports.test(source) ? toldIn(source, name) : []).map((one) => ({ ...one, file }));
  });
  return (await Promise.all(found)).flat();
}

/** What somebody tries who means harm, read from the tests that try it: see test/support/tried.ts. */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Tried {
  readonly what: string;
  readonly holds: string;
}

const TEXT = String.raw`(['"\`])((?:\\.|(?!\K).)*)\K`;
const CALL = new RegExp(
  String.raw`\btried\(\s*${TEXT.replaceAll('\\K', '\\1')},\s*${TEXT.replaceAll('\\K', '\\3')},`,
  'g',
);

/** @throws Error where one of them is not told by two literals, so that the table would lack it */
export function triedIn(source: string): readonly Tried[] {
  const found = [...source.matchAll(CALL)].map(([, , what = '', , holds = '']) => ({
    what: unescaped(what),
    holds: unescaped(holds),
  }));
  const calls = [...source.matchAll(/^\s*tried\(/gm)].length;
  if (found.length !== calls)
    throw new Error(`${calls} calls of tried(), and ${found.length} of them with two literals`);
  return found;
}

const unescaped = (text: string) => text.replace(/\\(.)/g, '$1');

/** By file, in the order in which they stand there. */
export async function allTried(root: string): Promise<readonly (Tried & { readonly file: string })[]> {
  const files: string[] = [];
  for await (const file of glob('test/**/*.test.ts', { cwd: root })) files.push(file);
  const found = files.sort().map(async (file) => {
    const source = await readFile(join(root, file), 'utf8');
    return (source.includes("support/tried.ts'") ? triedIn(source) : []).map((one) => ({ ...one, file }));
  });
  return (await Promise.all(found)).flat();
}

/**
 * What tests say of themselves: what somebody tries who means harm (test/support/tried.ts), what breaks
 * (test/support/fault.ts), and what is odd in what a suite and a model hold (test/support/odd.ts), in Python by the
 * decorators of the same names in test/harness/support.py. Tables in docs/ are made of these.
 */
import { glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The literals that each call begins with: how many, by the function's name. */
const TEXTS = { tried: 3, fault: 3, odd: 2 } as const;
export type Telling = keyof typeof TEXTS;

/** One literal; `N` is the number of the group that holds its quote. */
const TEXT = String.raw`(['"\`])((?:\\.|(?!\N).)*)\N`;

/** @throws Error where one of them is not told by literals, so that the table would lack it */
export function toldIn(source: string, name: Telling): readonly (readonly string[])[] {
  const texts = Array.from({ length: TEXTS[name] }, (_, at) => TEXT.replaceAll('N', String(2 * at + 1)));
  const begin = String.raw`^\s*(?:@support\.)?${name}\(`;
  const call = new RegExp(String.raw`${begin}\s*${texts.join(String.raw`,\s*`)}\s*[,)]`, 'gm');
  const found = [...source.matchAll(call)].map(([, ...groups]) =>
    groups.filter((_, at) => at % 2 === 1).map((text) => text.replace(/\\(.)/g, '$1')),
  );
  const calls = [...source.matchAll(new RegExp(begin, 'gm'))].length;
  if (found.length !== calls)
    throw new Error(`${calls} calls of ${name}(), and ${found.length} of them with ${TEXTS[name]} literals`);
  return found;
}

/** By file, in the order in which they stand there. */
export async function allTold(
  root: string,
  name: Telling,
): Promise<readonly { readonly texts: readonly string[]; readonly file: string }[]> {
  const files: string[] = [];
  for await (const file of glob(['test/**/*.test.ts', 'test/harness/test_*.py'], { cwd: root }))
    files.push(file);
  const found = files.sort().map(async (file) => {
    const source = await readFile(join(root, file), 'utf8');
    const imports = new RegExp(String.raw`support/${name}\.ts'|@support\.${name}\(`);
    return (imports.test(source) ? toldIn(source, name) : []).map((texts) => ({ texts, file }));
  });
  return (await Promise.all(found)).flat();
}

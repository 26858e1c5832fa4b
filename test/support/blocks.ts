import { glob, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));

/** A fenced block of a page. */
export interface Block {
  /** Path from the repository's root, and line of the fence: `docs/suite.md:9`. */
  readonly place: string;
  /** The first word after the fence; empty where there is none. */
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a page, in order. @param page path from the repository's root */
export async function blocksOf(page: string): Promise<Block[]> {
  return blocksIn(await readFile(`${repository}/${page}`, 'utf8'), page);
}

/** @throws where a block has no end */
export function blocksIn(text: string, page: string): Block[] {
  const found: Block[] = [];
  let open: { readonly line: number; readonly indent: number; readonly language: string } | undefined;
  let body: string[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    const [, indent = '', info] = /^( *)```(.*)$/.exec(line) ?? [];
    if (info === undefined) body.push(line.slice(open?.indent ?? 0));
    else if (open === undefined) {
      open = { line: index + 1, indent: indent.length, language: info.trim().split(/\s/)[0] ?? '' };
      body = [];
    } else {
      const { line: at, language } = open;
      found.push({ place: `${page}:${at}`, language, text: body.map((one) => `${one}\n`).join('') });
      open = undefined;
    }
  }
  if (open !== undefined) throw new Error(`${page}:${open.line}: the block has no end`);
  return found;
}

/** The pages that people read, by their paths from the repository's root. */
export async function documents(): Promise<string[]> {
  const found: string[] = [];
  for await (const page of glob(['*.md', 'docs/**/*.md', 'docker/**/*.md', 'examples/**/*.md'], {
    cwd: repository,
  }))
    found.push(page);
  return found.sort();
}

/** The commands of a block, each on a line of its own and without its comment. */
export const commandsIn = (text: string): string[] =>
  text
    .replaceAll(/\\\n\s*/g, '')
    .split('\n')
    .map((line) => line.replace(/(^|\s)#.*$/, '').trim())
    .filter((line) => line !== '');

/** As a shell cuts a line without variables. */
export const words = (line: string): string[] =>
  [...line.matchAll(/'([^']*)'|((?:[^\s"']|"[^"]*")+)/g)].map(
    ([, single, bare = '']) => single ?? bare.replaceAll('"', ''),
  );

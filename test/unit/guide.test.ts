/** docs/determinism: each claim says whether it was measured or cited, and where; and no page links to nothing. */
import assert from 'node:assert/strict';
import { access, glob, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

async function pagesIn(pattern: string): Promise<string[]> {
  const found: string[] = [];
  for await (const page of glob(pattern, { cwd: root })) found.push(page);
  return found.sort();
}

const guide = await pagesIn('docs/determinism/*.md');
const pages = ['README.md', ...(await pagesIn('docs/**/*.md')), ...(await pagesIn('docker/**/*.md'))];

const contents = new Map<string, Promise<string>>();

/** The page's text without its fenced code. @param page relative to the repository */
function prose(page: string): Promise<string> {
  const known = contents.get(page);
  if (known !== undefined) return known;
  const read = readFile(join(root, page), 'utf8').then((text) => text.replaceAll(/^```[\s\S]*?^```$/gm, ''));
  contents.set(page, read);
  return read;
}

const MARK = /\*\*\[(measured|cited)\]\(([^)\s]+)\)\*\*/g;

/** The rows and items of a page that claim something: all but heads of tables and what only names other pages. */
function claims(text: string): string[] {
  const lines = text.split('\n');
  return lines.filter((line, index) => {
    if (/^- /.test(line)) return true;
    if (!line.startsWith('|') || /^\|[\s|:-]+$/.test(line)) return false;
    return !/^\|[\s|:-]+$/.test(lines[index + 1] ?? '') && !onlyNames(line);
  });
}

/** A row of the list of pages: what you have, and where to read of it. */
const onlyNames = (row: string): boolean => {
  const [, , read = '', ...rest] = row.split('|');
  return rest.length === 1 && read.replaceAll(/\[[^\]]+\]\([\w.#/-]+\)/g, '').replaceAll(/[\s,]/g, '') === '';
};

/** Prose between headings, rows and items: a number in it is a claim too. What ends in a colon only leads to a table. */
const paragraphs = (text: string): string[] =>
  text.split(/\n\s*\n/).filter((part) => !/^\s*([#|]|- |!)|:\s*$/.test(part) && part.trim() !== '');

/** What GitHub makes of a heading. */
const anchor = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(/\s/g, '-');

async function anchors(page: string): Promise<string[]> {
  return [...(await prose(page)).matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchor(heading));
}

/** Why a link of a page leads nowhere, if it does. */
async function broken(page: string, link: string): Promise<string | undefined> {
  if (link.startsWith('https://')) return URL.canParse(link) ? undefined : `${link} is no address`;
  if (/^[a-z]+:/.test(link)) return `${link} is not https`;
  const [path = '', fragment] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  try {
    await access(join(root, target));
  } catch {
    return `${link}: there is no ${target}`;
  }
  if (fragment === undefined || !target.endsWith('.md')) return undefined;
  return (await anchors(target)).includes(fragment) ? undefined : `${link}: ${target} has no such heading`;
}

for (const page of guide)
  describe(page, () => {
    test('each row and item says by what it was measured or whom it cites', async () => {
      const bare = claims(await prose(page)).filter((line) => line.search(MARK) === -1);
      assert.deepEqual(bare, []);
    });

    test('so does a paragraph with a number in it', async () => {
      const bare = paragraphs(await prose(page)).filter(
        (part) =>
          part.search(MARK) === -1 && /(?<![\w.-])\d/.test(part.replaceAll(/`[^`]*`|\]\([^)]*\)/g, '')),
      );
      assert.deepEqual(bare, []);
    });

    test('each row has as many cells as its head', async () => {
      for (const table of (await prose(page)).match(/(?:^\|.*\n)+/gm) ?? []) {
        const rows = table.trimEnd().split('\n');
        for (const row of rows) assert.equal(row.split('|').length, rows[0]?.split('|').length, row);
      }
    });

    test('what was measured lies in this repository, and what is cited elsewhere', async () => {
      for (const [mark, kind, link = ''] of (await prose(page)).matchAll(MARK))
        assert.equal(link.startsWith('https://'), kind === 'cited', mark);
    });
  });

test('the first page names all others', async () => {
  const first = await prose('docs/determinism/README.md');
  for (const page of guide)
    assert.ok(first.includes(`](${page.replace(/^.*\//, '')}`) || page.endsWith('README.md'), page);
});

test('no page of the documentation links to nothing', async () => {
  const wrong: string[] = [];
  for (const page of pages)
    for (const [, link = ''] of (await prose(page))
      .replaceAll(/`[^`\n]*`/g, '')
      .matchAll(/\]\(([^)\s]+)\)/g)) {
      const why = await broken(page, link);
      if (why !== undefined) wrong.push(`${page}: ${why}`);
    }
  assert.deepEqual(wrong, []);
});

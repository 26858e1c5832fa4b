import assert from 'node:assert/strict';
import { access, readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CONCLUSIONS } from '../../src/compare/conclusion.ts';
import { ERROR_CODES } from '../../src/errors.ts';

const text = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

/** What the rows of a generated table begin with. */
function named(marker: string): string[] {
  const [, table = ''] = text.split(new RegExp(`<!-- /?${marker} -->`));
  return [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name ?? '');
}

test('every error code is explained in docs/troubleshooting.md, and no other', () => {
  assert.deepEqual(named('errors').sort(), [...ERROR_CODES, 'internal-error'].sort());
});

test('so is every conclusion', () => assert.deepEqual(named('conclusions'), [...CONCLUSIONS]));

test('each has a picture of its page, light and dark', async () => {
  const shown = await readFile(new URL('../../docs/reports.md', import.meta.url), 'utf8');
  for (const conclusion of CONCLUSIONS)
    for (const scheme of ['light', 'dark']) {
      // A drift is the first report, wide and on a phone.
      const picture = `images/${conclusion === 'drift' ? 'report' : conclusion}-${scheme}.png`;
      assert.ok(shown.includes(`"${picture}"`), picture);
      await access(new URL(`../../docs/${picture}`, import.meta.url));
    }
});

const page = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the tour of docs/developing.md names files that are there, and what it says is in each', async () => {
  const [, tour = ''] = (await page('docs/developing.md')).split(/<!-- \/?tour -->/);
  const stops = [...tour.matchAll(/^\|.*\| `([^`]+)` \| `([^`]+)` \|$/gm)];
  // All rows but the head and the line below it.
  assert.equal(stops.length, (tour.match(/^\| /gm)?.length ?? 0) - 2);
  assert.ok(stops.length > 20);
  for (const [, file = '', name = ''] of stops)
    assert.match(await page(file), new RegExp(`\\b(?:function|const|class|def) ${name}\\b`), file);
});

test('so do the other files that the pages for those who carry it on name', async () => {
  // The recipes' own files are yet to be made.
  const made = (await page('docs/developing.md')).matchAll(/^```\w+ file=(\S+)$/gm);
  const files = new Set([...made].map(([, file]) => file));
  for (const path of [
    'CONTRIBUTING.md',
    'docs/architecture.md',
    'docs/developing.md',
    ...(await decisions()),
  ])
    for (const [, file = ''] of (await page(path)).matchAll(
      /`((?:src|docker|test|scripts|examples|schema)\/[\w./-]+)`/g,
    ))
      if (!files.has(file))
        await assert.doesNotReject(access(new URL(`../../${file}`, import.meta.url)), `${path}: ${file}`);
});

test('each decision is in the list, and says its context, choice, cost and what would change it', async () => {
  const list = await page('docs/decisions/README.md');
  const all = (await decisions()).filter((path) => !path.endsWith('README.md'));
  assert.ok(all.length >= 10);
  for (const path of all) {
    const text = await page(path);
    assert.ok(list.includes(`](${path.split('/').at(-1)})`), path);
    for (const part of ['Context', 'Choice', 'What it costs', 'What would change our mind'])
      assert.ok(text.includes(`**${part}.** `), `${path} has no ${part}`);
  }
});

async function decisions(): Promise<string[]> {
  const names = await readdir(new URL('../../docs/decisions', import.meta.url));
  return names.map((name) => `docs/decisions/${name}`);
}

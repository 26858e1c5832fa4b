import assert from 'node:assert/strict';
import { appendFile, glob, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import { placeOf } from '../../scripts/site/pages.ts';
import { temporaryFolder } from '../support/folders.ts';
import { copyOf, gitIn, pushed } from '../support/own-workflow.ts';

/* The documentation's site by docs.yml itself, run by act: its build is the real one, and what it would publish is looked at. */

/** All that has a page, and what makes it. */
const SOURCES = [
  ...['README.md', 'CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md', 'docs', 'scripts', 'package.json'],
  ...['package-lock.json', '.github/workflows/docs.yml'],
];

/** What each action does here that lies on GitHub only. */
const STAND_INS = {
  // In the action's own words, but for where it is sent.
  'actions/upload-pages-artifact':
    'tar --dereference --hard-dereference --directory "$INPUT_PATH" -cf "$ARTIFACTS/pages.tar" --exclude=.git --exclude=.github .',
  'actions/deploy-pages':
    'mkdir "$LOGS/site" && tar -xf "$ARTIFACTS/pages.tar" -C "$LOGS/site" && echo "page_url=https://org.github.io/" >> "$GITHUB_OUTPUT"',
};

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
let place: string;
let path: string;
before(async () => {
  place = owned.use(await temporaryFolder()).path;
  path = join(place, 'repository');
  await copyOf(SOURCES, path);
});

test('a push to main builds the site and publishes every page of it', async () => {
  const git = gitIn(path);
  await git('init', '--quiet', '--initial-branch', 'main');
  await git('remote', 'add', 'origin', 'https://github.com/org/deterministic-ml-action.git');
  await git('add', '--force', '--all');
  await git('commit', '--quiet', '--message', 'Say how');
  const { succeeded, log } = await pushed({
    ...{ workflow: 'docs.yml', path, ref: 'refs/heads/main', place, standIns: STAND_INS },
  });
  assert.deepEqual([...succeeded].sort(), ['Build the site', 'Publish the site'], log.slice(-8000));

  const site = join(place, 'logs/site');
  const page = async (name: string) => await readFile(join(site, name), 'utf8');
  const title = /^# (.+)$/m.exec(await readFile(join(path, 'docs/suite.md'), 'utf8'))?.[1] ?? '?';
  assert.ok((await page('suite.html')).includes(title), title);
  // What a reader searches is one file, with all pages in it.
  const searched = await page('search/search_index.json');
  for await (const file of glob(['*.md', 'docs/**/*.md'], { cwd: path })) {
    const html = placeOf(file)
      ?.replace(/(README|index)\.md$/, 'index.html')
      .replace(/\.md$/, '.html');
    if (html === undefined) continue;
    assert.match(await page(html), /<h1/, file);
    assert.ok(html === 'index.html' || searched.includes(`"${html}`), `${html} is not found by a search`);
  }
  const loads = '<(script|img|link rel="(stylesheet|preload|preconnect)")[^>]+(src|href)="https?://[^"]+"';
  const { stdout } = await execa('grep', ['-rhoE', loads, site], { reject: false });
  assert.equal(stdout, '', 'a page loads something from somebody else');
});

test('an anchor that leads nowhere fails the build', async () => {
  await appendFile(join(path, 'docs/suite.md'), '\nSee [more](verdicts.md#of-no-heading).\n');
  const { exitCode, all = '' } = await execa(process.execPath, ['scripts/site.ts', join(place, 'broken')], {
    ...{ cwd: path, all: true, reject: false, stdin: 'ignore' },
  });
  assert.equal(exitCode, 1);
  assert.match(all, /of-no-heading/);
});

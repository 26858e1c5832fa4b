import assert from 'node:assert/strict';
import { glob } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { menuOf, pageOf, placeOf, REPOSITORY } from '../../scripts/site/pages.ts';

/* What the site makes of pages, links and pictures; .github/workflows/docs.yml builds it whole, and strictly. */

const root = fileURLToPath(new URL('../..', import.meta.url));

test('each page of the documentation stands in the menu once', async () => {
  const pages: string[] = [];
  for await (const path of glob(['*.md', 'docs/**/*.md'], { cwd: root }))
    if (placeOf(path) !== undefined) pages.push(path);
  const listed = JSON.stringify(menuOf(pages)).match(/[^"]+\.md/g) ?? [];
  assert.deepEqual(listed.sort(), pages.map(placeOf).sort());
});

test('a page that no part has is found under More', () =>
  assert.ok(JSON.stringify(menuOf(['README.md', 'docs/new.md'])).includes('{"More":["new.md"]}')));

describe('a link', () => {
  const lead = (from: string, link: string) => pageOf(from, `[a](${link})`).slice('[a]('.length, -1);

  test('from page to page stays on the site, wherever the two lie', () => {
    assert.equal(lead('README.md', 'docs/suite.md#prompts'), 'suite.md#prompts');
    assert.equal(lead('docs/determinism/vllm.md', '../findings.md'), '../findings.md');
    assert.equal(lead('docs/suite.md', '../README.md#inputs'), 'index.md#inputs');
    assert.equal(lead('docs/security.md', '../SECURITY.md'), 'report-a-weakness.md');
    assert.equal(lead('docs/suite.md', '#policy'), '#policy');
  });

  test('to what is no page leads to the repository', () => {
    const there = `${REPOSITORY}/blob/main`;
    assert.equal(
      lead('docs/determinism/vllm.md', '../../examples/script.yml'),
      `${there}/examples/script.yml`,
    );
    assert.equal(lead('README.md', 'examples/'), `${there}/examples`);
    assert.equal(lead('docs/evidence/x/README.md', 'runs.json'), `${there}/docs/evidence/x/runs.json`);
    assert.equal(lead('docs/suite.md', 'https://example.org/a'), 'https://example.org/a');
  });

  test('that is code is left as it is', () => {
    const code = '`[a](../b.md)`\n\n```text\n[a](../b.md)\n```\n';
    assert.equal(pageOf('docs/suite.md', code), code);
  });
});

test('a fence keeps its language and nothing else', () =>
  assert.equal(pageOf('docs/a.md', '```ts file=src/a.ts\nlet a;\n```'), '```ts\nlet a;\n```'));

test('of two pictures each is for how the reader has the site', () => {
  const picture = `<picture>
  <source media="(prefers-color-scheme: dark)" srcset="docs/images/a-dark.png">
  <img src="docs/images/a-light.png" width="560" alt="A page">
</picture>`;
  assert.equal(
    pageOf('README.md', picture),
    '![A page](images/a-light.png#only-light){ width=560 } ![A page](images/a-dark.png#only-dark){ width=560 }',
  );
});

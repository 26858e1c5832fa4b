import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { explain } from '../../src/explain/explain.ts';
import type { Case } from '../../src/explain/types.ts';
import { explainedPage } from '../../src/surfaces/html/explained.ts';
import { browserOrSkip, open } from './support/browser.ts';
import { HOSTILE_TEXTS } from './support/hostile.ts';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const one = (name: string, facts: Readonly<Record<string, string>>, sky: string, sea: string): Case => ({
  ...{ name, suite: 'demo', facts: new Map(Object.entries(facts)) },
  answers: new Map(
    Object.entries({ sky, sea }).map(([prompt, bits]) => [
      prompt,
      { prompt, kind: 'generate', channels: new Map([['tokens', bits]]) },
    ]),
  ),
});

const FLEET = [
  one('runs/a', { 'GPU name': 'X', driver: '1', OS: 'u' }, 'p', 'p'),
  one('runs/b', { 'GPU name': 'X', driver: '1', OS: 'u' }, 'p', 'p'),
  one('runs/c', { 'GPU name': 'X', driver: '1', OS: 'v' }, 'p', 'noise'),
  one('runs/d', { 'GPU name': 'Y', driver: '2', OS: 'v' }, 'q', 'p'),
  one('runs/e', { 'GPU name': 'Y', driver: '2', OS: 'u' }, 'q', 'p'),
  one('runs/f', { 'GPU name': 'Y', driver: '2', OS: 'u' }, 'q', 'other'),
];

const PAGES: Readonly<Record<string, string>> = {
  'a fleet': explainedPage(explain(FLEET)),
  'one record': explainedPage(explain(FLEET.slice(0, 1))),
  nothing: explainedPage(explain([])),
  'hostile names': explainedPage(
    explain(
      FLEET.map((own, at) => {
        const text = HOSTILE_TEXTS[at % HOSTILE_TEXTS.length] ?? '';
        return { ...own, name: `${text}${at}`, facts: new Map([...own.facts, [text, text]]) };
      }),
    ),
  ),
};

describe('the page of an explanation', () => {
  for (const [name, page] of Object.entries(PAGES))
    for (const colorScheme of ['light', 'dark'] as const)
      test(`${name}, ${colorScheme}: accessible, and it asks for nothing`, async (t) => {
        const browser = await browserOrSkip(t);
        if (browser === undefined) return;
        {
          await using opened = await open(browser, page, { colorScheme });
          assert.deepEqual(opened.faults, []);
        }
        await using opened = await open(browser, page, { colorScheme, bypassCSP: true });
        await opened.page.addScriptTag({ content: axe });
        for (const width of [1280, 390]) {
          await opened.page.setViewportSize({ width, height: 900 });
          const found = (await opened.page.evaluate(
            `axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
              .then(({ violations }) => violations.flatMap(({ id, nodes }) =>
                nodes.map(({ target, failureSummary }) => id + ' ' + target + ': ' + failureSummary)))`,
          )) as readonly string[];
          assert.deepEqual(found.slice(0, 10), [], `${width} px`);
          const overflow = await opened.page.evaluate(
            'document.documentElement.scrollWidth - document.documentElement.clientWidth',
          );
          assert.equal(overflow, 0, `${width} px wide, and something is wider`);
        }
      });
});

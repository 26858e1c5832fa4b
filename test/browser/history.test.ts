import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { describe, test } from 'node:test';
import { historyPage } from '../../src/surfaces/html/history.ts';
import { chain, hostileChain } from '../unit/support/chains.ts';
import { browserOrSkip, open } from './support/browser.ts';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const PAGES: Readonly<Record<string, string>> = {
  'a chain': historyPage([chain()]),
  'hostile names': historyPage([hostileChain()]),
};

describe('the page of baselines', () => {
  // What is hostile has the same colours.
  for (const [name, page] of Object.entries(PAGES))
    for (const colorScheme of name === 'a chain' ? (['light', 'dark'] as const) : (['dark'] as const))
      test(`${name}, ${colorScheme}: accessible on any screen, and it asks for nothing`, async (t) => {
        const browser = await browserOrSkip(t);
        if (browser === undefined) return;
        await using opened = await open(browser, page, { colorScheme, bypassCSP: true });
        assert.deepEqual(opened.faults, []);
        await opened.page.addScriptTag({ content: axe });
        for (const width of [1280, 390]) {
          await opened.page.setViewportSize({ width, height: 900 });
          const found = (await opened.page.evaluate(
            `axe.run(document, { resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
              .then(({ violations }) => violations.flatMap(({ id, nodes }) =>
                nodes.map(({ target, failureSummary }) => id + ' ' + target + ': ' + failureSummary)))`,
          )) as readonly string[];
          assert.deepEqual(found.slice(0, 10), [], `${width} px`);
          const over = await opened.page.evaluate(
            'document.documentElement.scrollWidth - document.documentElement.clientWidth',
          );
          assert.equal(over, 0, `${width} px wide, and something is wider`);
        }
      });
});

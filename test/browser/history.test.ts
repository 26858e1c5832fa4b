import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { historyPage } from '../../src/surfaces/html/history.ts';
import { chain, hostileChain } from '../unit/support/chains.ts';
import { assertAccessible, assertFits, browserOrSkip, open } from './support/browser.ts';

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
        const viewports = [1280, 390].map((width) => ({ width, height: 900 }));
        await assertAccessible(opened, viewports);
        for (const viewport of viewports) await assertFits(opened, viewport);
      });
});

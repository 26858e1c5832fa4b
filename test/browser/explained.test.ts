import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { explain } from '../../src/explain/explain.ts';
import type { Case } from '../../src/explain/types.ts';
import { explainedPage } from '../../src/surfaces/html/explained.ts';
import { assertAccessible, assertFits, browserOrSkip, open } from './support/browser.ts';
import { HOSTILE_TEXTS } from './support/hostile.ts';

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
        const viewports = [1280, 390].map((width) => ({ width, height: 900 }));
        await assertAccessible(opened, viewports);
        for (const viewport of viewports) await assertFits(opened, viewport);
      });
});

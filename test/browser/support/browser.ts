import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, type TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { ChromiumUnavailable, ensureChromium } from '../../../scripts/setup/chromium.ts';
import { temporaryFolder } from '../../support/runtimes.ts';

let launched: Promise<Browser> | undefined;

/**
 * A Chromium until this test file has ended. Where none can be had, the test is skipped with the reason and gets undefined;
 * in CI it fails instead: a skip there would be a hole.
 */
export async function browserOrSkip(t: TestContext): Promise<Browser | undefined> {
  launched ??= launch();
  try {
    return await launched;
  } catch (error) {
    if (!(error instanceof ChromiumUnavailable) || process.env['CI'] === 'true') throw error;
    process.stderr.write(`SKIPPED, no Chromium: ${t.name}: ${error.message}\n`);
    t.skip(`no Chromium: ${error.message}`);
    return undefined;
  }
}

/** Root has no user namespace to make a sandbox in, and the pages are our own. */
const launch = async () =>
  await chromium.launch({ executablePath: await ensureChromium(), args: ['--no-sandbox'] });

after(async () => {
  await launched?.then(
    (browser) => browser.close(),
    () => {},
  );
});

/** A page as a reader opens it: a file, and nothing else that it could reach. */
export interface Opened extends AsyncDisposable {
  readonly page: Page;
  /** Requests but the page's own, console messages, violations of its policy, errors: each a fault. */
  readonly faults: readonly string[];
}

export async function open(
  browser: Browser,
  html: string,
  options: BrowserContextOptions = {},
): Promise<Opened> {
  const folder = await temporaryFolder();
  const path = join(folder.path, 'report.html');
  await writeFile(path, html);
  const address = pathToFileURL(path).href;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const faults: string[] = [];
  await context.route('**/*', async (route) => {
    if (route.request().url().split('#')[0] === address) return await route.continue();
    faults.push(`request: ${route.request().url()}`);
    await route.abort();
  });
  const page = await context.newPage();
  // Of a violated policy the console tells too.
  page.on('console', (message) => faults.push(`console: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('dialog', async (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  await page.goto(address);
  return {
    page,
    faults,
    async [Symbol.asyncDispose]() {
      await context.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Of axe's rules, by what they look at. */
const RULES = {
  all: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
  /** What may differ between a light and a dark page; structure is the same in either. */
  colours: { type: 'rule', values: ['color-contrast', 'link-in-text-block'] },
} as const;

/** Axe finds nothing at these sizes. The page's own policy keeps its script out too: `bypassCSP` of `open`. */
export async function assertAccessible(
  { page }: Opened,
  viewports: readonly { readonly width: number; readonly height: number }[],
  rules: keyof typeof RULES = 'all',
): Promise<void> {
  if (!(await page.evaluate("'axe' in window"))) await page.addScriptTag({ content: axe });
  for (const viewport of viewports) {
    await page.setViewportSize(viewport);
    const found = (await page.evaluate(
      `axe.run(document, { resultTypes: ['violations'], runOnly: ${JSON.stringify(RULES[rules])} })
        .then(({ violations }) => violations.flatMap(({ id, nodes }) =>
          nodes.map(({ target, failureSummary }) => id + ' ' + target + ': ' + failureSummary)))`,
    )) as readonly string[];
    assert.deepEqual(found.slice(0, 10), [], `${viewport.width} px`);
  }
}

/** Nothing is wider than the screen. */
export async function assertFits(
  { page }: Opened,
  viewport: { readonly width: number; readonly height: number },
): Promise<void> {
  await page.setViewportSize(viewport);
  const over = await page.evaluate(
    'document.documentElement.scrollWidth - document.documentElement.clientWidth',
  );
  assert.equal(over, 0, `${viewport.width} px wide, and something is wider`);
}

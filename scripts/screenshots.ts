/**
 * Pictures of a report's page, light and dark, wide and on a phone:
 * `node_modules/.bin/node scripts/screenshots.ts path/to/record.report.json docs/images`
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { readReport } from '../src/disk/report-file.ts';
import { htmlReport } from '../src/surfaces/html/page.ts';
import { ensureChromium } from './setup/chromium.ts';

/** Small enough to be looked at beside text, and below 300 kB. */
const SIZES = [
  { name: 'report', width: 1280, height: 1600 },
  { name: 'report-phone', width: 390, height: 844 },
] as const;
const SCHEMES = ['light', 'dark'] as const;

const [file, folder] = process.argv.slice(2);
if (file === undefined || folder === undefined)
  throw new Error('name a report and the folder for its pictures: REPORT.json FOLDER');

const page = htmlReport([await readReport(file)]);
const temporary = await mkdtemp(join(tmpdir(), 'dml-screenshots-'));
const browser = await chromium.launch({ executablePath: await ensureChromium(), args: ['--no-sandbox'] });
try {
  const path = join(temporary, 'report.html');
  await writeFile(path, page);
  await mkdir(folder, { recursive: true });
  for (const { name, width, height } of SIZES)
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme,
        deviceScaleFactor: 1,
      });
      const tab = await context.newPage();
      await tab.goto(pathToFileURL(path).href);
      await tab.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
      await context.close();
    }
} finally {
  await browser.close();
  await rm(temporary, { recursive: true, force: true });
}

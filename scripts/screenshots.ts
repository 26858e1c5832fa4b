/**
 * Pictures of pages, light and dark. Of the first report wide and on a phone; of each other one its top, by the name of its
 * conclusion; of a page its top, by its own name:
 * `node_modules/.bin/node scripts/screenshots.ts docs/images drift.report.json other.report.json… log.html…`
 */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';
import { readReport } from '../src/disk/report-file.ts';
import { htmlReport } from '../src/surfaces/html/drawn.ts';
import { ensureChromium } from './setup/chromium.ts';

const SCHEMES = ['light', 'dark'] as const;
/** Small enough to be looked at beside text. */
const WIDE = { width: 1280, height: 880 };
const PHONE = { width: 390, height: 844 };
const TOP = { width: 1000, height: 660 };
const MAX_BYTES = 150_000;

interface Shot {
  readonly name: string;
  readonly page: string;
  readonly width: number;
  readonly height: number;
}

async function shotsOf(file: string, index: number): Promise<Shot[]> {
  if (file.endsWith('.html'))
    return [{ name: basename(file, '.html'), page: await readFile(file, 'utf8'), ...TOP }];
  const report = await readReport(file);
  const page = htmlReport([report]);
  return index === 0
    ? [
        { name: 'report', page, ...WIDE },
        { name: 'report-phone', page, ...PHONE },
      ]
    : [{ name: report.conclusion, page, ...TOP }];
}

const [folder, ...files] = process.argv.slice(2);
if (folder === undefined || files.length === 0)
  throw new Error('name the folder for the pictures, then reports and pages: FOLDER REPORT.json…');

const shots = (await Promise.all(files.map(shotsOf))).flat();
const temporary = await mkdtemp(join(tmpdir(), 'dml-screenshots-'));
const browser = await chromium.launch({ executablePath: await ensureChromium(), args: ['--no-sandbox'] });
try {
  await mkdir(folder, { recursive: true });
  for (const { name, page, width, height } of shots) {
    const path = join(temporary, 'page.html');
    await writeFile(path, page);
    for (const colorScheme of SCHEMES) {
      const context = await browser.newContext({
        viewport: { width, height },
        colorScheme,
        deviceScaleFactor: 1,
      });
      const tab = await context.newPage();
      await tab.goto(pathToFileURL(path).href);
      const picture = join(folder, `${name}-${colorScheme}.png`);
      await tab.screenshot({ path: picture });
      const { size } = await stat(picture);
      if (size > MAX_BYTES)
        throw new Error(`${picture} has ${size} bytes: at most ${MAX_BYTES} are committed`);
      await context.close();
    }
  }
} finally {
  await browser.close();
  await rm(temporary, { recursive: true, force: true });
}

/**
 * Makes the README's picture from what the demo really printed:
 * `npm run -s demo | node_modules/.bin/node scripts/picture.ts docs/images/demo.svg`
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';

const CHARACTER = 8.4;
const LINE = 20;
const MARGIN = 20;
const WIDTH = 125;

const [file] = process.argv.slice(2);
if (file === undefined) throw new Error('name the file to write');
const printed = stripVTControlCharacters(await text(process.stdin)).split('\n');
const lines = [
  ...section('What the pull request of step 3 would show').slice(0, 3).flatMap(wrapped),
  '',
  ...section('Side by side').filter((line) => line !== ''),
];
await mkdir(dirname(file), { recursive: true });
await writeFile(file, svg(lines));

/** Lines of the demo's output below a title, up to the next one. */
function section(title: string): string[] {
  const start = printed.findIndex((line) => line.startsWith(`── ${title}`));
  if (start === -1) throw new Error(`the demo printed no section "${title}"`);
  const rest = printed.slice(start + 2);
  const end = rest.findIndex((line) => line.startsWith('── ') || line.startsWith('Set-up took'));
  return rest.slice(0, end === -1 ? undefined : end);
}

function wrapped(line: string): string[] {
  const indent = line.startsWith('  ') ? '  ' : '';
  const result: string[] = [];
  let current = indent;
  for (const word of line.trim().split(' ')) {
    if (current.length + word.length > WIDTH && current.trim() !== '') {
      result.push(current.trimEnd());
      current = indent;
    }
    current += `${word} `;
  }
  return [...result, current.trimEnd()];
}

function svg(rows: readonly string[]): string {
  const width = Math.ceil(Math.max(...rows.map((row) => row.length)) * CHARACTER + 2 * MARGIN);
  const height = rows.length * LINE + 2 * MARGIN;
  const body = rows.map((row, i) => {
    const colour = /^error /.test(row)
      ? '#ff7b72'
      : / {2}drift {2}/.test(row)
        ? '#ffa657'
        : / {2}reproduced {2}/.test(row)
          ? '#7ee787'
          : '#e6edf3';
    return `  <text x="${MARGIN}" y="${MARGIN + (i + 0.7) * LINE}" fill="${colour}" xml:space="preserve">${escaped(row)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="Output of npm run demo" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">`,
    `  <rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    ...body,
    '</svg>',
    '',
  ].join('\n');
}

function escaped(row: string): string {
  return row.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

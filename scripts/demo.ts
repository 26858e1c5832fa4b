/**
 * `npm run demo`: the main job on a real engine and a real, tiny model. Records a baseline, checks again, then
 * makes two changes that a reviewer would wave through, and shows what they did beside a hash of the text.
 * `--cli FILE --to FOLDER`: by a command line that is installed somewhere else, in a folder of one's own.
 */
import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { execa } from 'execa';
import type { Report } from '../src/report/schema.ts';
import { annotations } from '../src/surfaces/annotations.ts';
import { summary } from '../src/surfaces/summary.ts';
import { terminalLines } from '../src/surfaces/terminal.ts';
import { type DemoOptions, demoSuite, ON_A_TERMINAL } from './demo-suite.ts';
import { cache, repository } from './setup/cache.ts';
import { containerPlace } from './setup/container.ts';
import { ensureFlippedModel } from './setup/flipped-model.ts';
import { ensureModel } from './setup/model.ts';
import { ensureEngine, ensurePackages } from './setup/python.ts';

const started = performance.now();
const { values } = parseArgs({ options: { cli: { type: 'string' }, to: { type: 'string' } } });
const cli = resolve(values.cli ?? join(repository, 'dist/cli.js'));
const folder = resolve(values.to ?? join(cache, 'demo'));
const title = (text: string) => console.log(`\n${styleText('bold', `── ${text}`)}\n`);

// A folder of one's own holds what is one's own.
if (values.to === undefined) await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });

title('Setting up: everything lands in .cache/, a second run starts at once');
await ensurePackages();
// Side by side: each keeps one CPU busy.
const [{ python }, copy] = await Promise.all([ensureEngine(), ensureFlippedModel()]);
const [model, flippedModel] = [relative(folder, await ensureModel()), relative(folder, copy)];
await using place = await containerPlace({ starting: false });
const ready = performance.now();

const suite = (change: Partial<Pick<DemoOptions, 'model' | 'dtype' | 'confirm'>> = {}) =>
  // A bit that moves shows in the first step: more of them only take longer.
  demoSuite({ model, image: place.image, maxTokens: 8, ...change });

title('1  Record a baseline: deterministic-ml refresh --reason "first baseline"');
console.log(suite());
const recorded = await run('refresh', suite(), '--reason', 'first baseline');

title('2  Check the same suite again');
const same = await run('check', suite());

title('3  A pull request takes the model from another copy. One bit of its two billion is another one');
const flipped = await run('check', suite({ model: flippedModel, confirm: 1 }));

title(
  '4  Another one saves memory: dtype float32 → bfloat16. Here the suite saves the start that confirms a drift',
);
const halved = await run('check', suite({ dtype: 'bfloat16', confirm: 0 }));

title('Can the verdict of step 3 be trusted? deterministic-ml verify derives it anew from the records');
await verify(flipped);

title('What the pull request of step 3 would show');
for (const { level, file, line, title: what, message } of annotations(flipped))
  console.log(`${styleText('red', level)} ${file}:${line}  ${styleText('bold', what)}\n  ${message}\n`);
await writeFile(join(folder, 'summary.md'), summary(flipped));
console.log(`The job summary as Markdown: ${relative(repository, join(folder, 'summary.md'))}`);

title('Side by side: what a hash of the text sees, and what this sees');
const rows = [
  ['', 'hash of the text', 'tokens', 'log-probability bits', 'conclusion', 'first other module'],
  row('unchanged', same),
  row('one bit of one weight', flipped),
  row('float32 → bfloat16', halved),
];
const widths =
  rows[0]?.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0))) ?? [];
for (const cells of rows)
  console.log(
    `  ${cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd()}`,
  );

const seconds = (from: number, to: number) => `${((to - from) / 1000).toFixed(0)} s`;
const pages = [
  ['one flipped bit', flipped, 'one-flipped-bit.html'],
  ['bfloat16', halved, 'bfloat16.html'],
] as const;
for (const [, { context }, name] of pages) await copyFile(context.htmlPath, join(folder, name));

console.log(
  `\nSet-up took ${seconds(started, ready)}, the four runs ${seconds(ready, performance.now())}. Records and logs: ${relative(repository, folder)}/`,
);
title('To look into it, open these pages in a browser');
for (const [what, , name] of pages)
  console.log(`  ${what.padEnd(16)} ${relative(repository, join(folder, name))}`);

const conclusions = [recorded, same, flipped, halved].map(({ conclusion }) => conclusion).join(', ');
if (conclusions !== 'reproduced, reproduced, drift, drift') {
  console.error(`\nThis machine gave other conclusions than the demo is about: ${conclusions}.`);
  process.exitCode = 1;
}

/** Runs the command line as a user would, live on stderr, and shows its report. */
async function run(command: 'check' | 'refresh', text: string, ...flags: readonly string[]): Promise<Report> {
  await writeFile(join(folder, 'determinism.yml'), text);
  const { stdout, exitCode, failed } = await execa(
    process.execPath,
    [cli, command, 'determinism.yml', '--json', '--python', python, ...flags],
    {
      cwd: folder,
      env: { ...ON_A_TERMINAL, XDG_CACHE_HOME: cache, ...place.env },
      stderr: 'inherit',
      reject: false,
    },
  );
  if (failed && exitCode !== 1) process.exit(exitCode ?? 1);
  const { report } = JSON.parse(stdout) as { report: Report };
  for (const line of terminalLines(report)) console.log(line);
  return report;
}

async function verify({ context }: Report): Promise<void> {
  const { exitCode } = await execa(process.execPath, [cli, 'verify', context.reportPath], {
    cwd: folder,
    stdio: 'inherit',
    reject: false,
  });
  if (exitCode !== 0) process.exit(exitCode ?? 1);
}

function row(change: string, report: Report): string[] {
  const findings = report.relations.find(({ relation }) => relation === 'baseline')?.findings ?? [];
  const generated = findings.filter(({ kind }) => kind === 'generate');
  const count = (differs: (finding: (typeof findings)[number]) => boolean) => {
    const number = generated.filter(differs).length;
    return number === 0 ? 'same' : `${number} of ${generated.length} differ`;
  };
  return [
    change,
    count(({ textIdentical }) => textIdentical === false),
    count(({ agreement }) => agreement === 'tokens-differ'),
    count(({ agreement }) => agreement === 'tokens-differ' || agreement === 'logprobs-differ'),
    report.conclusion,
    findings.find(({ trace }) => trace !== null)?.trace?.first ?? '–',
  ];
}

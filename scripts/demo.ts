/**
 * `npm run demo`: the main job on a real engine and a real, tiny model. Records a baseline, checks again, then
 * makes two changes that a reviewer would wave through, and shows what they did beside a hash of the text.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { styleText } from 'node:util';
import { execa } from 'execa';
import { connect } from '../src/engine/runtimes/daemon.ts';
import { UserError } from '../src/errors.ts';
import { annotations } from '../src/report/annotations.ts';
import type { Report } from '../src/report/model.ts';
import { summary } from '../src/report/summary.ts';
import { terminalLines } from '../src/report/terminal.ts';
import type { Position } from '../src/suite/parse.ts';
import { cache, repository } from './setup/cache.ts';
import { ensureDocker } from './setup/docker.ts';
import { ensureCpuImage } from './setup/image.ts';
import { ensureModel } from './setup/model.ts';
import { ensureEngine } from './setup/python.ts';

const started = performance.now();
const folder = join(cache, 'demo');
const title = (text: string) => console.log(`\n${styleText('bold', `── ${text}`)}\n`);

await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });

title('Setting up: everything lands in .cache/, a second run starts at once');
const { python } = await ensureEngine();
const model = relative(folder, await ensureModel());
const image = await containerImage();
const ready = performance.now();

/** The suite of the demo, with one setting to change. */
const suite = (
  change: { readonly max_num_seqs?: number; readonly dtype?: string } = {},
) => `apiVersion: deterministic-ml/v1
name: demo
model: { path: ${model} }
engine:
  name: vllm
  args: { dtype: ${change.dtype ?? 'float32'}, max_num_seqs: ${change.max_num_seqs ?? 1}, max_model_len: 1024 }
  env: { VLLM_CPU_KVCACHE_SPACE: "1", TORCHDYNAMO_DISABLE: "1" }
${image === undefined ? '' : `runtime: { image: "${image}" }\n`}sampling: { temperature: 0, max_tokens: 32 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
  - { id: primes, text: "The first ten prime numbers are 2, 3, 5," }
  - { id: recipe, messages: [{ role: user, content: "How do I make a pancake?" }] }
relations: [rerun, baseline]
baseline: { store: files, path: baselines }
`;

title('1  Record a baseline: deterministic-ml refresh --reason "first baseline"');
console.log(suite());
const recorded = await run('refresh', suite(), '--reason', 'first baseline');

title('2  Check the same suite again');
const same = await run('check', suite());

title('3  A pull request raises throughput: max_num_seqs 1 → 4. Same prompts, still greedy, still float32');
const batched = await run('check', suite({ max_num_seqs: 4 }));

title('4  Another one saves memory: dtype float32 → bfloat16');
const halved = await run('check', suite({ dtype: 'bfloat16' }));

title('What the pull request of step 4 would show');
for (const { level, file, line, title: what, message } of annotations(halved))
  console.log(`${styleText('red', level)} ${file}:${line}  ${styleText('bold', what)}\n  ${message}\n`);
await writeFile(join(folder, 'summary.md'), summary(halved));
console.log(`The job summary as Markdown: ${relative(repository, join(folder, 'summary.md'))}`);

title('Side by side: what a hash of the text sees, and what this sees');
const rows = [
  ['', 'hash of the text', 'tokens', 'log-probability bits', 'conclusion'],
  row('unchanged', same),
  row('max_num_seqs 1 → 4', batched),
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
console.log(
  `\nSet-up took ${seconds(started, ready)}, the four runs ${seconds(ready, performance.now())}. Records and logs: ${relative(repository, folder)}/`,
);

const conclusions = [recorded, same, batched, halved].map(({ conclusion }) => conclusion).join(', ');
if (conclusions !== 'reproduced, reproduced, drift, drift') {
  console.error(`\nThis machine gave other conclusions than the demo is about: ${conclusions}.`);
  process.exitCode = 1;
}

/** The container where a daemon answers and the image can be had; undefined, and why, otherwise. */
async function containerImage(): Promise<string | undefined> {
  try {
    await connect(process.env);
    await using docker = await ensureDocker();
    const { imageId } = await ensureCpuImage(docker);
    console.log('Runtime: a container, since a Docker daemon answers and the image could be built.');
    return imageId;
  } catch (error) {
    const why = error instanceof UserError ? error.message : `the image cannot be had: ${String(error)}`;
    console.log(`Runtime: a Python process of this machine, no container. ${why}`);
    return undefined;
  }
}

/** Runs the command line as a user would, live on stderr, and shows its report. */
async function run(command: 'check' | 'refresh', text: string, ...flags: readonly string[]): Promise<Report> {
  await writeFile(join(folder, 'determinism.yml'), text);
  const { stdout, exitCode, failed } = await execa(
    process.execPath,
    [join(repository, 'dist/cli.js'), command, 'determinism.yml', '--json', '--python', python, ...flags],
    {
      cwd: folder,
      env: { XDG_CACHE_HOME: cache },
      stderr: 'inherit',
      reject: false,
    },
  );
  if (failed && exitCode !== 1) process.exit(exitCode ?? 1);
  const { report } = JSON.parse(stdout) as {
    report: Report & { places: { prompts: Record<string, Position> } };
  };
  for (const line of terminalLines(report)) console.log(line);
  return { ...report, places: { ...report.places, prompts: new Map(Object.entries(report.places.prompts)) } };
}

function row(change: string, report: Report): string[] {
  const findings = report.relations.find(({ relation }) => relation === 'baseline')?.findings ?? [];
  const count = (differs: (finding: (typeof findings)[number]) => boolean) => {
    const number = findings.filter(differs).length;
    return number === 0 ? 'same' : `${number} of ${findings.length} differ`;
  };
  return [
    change,
    count(({ textIdentical }) => textIdentical === false),
    count(({ agreement }) => agreement === 'tokens-differ'),
    count(({ agreement }) => agreement === 'tokens-differ' || agreement === 'logprobs-differ'),
    report.conclusion,
  ];
}

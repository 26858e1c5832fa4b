/**
 * `npm run evidence`: claims that need more repetitions than CI has time for, on real vLLM in its real container.
 * Writes docs/evidence/<date>-cpu/, docs/evidence/<date>-bit-flips/, docs/evidence/<date>-probes/, docs/evidence/<date>-fuzz/
 * and docs/evidence/<date>-soak/. `--tries 3 --checks 2 --honest 8 --flips 4 --fuzz 1` for a short look, which writes nothing;
 * `--only honest`, `--only flips`, `--only probes`, `--only fuzz` or `--only soak` (of it `soak-scripted`, `soak-engines`) for
 * that part, `--runtime process` without
 * containers (bits are turned over in a bare process in any case).
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { openRecord } from '../src/disk/record-folder.ts';
import { connect } from '../src/runtime/docker/daemon.ts';
import { type Action, builtAction } from '../test/e2e/support/action.ts';
import { cancelInMidGeneration, LIMIT_MS } from '../test/e2e/support/cancel.ts';
import { aRunner, runStep } from '../test/e2e/support/spawn.ts';
import { realSuite } from '../test/e2e/support/suites.ts';
import { type Flipped, flippedBits, randomBits } from './evidence/flips.ts';
import { tellFlips } from './evidence/flips-table.ts';
import { fuzzed, tellFuzzed } from './evidence/fuzz.ts';
import { type HonestRun, honestRuns } from './evidence/honest.ts';
import { foretold } from './evidence/probes.ts';
import { tellProbes } from './evidence/probes-table.ts';
import { type POOLS, planned, soak } from './evidence/soak.ts';
import { tellSoak } from './evidence/soak-table.ts';
import { repository } from './setup/cache.ts';
import { type DockerDaemon, ensureDocker } from './setup/docker.ts';
import { ensureCpuImage, ensureTinyImage } from './setup/image.ts';
import { ensureModel } from './setup/model.ts';
import { ensureEngine } from './setup/python.ts';

const { values } = parseArgs({
  options: {
    tries: { type: 'string' },
    checks: { type: 'string' },
    honest: { type: 'string' },
    flips: { type: 'string' },
    soak: { type: 'string' },
    fuzz: { type: 'string' },
    only: { type: 'string' },
    runtime: { type: 'string' },
    'at-once': { type: 'string' },
  },
});
const tries = Number(values.tries ?? 20);
const checks = Number(values.checks ?? 5);
const honest = Number(values.honest ?? 100);
const flips = Number(values.flips ?? 64);
const soaks = Number(values.soak ?? 200);
const isFull = [values.soak, values.tries, values.checks, values.honest, values.flips, values.fuzz].every(
  (value) => value === undefined,
);
/** Of the bits that are turned over, and of what befalls a check. */
const SEED = 20261126;
const date = new Date().toISOString().slice(0, 10);
const evidence = join(repository, 'docs/evidence', `${date}-cpu`);

if (values.only === undefined || values.only === 'fuzz') await measureFuzz();
if (values.only === 'fuzz') process.exit();
const model = await ensureModel();
const { python } = await ensureEngine();
if (values.only === undefined || values.only === 'flips') await measureFlips();
if (values.only === 'flips') process.exit();
if (values.only === undefined || values.only === 'probes') await measureProbes();
if (values.only === 'probes') process.exit();
if (values.only === undefined || values.only.startsWith('soak')) await measureSoak();
if (values.only?.startsWith('soak')) process.exit();
await using docker = await ensureDocker();
const { imageId } = await ensureCpuImage(docker);
await using action = await builtAction('vllm');
const env = { DOCKER_HOST: docker.host };

await measureHonest();
if (values.only === 'honest') process.exit();

const cancels = await measureCancels(action, docker);
const repeats = await measureRepeats(action);

const results = {
  date,
  machine: { cpu: cpus()[0]?.model.trim() ?? 'unknown', threads: cpus().length },
  engine: repeats.engine,
  cancel: { limitMs: LIMIT_MS, tries: cancels },
  repeat: { baseline: repeats.baseline, checks: repeats.checks },
};
const good = cancels.filter(({ held }) => held).length;
const same = repeats.checks.filter(({ conclusion }) => conclusion === 'reproduced').length;
const text = report();
console.log(text);
if (isFull) {
  await mkdir(evidence, { recursive: true });
  await writeFile(join(evidence, 'results.json'), `${JSON.stringify(results, null, 2)}\n`);
  await writeFile(join(evidence, 'README.md'), text);
}
if (good < tries || same < checks) process.exitCode = 1;

/** A million inputs at random, of all that is read. */
async function measureFuzz(): Promise<void> {
  const found = await fuzzed(Number(values.fuzz ?? 100), 'python3');
  const told = tellFuzzed(found, date, `${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} threads`);
  console.log(told);
  if (isFull) {
    const folder = join(repository, 'docs/evidence', `${date}-fuzz`);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'fuzz.json'),
      `[\n${found.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`,
    );
    await writeFile(join(folder, 'README.md'), told);
  }
  if (found.some(({ crashes }) => crashes.length > 0)) process.exitCode = 1;
}

/** The same bits in each dtype. */
async function measureFlips(): Promise<void> {
  const bits = await randomBits(model, flips, SEED);
  const found: Flipped[] = [];
  for (const dtype of ['bfloat16', 'float32'])
    found.push(...(await flippedBits({ flips: bits, dtype, model, python })));
  const told = tellFlips(found, { date, seed: SEED });
  console.log(told);
  if (isFull) {
    const folder = join(repository, 'docs/evidence', `${date}-bit-flips`);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, 'flips.json'),
      `[\n${found.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`,
    );
    await writeFile(join(folder, 'README.md'), told);
  }
  if (found.some(({ wrong, unexplained }) => wrong.length > 0 || unexplained > 0)) process.exitCode = 1;
}

/** What other kernels of this CPU make of the probes, and of a model. */
async function measureProbes(): Promise<void> {
  const found = await foretold({ dtypes: ['float32', 'bfloat16'], model, python });
  const { stdout: torch } = await execa(python, [
    '-c',
    'import importlib.metadata as m; print(m.version("torch"))',
  ]);
  const told = tellProbes(found, { date, torch });
  console.log(told);
  const folder = join(repository, 'docs/evidence', `${date}-probes`);
  await mkdir(folder, { recursive: true });
  await writeFile(
    join(folder, 'probes.json'),
    `[\n${found.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`,
  );
  await writeFile(join(folder, 'README.md'), told);
}

/** Checks in a row with kills, cancels, outages and full disks, most of them with an engine that does what it is told. */
async function measureSoak(): Promise<void> {
  for (const pool of ['scripted', 'engines'] as const)
    if (values.only === undefined || values.only === 'soak' || values.only === `soak-${pool}`)
      await measureSoakOf(pool);
}

async function measureSoakOf(pool: keyof typeof POOLS): Promise<void> {
  await using held = new AsyncDisposableStack();
  const daemon = pool === 'engines' ? held.use(await ensureDocker()) : undefined;
  // An engine takes its time.
  const count = pool === 'engines' ? Math.ceil(soaks * 0.4) : soaks;
  const done = await soak({
    ...{ plan: planned(count, pool, SEED), model, python },
    docker: daemon && {
      host: daemon.host,
      client: await connect({ DOCKER_HOST: daemon.host }),
      image: (await ensureTinyImage(daemon)).imageId,
    },
    onCheck: (one, number) => console.log(`check ${number} of ${count}: ${JSON.stringify(one)}`),
  });
  const command = ['npm run evidence --', ...process.argv.slice(2)].join(' ');
  const told = tellSoak(done, { date, seed: SEED, count, command, file: `${pool}.json` });
  console.log(told);
  if (isFull) {
    const folder = join(repository, 'docs/evidence', `${date}-soak`);
    await mkdir(folder, { recursive: true });
    await writeFile(
      join(folder, `${pool}.json`),
      `[\n${done.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`,
    );
    await writeFile(join(folder, pool === 'scripted' ? 'README.md' : 'engines.md'), told);
  }
  if (done.some(({ wrong }) => wrong.length > 0)) process.exitCode = 1;
}

/** Equivalent changes against one baseline, half of them in each dtype. */
async function measureHonest(): Promise<void> {
  const runs: HonestRun[] = [];
  for (const dtype of ['float32', 'bfloat16'])
    runs.push(
      ...(await honestRuns({
        runs: Math.ceil(honest / 2),
        dtype,
        model,
        image: values.runtime === 'process' ? undefined : imageId,
        python,
        environment: env,
        atOnce: Number(values['at-once'] ?? 2),
      })),
    );
  const flagged = runs.filter((run) => run.flagged === true).length;
  const made = runs.filter((run) => run.flagged !== null).length;
  const kinds = [...new Set(runs.map(({ id }) => id))].sort();
  const lines = kinds.map((id) => {
    const of = runs.filter((run) => run.id === id);
    return `| ${id} | ${of.filter((run) => run.flagged !== null).length} | ${of.filter((run) => run.flagged === true).length} |`;
  });
  const found = `# Honest runs of ${date}, without a GPU

Made by \`npm run evidence -- ${process.argv.slice(2).join(' ')}\`; each run is an engine start of its own in a ${values.runtime === 'process' ? 'process' : 'container'},
${values['at-once'] ?? 2} at once, with a change that changes nothing a user could see, compared with one baseline as a check
compares, half of them in float32 and half in bfloat16. Machine:
${cpus()[0]?.model.trim() ?? 'unknown'}, ${cpus().length} threads. ${flagged} of ${made} were flagged.

| equivalent change | runs | flagged |
| --- | --- | --- |
${lines.join('\n')}
`;
  console.log(found);
  if (isFull) {
    await mkdir(evidence, { recursive: true });
    await writeFile(join(evidence, 'honest-runs.json'), `${JSON.stringify(runs, null, 2)}\n`);
    await writeFile(join(evidence, 'honest-runs.md'), found);
  }
  if (flagged > 0 || made < honest) process.exitCode = 1;
}

/** SIGINT to the spawned action in mid-generation: what test/e2e/cancel.test.ts checks in each of its tries. */
async function measureCancels(built: Action, daemon: DockerDaemon) {
  const client = await connect({ DOCKER_HOST: daemon.host });
  const found: { readonly held: boolean; readonly goneMs: number | null; readonly exitMs: number | null }[] =
    [];
  for (let attempt = 1; attempt <= tries; attempt++) {
    await using runner = await aRunner();
    await runner.write('determinism.yml', realSuite({ model, runtime: { image: imageId }, maxTokens: 500 }));
    try {
      const { goneMs, exitMs } = await cancelInMidGeneration(built, runner, { env }, client);
      found.push({ held: true, goneMs: Math.round(goneMs), exitMs: Math.round(exitMs) });
    } catch (error) {
      console.error(error);
      found.push({ held: false, goneMs: null, exitMs: null });
    }
    console.log(`cancel ${attempt} of ${tries}: ${JSON.stringify(found.at(-1))}`);
  }
  return found;
}

/** One refresh without a container, then honest checks, by turns in the container and without. */
async function measureRepeats(built: Action) {
  await using runner = await aRunner();
  await runner.write('determinism.yml', realSuite({ model, runtime: { image: imageId }, maxTokens: 64 }));
  const bare = { runtime: 'process', python };
  const refresh = { ...bare, mode: 'refresh', reason: 'evidence', 'record-path': '../baseline' };
  const stored = await runStep(built, runner, { env, with: refresh, event: 'workflow_dispatch' });
  if (stored.exitCode !== 0) throw new Error(`the refresh failed:\n${stored.log}`);
  const path = join(runner.workspace, '../baseline');
  const { fingerprint } = (await openRecord(path)).record;
  const { engine, libraries } = fingerprint.declared;
  const found: { readonly runtime: string; readonly conclusion: string; readonly record: string }[] = [];
  for (let attempt = 1; attempt <= checks; attempt++) {
    const runtime = attempt % 2 === 1 ? 'docker' : 'process';
    const inputs = runtime === 'docker' ? { runtime } : bare;
    const { outputs, log } = await runStep(built, runner, { env, with: inputs });
    if (outputs['conclusion'] !== 'reproduced') console.error(log);
    found.push({
      runtime,
      conclusion: outputs['conclusion'] ?? outputs['error-code'] ?? 'none',
      record: outputs['record-digest'] ?? 'none',
    });
    console.log(`check ${attempt} of ${checks}: ${JSON.stringify(found.at(-1))}`);
  }
  return {
    engine: {
      ...engine,
      torch: libraries['torch'] ?? 'unknown',
      hardwareClass: stored.outputs['hardware-class'],
    },
    baseline: stored.outputs['record-digest'],
    checks: found,
  };
}

function report(): string {
  const times = (of: (cancel: (typeof cancels)[number]) => number | null) => {
    const known = cancels.flatMap((cancel) => of(cancel) ?? []).sort((a, b) => a - b);
    const at = (share: number) => known[Math.round(share * (known.length - 1))];
    return `${at(0)} / ${at(0.5)} / ${at(1)} ms`;
  };
  return `# Evidence of ${results.date}, without a GPU

Made by \`npm run evidence\`; the numbers behind it are in [results.json](results.json).
Machine: ${results.machine.cpu}, ${results.machine.threads} threads, class \`${results.engine.hardwareClass}\`.
Engine: ${results.engine.name} ${results.engine.version}, torch ${results.engine.torch}, SmolLM2-135M-Instruct in float32.

| claim | held |
| --- | --- |
| SIGINT to the action while vLLM generates in its container: container gone and action ended within ${LIMIT_MS / 1000} s, error \`cancelled\`, no record, whole or half | ${good} of ${cancels.length} |
| an honest check against the baseline is \`reproduced\`, by turns in the container and in a bare process | ${same} of ${repeats.checks.length} |

From the signal, least / median / most: until the container was gone ${times(({ goneMs }) => goneMs)}, until the action had exited ${times(({ exitMs }) => exitMs)}.

Distinct record digests among the baseline and its checks: ${new Set([repeats.baseline, ...repeats.checks.map(({ record }) => record)]).size}.
`;
}

import assert from 'node:assert/strict';
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import manifest from '../../package.json' with { type: 'json' };
import { npmPackage } from '../../scripts/npm-package.ts';
import { repository } from '../../scripts/setup/cache.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/* The command line as npm has it: packed, installed where nothing else is, and run by `npx`. */

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
let place: string;
let packed: string;
before(async () => {
  place = owned.use(await temporaryFolder()).path;
  packed = await npmPackage(join(place, 'packed'));
  const consumer = join(place, 'consumer');
  await mkdir(consumer);
  await writeFile(join(consumer, 'package.json'), '{ "private": true }\n');
  await execa('npm', ['install', '--offline', '--no-audit', '--no-fund', packed], { cwd: consumer });
});

/** As somebody does who has the package: nothing of this repository is on the way. */
async function start(file: string, words: readonly string[], node: Readonly<Record<string, string>> = {}) {
  return await execa(file, words, {
    cwd: join(place, 'consumer'),
    extendEnv: false,
    env: { PATH: process.env['PATH'] ?? '', HOME: place, ...node },
    reject: false,
  });
}

const npx = (...words: readonly string[]) =>
  start('npx', ['--offline', '--no', 'deterministic-ml', ...words]);

/** What `npx` starts, without npm before it. */
const installed = (words: readonly string[], node?: Readonly<Record<string, string>>) =>
  start(join(place, 'consumer/node_modules/.bin/deterministic-ml'), words, node);

const SUITE = `apiVersion: deterministic-ml/v1
name: own
model: { path: model }
engine: { name: transformers }
sampling: { temperature: 0, max_tokens: 1 }
prompts: [{ id: one, text: The capital of France is }]
`;

describe('the npm package', () => {
  test('is of this version, and the same bytes from another folder at another time', async () => {
    assert.match(packed, new RegExp(`deterministic-ml-${manifest.version}\\.tgz$`));
    const copy = join(place, 'copy');
    for (const name of ['dist', 'docker/harness', 'examples', 'schema', 'README.md', 'LICENSE'])
      await cp(join(repository, name), join(copy, name), { recursive: true, preserveTimestamps: false });
    const again = await npmPackage(join(place, 'again'), copy);
    assert.deepEqual(await readFile(again), await readFile(packed));
  });

  test('brings no other package, and no file that is not of use there', async () => {
    const { stdout } = await execa('npm', ['ls', '--all', '--parseable'], { cwd: join(place, 'consumer') });
    assert.equal(stdout.split('\n').length, 2, stdout);
    const { stdout: listed } = await execa('tar', ['tzf', packed]);
    assert.deepEqual(
      listed.match(/.*(?:\.ts|\.pyc|\.test\.\w+)$|.*\/(?:test|node_modules|\.cache)\/.*/gm),
      null,
    );
  });

  test('`npx deterministic-ml` says what an error means', async () => {
    const { exitCode, stdout } = await npx('why', 'image-not-pinned');
    assert.equal(exitCode, 0);
    assert.match(stdout, /by its (?:content|digest)|digest/);
  });

  test('says which Node it needs, on one that is older than what it is made with', async () => {
    const old = `Object.defineProperty(process.versions, 'node', { value: '18.20.8' }); delete process.getBuiltinModule;`;
    const told = await installed(['why'], {
      NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(old)}`,
    });
    assert.equal(told.exitCode, 2, told.stdout);
    assert.match(told.stderr, /deterministic-ml needs Node 24 or newer, and this is 18\.20\.8\./);
  });

  test('has the workflows that `init` writes, and the schema that `validate` holds a suite to', async () => {
    const made = await installed(['init', '--from', 'vllm serve owner/model']);
    assert.equal(made.exitCode, 0, made.stderr + made.stdout);
    assert.match(await readFile(join(place, 'consumer/.github/workflows/check.yml'), 'utf8'), /uses: /);
    const validated = await installed(['validate', 'determinism.yml']);
    assert.match(validated.stderr + validated.stdout, /determinism\.yml/);
  });

  test('brings the harness to a Python, which says that it lacks the engine', async () => {
    await mkdir(join(place, 'consumer/model'), { recursive: true });
    await writeFile(join(place, 'consumer/model/config.json'), '{}\n');
    await writeFile(join(place, 'consumer/own.yml'), SUITE);
    const { exitCode, stderr } = await installed([
      ...['fingerprint', 'own.yml'],
      ...['--runtime', 'process', '--python', 'python3'],
    ]);
    assert.equal(exitCode, 2, stderr);
    assert.match(stderr, /engine-missing.*the Python here has no package `transformers`/s);
  });
});

import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { terminalConsole } from '../../../src/front/console.ts';
import { type Connections, wire } from '../../../src/front/wiring.ts';
import { temporaryFolder } from '../support/folder.ts';
import { rejectedBy, SAMPLE } from '../support/suites.ts';

/** Connections of a terminal: nothing is reached by them that is not on this machine. */
const connections = (workspace: string): Connections => ({
  environment: {},
  githubToken: undefined,
  hubToken: undefined,
  endpointKey: undefined,
  runtime: 'auto',
  isolation: 'auto',
  python: 'python3',
  launch: undefined,
  gpuDevices: [],
  cpuSets: [],
  timeoutSeconds: 60,
  inactivitySeconds: 60,
  job: { repository: 'acme/models', run: '1', attempt: '1', runner: '' },
  workspace,
  temporary: workspace,
  statePath: join(workspace, 'state'),
  harnessPath: join(workspace, 'harness'),
});

const wired = (workspace: string) =>
  wire(
    connections(workspace),
    { defaultBranch: 'main', base: undefined, ref: 'refs/heads/main' },
    {
      console: terminalConsole({ write: () => {}, now: Date.now, tty: false }),
      signal: new AbortController().signal,
    },
  );

describe('what a use-case is handed', () => {
  test('opens the store that the suite names', () => {
    const { open } = wired('/nowhere');
    const more = { lifetimes: 3, 'warn-after-days': 30, branches: [] };
    for (const store of ['cache', 'files'] as const)
      assert.equal(open.store({ ...more, store, path: 'baselines' }).kind, store);
  });

  test('reads suites of the checkout, and the harness', async () => {
    await using folder = await temporaryFolder();
    await mkdir(join(folder.path, 'harness'));
    await writeFile(join(folder.path, 'harness/boot.py'), 'pass');
    await writeFile(join(folder.path, 'harness/main.py'), 'run()');
    const halves = join(folder.path, 'harness/deterministic_ml/engines');
    for (const half of ['common', 'kernels', 'transformers', 'vllm'])
      await mkdir(join(halves, half), { recursive: true });
    for (const half of ['common/a.py', 'kernels/a.py', 'transformers/a.py', 'vllm/a.py', 'script.py'])
      await writeFile(join(halves, half), half);
    await writeFile(
      join(folder.path, 'suite.yml'),
      SAMPLE.replace(', file: prompts/essay.txt', ', text: Once'),
    );
    const { open } = wired(folder.path);
    assert.equal((await open.suite('suite.yml')).suite.name, 'smollm2-serving');
    const { boot, files } = await open.harness({ name: 'transformers' });
    assert.equal(boot, 'pass');
    assert.equal(files['main.py'], 'run()');
    // Its own half, what all share, and the probes that are called beside any model.
    assert.deepEqual(
      Object.keys(files).filter((name) => name.includes('/engines/')),
      ['common', 'kernels', 'transformers'].map((half) => `deterministic_ml/engines/${half}/a.py`),
    );
  });

  test('asks GitHub nothing without a token', async () => {
    const { open } = wired('/nowhere');
    assert.equal((await rejectedBy(open.github().tipOf('main'))).code, 'github-unavailable');
    await assert.rejects(open.posts().comments(7), { name: 'PostError' });
  });
});

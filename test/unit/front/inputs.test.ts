import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { parseInputs } from '../../../src/front/inputs.ts';
import { thrownBy } from '../support/suites.ts';

const ENVIRONMENT = {
  GITHUB_WORKSPACE: '/runner/repository',
  RUNNER_TEMP: '/runner/temp',
  RUNNER_TOOL_CACHE: '/runner/tools',
  RUNNER_NAME: 'gpu-1',
  GITHUB_RUN_ID: '42',
  GITHUB_RUN_ATTEMPT: '2',
  GITHUB_REPOSITORY: 'acme/models',
  GITHUB_ACTION: 'step',
  GITHUB_SERVER_URL: 'https://github.com',
  GITHUB_SHA: 'c0ffee',
  GITHUB_REF: 'refs/heads/main',
  GITHUB_WORKFLOW: 'refresh',
  GITHUB_ACTOR: 'alice',
  GITHUB_EVENT_NAME: 'workflow_dispatch',
};

const parsed = (
  inputs: Readonly<Record<string, string>> = {},
  environment: NodeJS.ProcessEnv = ENVIRONMENT,
) => parseInputs((name) => inputs[name] ?? '', 'action', environment, '/harness');
const refused = (inputs: Readonly<Record<string, string>>) => thrownBy(() => parsed(inputs));

describe('inputs', () => {
  test('have defaults, the same as action.yml says', async () => {
    const action = parse(await readFile(new URL('../../../action.yml', import.meta.url), 'utf8')) as {
      readonly inputs: Readonly<Record<string, { readonly default?: string }>>;
    };
    const written = Object.fromEntries(
      Object.entries(action.inputs).map(([name, { default: value }]) => [name, value ?? '']),
    );
    // The runner fills the token in.
    assert.deepEqual(parsed({ ...written, 'github-token': '' }), parsed());
    const { mode, settings, connections } = parsed();
    assert.equal(mode.name, 'check');
    assert.equal(settings.suite, 'determinism.yml');
    assert.equal(settings.runtime, 'auto');
    assert.equal(connections.python, 'python3');
    assert.deepEqual(connections.gpuDevices, []);
    assert.equal(settings.timeoutSeconds, 3600);
    assert.equal(settings.inactivitySeconds, 1200);
    assert.equal(connections.hubToken, undefined);
    const { comment, checkRun, reports, expected } = settings;
    assert.deepEqual({ comment, checkRun }, { comment: 'drift', checkRun: false });
    assert.deepEqual({ reports, expected }, { reports: '/runner/repository/reports', expected: 1 });
  });

  test('are all known to action.yml, and all of action.yml are read', async () => {
    const action = parse(await readFile(new URL('../../../action.yml', import.meta.url), 'utf8')) as {
      readonly inputs: Readonly<Record<string, unknown>>;
    };
    const asked = new Set<string>();
    const ask = (name: string) => {
      asked.add(name);
      return '';
    };
    parseInputs(ask, 'action', ENVIRONMENT, '/harness');
    assert.deepEqual([...asked].sort(), Object.keys(action.inputs).sort());
  });

  test('name folders: the record’s in the runner’s temporary one, or below the workspace', () => {
    assert.equal(parsed().settings.recordPath, '/runner/temp/deterministic-ml/record-42-2-step');
    assert.equal(
      parsed({ 'record-path': 'out/record' }).settings.recordPath,
      '/runner/repository/out/record',
    );
    assert.equal(parsed({ 'record-path': '/mnt/record' }).settings.recordPath, '/mnt/record');
    assert.equal(parsed().connections.statePath, '/runner/tools/deterministic-ml');
    assert.equal(
      parsed({}, { HOME: '/home/a', GITHUB_WORKSPACE: '/w' }).connections.statePath,
      '/home/a/.cache/deterministic-ml',
    );
    assert.equal(
      parsed({}, { XDG_CACHE_HOME: '/c', HOME: '/home/a' }).connections.statePath,
      '/c/deterministic-ml',
    );
  });

  test('name files for other programs, below the workspace', () => {
    const { documents } = parsed({ junit: 'out/junit.xml', sarif: '/tmp/a.sarif' }).settings;
    assert.deepEqual(documents, { junit: '/runner/repository/out/junit.xml', sarif: '/tmp/a.sarif' });
    assert.deepEqual(parsed().settings.documents, {});
  });

  test('name the run', () => {
    assert.deepEqual(parsed().settings.job, {
      repository: 'acme/models',
      run: '42',
      attempt: '2',
      runner: 'gpu-1',
    });
    const { reason, actor } = parsed({ mode: 'refresh', reason: 'vLLM 0.31' }).settings;
    assert.equal(reason, 'vLLM 0.31');
    assert.equal(parsed().settings.runUrl, 'https://github.com/acme/models/actions/runs/42/attempts/2');
    assert.equal(actor, 'alice');
  });

  test('list devices by index or UUID', () => {
    const devices = [
      '0',
      'GPU-8f5c2b1a-0000-1111-2222-333344445555',
      'MIG-8f5c2b1a-0000-1111-2222-333344445555',
    ];
    assert.deepEqual(parsed({ 'gpu-devices': ` ${devices.join(' , ')},` }).connections.gpuDevices, devices);
  });

  test('list sets of CPUs, one for each engine that runs at a time', () => {
    assert.deepEqual(parsed({ 'cpu-sets': ' 0-7,16  8-15 ' }).connections.cpuSets, ['0-7,16', '8-15']);
    assert.deepEqual(parsed().connections.cpuSets, []);
  });

  test('hand no token and no environment to a use-case: adapters alone get them', () => {
    const { settings, connections } = parsed({ 'github-token': 'ghs_secret', 'hub-token': 'hf_secret' });
    assert.doesNotMatch(JSON.stringify(settings), /secret|GITHUB_/);
    assert.equal(connections.githubToken, 'ghs_secret');
    assert.equal(connections.environment, ENVIRONMENT);
  });

  test('need not say how many reports there are on a terminal, whose reader has the folder before them', () => {
    const { settings, door } = parseInputs(
      (name) => (name === 'mode' ? 'report' : ''),
      'terminal',
      ENVIRONMENT,
      '/harness',
    );
    assert.deepEqual([settings.expected, door], [1, 'terminal']);
  });

  test('name a launcher, which is the runtime then', () => {
    const { settings, connections } = parsed({
      ...{ launcher: 'srun --gres=gpu:1', 'launcher-model': '/models/m', python: '/opt/vllm/bin/python' },
    });
    assert.deepEqual([settings.runtime, connections.runtime], ['launcher', 'launcher']);
    assert.deepEqual(connections.launch, {
      ...{ argv: ['srun', '--gres=gpu:1'], python: '/opt/vllm/bin/python', model: '/models/m' },
    });
    assert.equal(parsed().connections.launch, undefined);
  });

  test('take minutes with a fraction', () => {
    assert.equal(parsed({ 'timeout-minutes': '0.5' }).settings.timeoutSeconds, 30);
  });
});

describe('inputs that are wrong', () => {
  for (const [inputs, message] of [
    [
      { mode: 'Refresh' },
      '`mode` is `Refresh`, but must be `check` or `refresh` or `store` or `power` or `bisect` or `log` or `report`.',
    ],
    [
      { runtime: 'podman' },
      '`runtime` is `podman`, but must be `auto` or `docker` or `process` or `launcher`.',
    ],
    [{ runtime: 'launcher' }, '`launcher` is empty, but `runtime: launcher` needs one.'],
    [{ 'launcher-model': '/m' }, '`launcher-model` is given, and no `launcher`.'],
    [
      { launcher: 'ssh gpu7', runtime: 'docker' },
      '`launcher` is given, and `runtime` is `docker`: it is one or the other.',
    ],
    [
      { launcher: 'ssh gpu7', isolation: 'required' },
      '`isolation: required` is about this machine, and `launcher` takes the engine elsewhere.',
    ],
    [
      { launcher: 'ssh -o StrictHostKeyChecking=no gpu7' },
      '`launcher` is no command: `StrictHostKeyChecking=no` is refused: without it anybody can stand in for the far side, and say what it computed.',
    ],
    [{ 'timeout-minutes': '0' }, '`timeout-minutes` is `0`, but must be a number of minutes above 0.'],
    [{ 'timeout-minutes': '-5' }, '`timeout-minutes` is `-5`, but must be a number of minutes above 0.'],
    [
      { 'timeout-minutes': 'an hour' },
      '`timeout-minutes` is `an hour`, but must be a number of minutes above 0.',
    ],
    [
      { 'inactivity-minutes': 'Infinity' },
      '`inactivity-minutes` is `Infinity`, but must be a number of minutes above 0.',
    ],
    [
      { 'inactivity-minutes': '1e9' },
      '`inactivity-minutes` is `1e9`, but must be a number of minutes above 0.',
    ],
    [
      { 'gpu-devices': 'all' },
      '`gpu-devices` has `all`, which is neither an index nor a UUID such as GPU-….',
    ],
    [{ 'cpu-sets': '0-3 all' }, '`cpu-sets` has `all`, which is no set of CPUs such as 0-7 or 0,2,4.'],
    [{ 'cpu-sets': '0-3 3-7' }, '`cpu-sets` names CPU 3 twice, and each engine needs CPUs of its own.'],
    [{ 'cpu-sets': '7-4' }, '`cpu-sets` has `7-4`, which ends before it begins.'],
    [
      { 'gpu-devices': '0;rm' },
      '`gpu-devices` has `0;rm`, which is neither an index nor a UUID such as GPU-….',
    ],
    [
      { mode: 'refresh' },
      '`reason` is empty, but mode `refresh` needs one: it is shown with every later comparison.',
    ],
    [
      { mode: 'report' },
      '`expected-reports` is empty, but mode `report` needs the number of legs: one that died leaves no report.',
    ],
    [{ comment: 'yes' }, '`comment` is `yes`, but must be `drift` or `always` or `never`.'],
    [{ 'check-run': 'yes' }, '`check-run` is `yes`, but must be `false` or `true`.'],
    [{ 'expected-reports': '0' }, '`expected-reports` is `0`, but must be a whole number from 1 to 256.'],
    [{ 'expected-reports': '2.5' }, '`expected-reports` is `2.5`, but must be a whole number from 1 to 256.'],
    [{ budget: '0' }, '`budget` is `0`, but must be a whole number from 1 to 64.'],
    [{ reason: 'x'.repeat(1001) }, '`reason` is longer than 1000 characters.'],
  ] as const)
    test(JSON.stringify(inputs).slice(0, 60), () => {
      const error = refused(inputs);
      assert.equal(error.code, 'input-invalid');
      assert.equal(error.message, message);
      assert.match(error.hint, /`with:`/);
    });

  test('are told all at once', () => {
    const { message } = refused({ mode: 'x', runtime: 'y', 'timeout-minutes': 'z', 'gpu-devices': 'a,b' });
    assert.match(message, /^5 inputs are wrong:\n {2}`mode` is/);
    assert.equal(message.split('\n').length, 6);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { inherited, visibleDevices } from '../../../src/runtime/environment.ts';
import { tried } from '../../support/tried.ts';

describe('what an engine inherits', () => {
  test('what finds programs and devices, and what tunes the numbers', () => {
    const kept = {
      PATH: '/bin',
      LC_ALL: 'C',
      CUDA_HOME: '/usr/local/cuda',
      VLLM_CPU_KVCACHE_SPACE: '1',
      TORCHDYNAMO_DISABLE: '1',
      RUNNER_TRACKING_ID: 'github_1',
    };
    assert.deepEqual(inherited({ ...kept, UNSET: undefined }), kept);
  });

  tried(
    'environment of the engine',
    'tokens, inputs, a proxy’s password, the agent’s socket and libraries to preload in the environment of the job',
    'an engine inherits by a list of names, and nothing that looks like a secret',
    () => {
      const dropped = {
        GITHUB_TOKEN: 'x',
        GITHUB_WORKSPACE: 'x',
        ACTIONS_RUNTIME_URL: 'x',
        'INPUT_HUB-TOKEN': 'x',
        RUNNER_TEMP: 'x',
        HF_TOKEN: 'x',
        VLLM_API_KEY: 'x',
        CUDA_SECRET: 'x',
        NODE_OPTIONS: 'x',
        LD_PRELOAD: 'x',
        HTTPS_PROXY: 'http://user:password@proxy.example',
        all_proxy: 'http://user:password@proxy.example',
        SSH_AUTH_SOCK: '/run/agent',
      };
      assert.deepEqual(inherited(dropped), {});
    },
  );
});

describe('which GPUs a process may see', () => {
  for (const [gpus, devices, before, expected] of [
    ['none', ['GPU-a'], '0,1', ''],
    [1, [], undefined, '0'],
    [2, [], undefined, '0,1'],
    [1, ['GPU-b', 'GPU-c'], undefined, 'GPU-b'],
    [2, ['GPU-b', 'GPU-c'], '0', 'GPU-b,GPU-c'],
    [1, [], 'GPU-x,GPU-y', 'GPU-x'],
    [1, [], '', '0'],
  ] as const)
    test(`${gpus} of [${devices}], given ${before ?? 'nothing'}`, () => {
      assert.equal(visibleDevices(gpus, devices, before), expected);
    });
});

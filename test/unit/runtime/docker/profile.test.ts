import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ownerName } from '../../../../src/machine/owner.ts';
import { type ContainerRequest, containerProfile } from '../../../../src/runtime/docker/profile.ts';
import { bytesOf } from '../../../../src/runtime/sizes.ts';

const request: ContainerRequest = {
  image: 'engine',
  boot: 'pass',
  job: { repository: 'o/r', run: '1', attempt: '2', runner: 'r' },
  span: { made: { boot: 'b', seconds: 10 }, deadline: { boot: 'b', seconds: 1000.5 } },
  user: { uid: 1001, gid: 1002 },
  gpus: 'none',
  devices: [],
  giver: 'nvidia',
  memory: undefined,
  tmp: 4096,
  cpus: undefined,
  cpuSet: undefined,
  shm: 1,
  caches: undefined,
  mounts: [],
  environment: {},
};
const environmentOf = (more: Partial<ContainerRequest>) =>
  containerProfile({ ...request, ...more }).Env ?? [];
const devicesOf = (more: Partial<ContainerRequest>) =>
  containerProfile({ ...request, ...more }).HostConfig?.DeviceRequests;

describe('the container', () => {
  test('gets the first GPUs by their number, or those of the runner by name, never both', () => {
    const [byCount] = devicesOf({ gpus: 2 }) ?? [];
    assert.equal(byCount?.Count, 2);
    assert.equal(byCount?.DeviceIDs, undefined);
    const [byName] = devicesOf({ gpus: 2, devices: ['GPU-a', 'GPU-b', 'GPU-c'] }) ?? [];
    assert.equal(byName?.Count, undefined);
    assert.deepEqual(byName?.DeviceIDs, ['GPU-a', 'GPU-b']);
  });

  test('runs on the CPUs that it was given, and on all without', () => {
    const on = (cpuSet: string | undefined) =>
      containerProfile({ ...request, cpuSet }).HostConfig?.CpusetCpus;
    assert.deepEqual([on('8-15'), on(undefined)], ['8-15', undefined]);
  });

  test('gets no more CPU time than it was given', () => {
    const limit = (cpus: number | undefined) => containerProfile({ ...request, cpus }).HostConfig?.NanoCpus;
    assert.equal(limit(1.5), 1_500_000_000);
    assert.equal(limit(undefined), undefined);
  });

  test('without GPUs asks for none, though its image may', () => {
    assert.equal(devicesOf({}), undefined);
    assert.ok(environmentOf({}).includes('NVIDIA_VISIBLE_DEVICES=void'));
    assert.ok(!environmentOf({ gpus: 1 }).includes('NVIDIA_VISIBLE_DEVICES=void'));
  });

  test('does not swap, and has a /tmp that ends', () => {
    const memory = bytesOf('2GiB');
    const limited = containerProfile({ ...request, memory }).HostConfig;
    assert.equal(limited?.Memory, 2 * 1024 ** 3);
    assert.equal(limited?.MemorySwap, limited?.Memory);
    assert.equal(containerProfile(request).HostConfig?.Memory, undefined);
    assert.match(containerProfile(request).HostConfig?.Tmpfs?.['/tmp'] ?? '', /,size=4096$/);
  });

  test('carries the labels that a later sweep goes by', () => {
    assert.deepEqual(containerProfile(request).Labels, {
      'deterministic-ml.role': 'engine',
      'deterministic-ml.repository': 'o/r',
      'deterministic-ml.run': '1',
      'deterministic-ml.attempt': '2',
      'deterministic-ml.runner': 'r',
      'deterministic-ml.made': '10@b',
      'deterministic-ml.deadline': '1001@b',
      'deterministic-ml.owner': ownerName(),
    });
  });
});

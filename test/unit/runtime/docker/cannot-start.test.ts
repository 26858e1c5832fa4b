import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cannotStart } from '../../../../src/runtime/docker/docker.ts';

/* The words are daemons’ own. */
for (const [said, gpus, code] of [
  [
    'could not select device driver "nvidia" with capabilities: [[gpu compute utility]]',
    1,
    'gpu-unavailable',
  ],
  ['invalid mount config for type "bind": bind source path does not exist: /m', 'none', 'model-missing'],
  ['invalid mount config for type "bind": stat /m: permission denied', 'none', 'model-unreadable'],
  ['write /var/lib/docker/tmp/x: no space left on device', 'none', 'disk-full'],
  ['crun: cgroups in hybrid mode not supported', 'none', 'runtime-unavailable'],
] as const)
  test(`a daemon that says “${said}” is told as ${code}, with its words`, () => {
    const error = cannotStart(new Error(`(HTTP code 400) bad parameter - ${said} `), { gpus });
    assert.equal(error.code, code);
    assert.ok(error.message.includes(said), error.message);
  });

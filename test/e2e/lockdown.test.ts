import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ensureCpuImage } from '../../scripts/setup/image.ts';
import { ensureModel } from '../../scripts/setup/model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { countOf } from '../../src/record/channels.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { type Action, builtAction } from './support/action.ts';
import { GENERATING } from './support/cancel.ts';
import { aRunner, runStep, Step } from './support/spawn.ts';
import { containersOf, realSuite } from './support/suites.ts';

let action: Action;
before(async () => {
  action = await builtAction('vllm');
});
after(() => action[Symbol.asyncDispose]());

test('real vLLM in the locked-down container gives the bits of a bare process', async (t) => {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return;
  const [{ imageId }, { python }, model] = [
    await ensureCpuImage(daemon),
    await ensureEngine(),
    await ensureModel(),
  ];
  const env = { DOCKER_HOST: daemon.host };
  const docker = await connect(env);
  await using runner = await aRunner();
  const runtime = { image: imageId, memory: '8GiB' };
  await runner.write('determinism.yml', realSuite({ model, runtime, maxTokens: 8 }));

  const bare = await runStep(action, runner, {
    with: {
      mode: 'refresh',
      reason: 'made without a container',
      runtime: 'process',
      python,
      'record-path': '../bare',
    },
    event: 'workflow_dispatch',
  });
  assert.equal(bare.exitCode, 0, bare.log);
  assert.equal(bare.outputs['conclusion'], 'reproduced');

  await using step = await Step.start(action, runner, 'main', {
    env: { ...env, GITHUB_TOKEN: 'ghs_secret', HF_TOKEN: 'hf_secret', AWS_SECRET_ACCESS_KEY: 'secret' },
    with: { 'record-path': '../contained', 'hub-token': 'hf_secret' },
  });
  await step.sees(GENERATING, 120);
  const [listed, ...more] = await containersOf(docker, runner);
  assert.ok(listed, 'the engine runs in a container');
  assert.deepEqual(more, []);
  const { Config, HostConfig, Mounts, State } = await docker.getContainer(listed.Id).inspect();
  assert.equal(State.Running, true);
  assert.equal(HostConfig.NetworkMode, 'none');
  assert.equal(HostConfig.ReadonlyRootfs, true);
  assert.deepEqual(HostConfig.CapDrop, ['ALL']);
  assert.equal(HostConfig.CapAdd, null);
  assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true']);
  assert.equal(HostConfig.Privileged, false);
  assert.equal(HostConfig.PidMode, '');
  assert.equal(HostConfig.IpcMode, 'private');
  assert.equal(HostConfig.Memory, 8 * 1024 ** 3);
  assert.equal(HostConfig.MemorySwap, 8 * 1024 ** 3);
  assert.deepEqual(HostConfig.Devices ?? [], []);
  assert.deepEqual(HostConfig.Binds ?? [], []);
  assert.doesNotMatch(Config.User, /^(0|root)?(:|$)/);
  assert.deepEqual(
    Mounts.map(({ Type, Source, Destination, RW }) => ({ Type, Source, Destination, RW })),
    [{ Type: 'bind', Source: model, Destination: '/model', RW: false }],
    'the model and nothing else, least of all the Docker socket',
  );
  assert.doesNotMatch(JSON.stringify(Config.Env), /secret|runtime-token/);
  assert.deepEqual(
    Config.Env.filter((entry) => /^(GITHUB|ACTIONS|RUNNER|INPUT|STATE)_|TOKEN|SECRET/.test(entry)),
    [],
  );
  // What the kernel holds the engine to, not what was asked for: vLLM runs below the init process.
  const [engine] = await processesBelow(State.Pid);
  const status = await readFile(`/proc/${engine}/status`, 'utf8');
  assert.match(status, /^Uid:\t(?!0\t)/m);
  assert.match(status, /^CapEff:\t0{16}$/m);
  assert.match(status, /^CapBnd:\t0{16}$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  const devices = (await readFile(`/proc/${engine}/net/dev`, 'utf8')).split('\n').slice(2, -1);
  assert.deepEqual(
    devices.map((line) => line.trim().split(':')[0]),
    ['lo'],
  );

  const contained = await step.ended;
  assert.equal(contained.exitCode, 0, contained.log);
  assert.equal(contained.outputs['conclusion'], 'reproduced');
  assert.equal(contained.outputs['record-digest'], bare.outputs['record-digest']);
  assert.match(contained.log, /changed \(ambient\): runtime: process → docker/);
  assert.deepEqual(await containersOf(docker, runner), []);

  const [left, right] = await Promise.all(
    ['../bare', '../contained'].map(async (folder) => {
      const { record } = await openRecord(join(runner.workspace, folder));
      return record;
    }),
  );
  assert.ok(left && right);
  // Four prompts, generated twice, forced and scored; a refresh alone scores them beside strangers, and under noise.
  assert.equal(right.observations.length, 16);
  assert.deepEqual(
    right.observations,
    left.observations.filter(({ pass }) => pass !== 'score-strangers' && pass !== 'score-noise'),
    'every digest of every observation',
  );
  const traced = right.observations.filter((one) => countOf(one, 'modules') > 300);
  assert.deepEqual(
    new Set(traced.map(({ pass }) => pass)),
    new Set(['score-alone']),
    'every module of what is scored',
  );
  assert.equal(traced.length, 4);
  assert.equal(left.fingerprint.ambient.runtime, 'process');
  assert.equal(right.fingerprint.ambient.runtime, 'docker');
  assert.deepEqual(right.fingerprint.declared.image, {
    reference: imageId,
    digest: imageId,
    certainty: 'verified',
  });
  t.diagnostic(`record digest ${contained.outputs['record-digest']}`);
});

/** Children of a process, as this machine numbers them. */
async function processesBelow(pid: number): Promise<readonly string[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ');
}

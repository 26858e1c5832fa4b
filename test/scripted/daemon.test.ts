import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { ensureTinyImage } from '../../scripts/setup/image.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { GENERATING } from '../e2e/support/cancel.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { Step } from '../e2e/support/spawn.ts';
import { checkout, containersOf } from '../e2e/support/suites.ts';
import { proxied, SILENT_IMAGE, silentDaemon } from '../support/daemons.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { fault } from '../support/fault.ts';
import { until } from '../support/runtimes.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const IMAGE = { runtime: { image: SILENT_IMAGE, shm: '8MiB' } } as const;

describe('a daemon that falls silent', () => {
  for (const at of [
    /GET \/containers\/json/,
    /GET \/images\/.*\/json/,
    /GET \/version/,
    /GET \/info/,
    /POST \/containers\/create/,
    /POST \/containers\/.*\/attach/,
    /POST \/containers\/.*\/start/,
    /POST \/images\/create/,
  ])
    test(`at ${at.source}: a cancelled run ends all the same`, async () => {
      await using daemon = await silentDaemon(at);
      const image = at.source.includes('create') && at.source.includes('images');
      await using runner = await checkout(
        image ? { runtime: { image: `x.example/y@${SILENT_IMAGE}` } } : IMAGE,
      );
      await using step = await Step.start(action, runner, 'main', { env: { DOCKER_HOST: daemon.host } });
      await Promise.race([daemon.asked, step.ended]);
      step.kill('SIGINT');
      const fault = { code: 'cancelled', says: /The run was cancelled/, advises: /Start it again/ } as const;
      await assertFault(await step.ended, runner, fault);
    });

  fault(
    'Docker’s daemon silent',
    'a daemon that takes a call and never answers',
    'the run ends by itself and names the call',
    async () => {
      await using daemon = await silentDaemon(/GET \/containers\/json/);
      await using runner = await checkout(IMAGE);
      const env = { DOCKER_HOST: daemon.host };
      await using main = await Step.start(action, runner, 'main', { env });
      await using post = await Step.start(action, runner, 'post', { env });
      const [failed, cleaned] = await Promise.all([main.ended, post.ended]);
      assert.equal(cleaned.exitCode, 0, cleaned.log);
      const says = /The Docker daemon was lost: it did not list its containers within 30 s/;
      await assertFault(failed, runner, { code: 'docker-unavailable', says, advises: /docker version/ });
    },
  );

  fault(
    'image’s pull stands still',
    'a pull that makes no progress',
    'it ends after `inactivity-minutes`, with `image-pull-failed`',
    async () => {
      await using daemon = await silentDaemon(/POST \/images\/create/);
      await using runner = await checkout({ runtime: { image: `x.example/y@${SILENT_IMAGE}` } });
      await using step = await Step.start(action, runner, 'main', {
        env: { DOCKER_HOST: daemon.host },
        with: { 'inactivity-minutes': '0.02' },
      });
      const says = /The pull of x\.example\/y@sha256:0+ made no progress for 1\.2 s/;
      const advises = /inactivity-minutes/;
      await assertFault(await step.ended, runner, { code: 'image-pull-failed', says, advises });
    },
  );
});

/** A run in the middle of a pass, with a socket before its daemon. */
async function generating(t: TestContext) {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return undefined;
  await using owned = new AsyncDisposableStack();
  const { imageId } = await ensureTinyImage(daemon);
  const slow = { args: { on_step: 'time.sleep(0.05)' }, maxTokens: 10_000 } as const;
  const runner = owned.use(await checkout({ ...slow, runtime: { image: imageId, shm: '8MiB' } }));
  const proxy = owned.use(await proxied(daemon.host, join(runner.home, 'docker.sock')));
  const env = { DOCKER_HOST: proxy.host };
  const step = owned.use(await Step.start(action, runner, 'main', { env }));
  await step.sees(GENERATING);
  const docker = await connect({ DOCKER_HOST: daemon.host });
  const kept = owned.move();
  return {
    ...{ runner, proxy, step, docker },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

describe('a daemon that is lost in the middle of a pass', () => {
  fault(
    'Docker’s daemon killed',
    '`kill -9` of the daemon in the middle of a pass',
    '`docker-unavailable` at once, and the container ends',
    async (t) => {
      await using given = await generating(t);
      if (given === undefined) return;
      const { runner, proxy, step, docker } = given;
      await proxy.kill();
      const outcome = await step.ended;
      const fault = {
        code: 'docker-unavailable',
        says: /cut off in the middle of its work.*daemon was lost/s,
        advises: /journalctl -u docker/,
      } as const;
      await assertFault(outcome, runner, fault);
      await until(
        async () => (await containersOf(docker, runner)).every(({ State }) => State !== 'running'),
        'the container has ended by itself',
      );
    },
  );

  fault(
    'Docker’s connection cut',
    'the connection to the daemon breaks in the middle of a pass',
    '`docker-unavailable`, and nothing is left',
    async (t) => {
      await using given = await generating(t);
      if (given === undefined) return;
      const { runner, proxy, step, docker } = given;
      proxy.cut();
      const fault = {
        code: 'docker-unavailable',
        says: /cut off in the middle of its work/,
        advises: /run again/,
      } as const;
      await assertFault(await step.ended, runner, fault, docker);
    },
  );
});

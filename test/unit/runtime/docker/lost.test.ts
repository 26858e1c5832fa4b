import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, mock, test } from 'node:test';
import Docker from 'dockerode';
import { cancelled } from '../../../../src/errors.ts';
import { ask } from '../../../../src/runtime/docker/calls.ts';
import { type PullContext, pull } from '../../../../src/runtime/docker/pull.ts';
import { Watcher } from '../../../../src/runtime/docker/watcher.ts';

const never = () => new Promise<never>(() => {});
/** What dockerode rejects with where a daemon answered. */
const refusal = (statusCode: number, message = 'no') => Object.assign(new Error(message), { statusCode });
const reset = () => Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });

describe('a call to the daemon', () => {
  test('that answers gives its answer, and what the daemon refuses stays its refusal', async () => {
    assert.equal(await ask('count', Promise.resolve(3)), 3);
    const no = refusal(409);
    await assert.rejects(ask('count', Promise.reject(no)), no);
  });

  test('that is not answered says what was asked', async () => {
    await assert.rejects(ask('count', never(), { seconds: 0.01 }), {
      code: 'docker-unavailable',
      message: /did not count within 0\.01 s/,
    });
  });

  test('whose connection breaks names the daemon', async () => {
    await assert.rejects(ask('count', Promise.reject(reset())), {
      code: 'docker-unavailable',
      message: /went away when it was to count: socket hang up/,
    });
  });

  test('is not waited for once the run is cancelled, but for a moment', async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const asked = ask('count', never(), { signal, grace: 0.01 });
    const reason = cancelled();
    abort.abort(reason);
    await assert.rejects(asked, reason);
    // Cleaning up after it is given as long.
    await assert.rejects(ask('remove', never(), { signal, grace: 0.01 }), {
      code: 'docker-unavailable',
      message: /did not remove within 0\.01 s/,
    });
    assert.equal(await ask('remove', Promise.resolve('gone'), { signal }), 'gone');
  });
});

type Pull = () => Readable | Error;

/** A daemon that answers one pull after another so. */
function registry(pulls: readonly Pull[], ping: () => Promise<unknown> = async () => 'OK') {
  const docker = new Docker({ socketPath: '/nowhere' });
  const left = [...pulls];
  mock.method(docker, 'pull', async () => {
    const answer = left.shift()?.();
    if (answer === undefined || answer instanceof Error) throw answer ?? new Error('pulled too often');
    return answer;
  });
  mock.method(docker, 'ping', ping);
  return { docker, left };
}

const says = (line: object) => () => Readable.from([Buffer.from(`${JSON.stringify(line)}\n`)]);
const done = says({ status: 'Download complete', id: 'a' });

/** Pulls with hardly a pause between. */
async function pulled(docker: Docker, more: Partial<PullContext> = {}): Promise<readonly string[]> {
  const lines: string[] = [];
  const context = {
    environment: { HOME: '/nowhere' },
    signal: new AbortController().signal,
    log: (line: string) => lines.push(line),
    onProgress: () => {},
    inactivitySeconds: 600,
    ...more,
  };
  await pull(docker, 'r.example/i@sha256:0', 'r.example', context, [0.001, 0.002, 0.003]);
  return lines;
}

describe('a pull', () => {
  for (const [what, first] of [
    ['too many requests', says({ error: 'toomanyrequests: You have reached your rate limit' })],
    ['a 503 of the registry', says({ error: 'received unexpected HTTP status: 503 Service Unavailable' })],
    ['a reset on the way', says({ error: 'read tcp: connection reset by peer' })],
    ['a broken connection to the daemon', () => reset()],
  ] as const)
    test(`is tried again after ${what}, and says so`, async () => {
      const { docker, left } = registry([first, done]);
      const [line, ...more] = await pulled(docker);
      assert.match(line ?? '', /tried again in 0\.001 s/);
      assert.deepEqual([more, left], [[], []]);
    });

  test('is given up after the fourth time', async () => {
    const { docker, left } = registry(Array(5).fill(says({ error: 'toomanyrequests: no' })));
    await assert.rejects(pulled(docker), { code: 'image-pull-failed', message: /toomanyrequests/ });
    assert.equal(left.length, 1);
  });

  test('is not tried again where the registry knows better', async () => {
    const { docker } = registry([says({ error: 'manifest unknown' }), done]);
    await assert.rejects(pulled(docker), { code: 'image-pull-failed', message: /manifest unknown/ });
  });

  test('of a daemon that went away blames the daemon', async () => {
    const gone = async () => {
      throw Object.assign(new Error('connect ENOENT'), { code: 'ENOENT' });
    };
    const { docker } = registry([() => reset(), () => Object.assign(new Error('connect ENOENT'), {})], gone);
    await assert.rejects(pulled(docker), { code: 'docker-unavailable', message: /ENOENT/ });
  });

  test('that says the same again and again stands still', async () => {
    const same = `${JSON.stringify({ status: 'Downloading', id: 'a', progressDetail: { current: 1, total: 9 } })}\n`;
    async function* repeat() {
      for (;;) {
        await new Promise((resolve) => setImmediate(resolve));
        yield Buffer.from(same);
      }
    }
    const { docker } = registry([() => Readable.from(repeat())]);
    await assert.rejects(pulled(docker, { inactivitySeconds: 0.05 }), {
      code: 'image-pull-failed',
      message: /no progress for 0\.05 s/,
    });
  });
});

type State = Partial<Docker.ContainerInspectInfo['State']>;

function container(wait: () => Promise<unknown>, inspect: () => Promise<{ State: State }>): Docker.Container {
  const one = new Docker({ socketPath: '/nowhere' }).getContainer('c');
  mock.method(one, 'wait', wait);
  mock.method(one, 'inspect', inspect);
  return one;
}

const RUNNING = { Running: true, Status: 'running' };

describe('how a container ended', () => {
  test('is what the daemon says that waited for it', async () => {
    const one = container(
      async () => ({ StatusCode: 3 }),
      async () => ({ State: { ...RUNNING, OOMKilled: true } }),
    );
    assert.deepEqual(await new Watcher(one, never()).end(), { kind: 'ended', code: 3, outOfMemory: true });
  });

  test('is looked up where nobody says it, once the streams have ended', async () => {
    const states: State[] = [RUNNING, { Running: false, Status: 'exited', ExitCode: 75, OOMKilled: false }];
    const one = container(never, async () => ({ State: states.shift() ?? {} }));
    const end = await new Watcher(one, Promise.resolve()).end();
    assert.deepEqual(end, { kind: 'ended', code: 75, outOfMemory: false });
  });

  test('is not known where the daemon is gone', async () => {
    const one = container(never, () => Promise.reject(reset()));
    const end = await new Watcher(one, Promise.resolve()).end();
    assert.equal(end.kind, 'lost');
    assert.match(end.how, /went away when it was to look at the container: socket hang up/);
  });

  test('is not known where the daemon hangs, though the streams stay open', async () => {
    const quick = { pause: 0.001, look: 0.01 };
    const end = await new Watcher(container(never, never), never(), quick).end();
    assert.equal(end.kind, 'lost');
    assert.match(end.how, /did not look at the container within 0\.01 s/);
  });

  test('has no code where another runner took it away', async () => {
    const one = container(
      () => Promise.reject(refusal(404)),
      () => Promise.reject(refusal(404)),
    );
    const end = await new Watcher(one, Promise.resolve()).end();
    assert.deepEqual(end, { kind: 'ended', code: null, outOfMemory: false });
  });
});

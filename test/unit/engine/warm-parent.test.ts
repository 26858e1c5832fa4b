import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import { KeptEngine } from '../../../src/engine/kept.ts';
import type { Exit, Peer } from '../../../src/engine/runtime.ts';
import { Session, type SessionOptions } from '../../../src/engine/session.ts';
import { WarmParent } from '../../../src/engine/warm-parent.ts';
import { healthReading } from '../support/health.ts';
import { rejectedBy } from '../support/suites.ts';

/* What a process says that forks lifetimes, played by the test; the real one is in test/harness/test_warm.py. */

class FakeParent {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly #exit = Promise.withResolvers<Exit>();
  readonly printed: string[] = [];
  stopped = 0;
  #seq = 0;
  #nonce = '';

  readonly #peer: Peer = {
    stdin: this.stdin,
    stdout: this.stdout,
    stderr: this.stderr,
    exit: this.#exit.promise,
    [Symbol.asyncDispose]: async () => {
      this.stopped += 1;
      this.dies({ code: null, signal: 'SIGKILL' });
    },
  };

  options(more: Partial<SessionOptions> = {}): SessionOptions {
    return {
      harness: { boot: 'boot', files: {} },
      start: async () => this.#peer,
      inactivitySeconds: 30,
      deadlineSeconds: 30,
      signal: new AbortController().signal,
      onOutput: (line) => this.printed.push(line),
      onProgress: () => {},
      placeOf: () => ({ file: 'suite.yml', line: 1, column: 1 }),
      enginePlace: { file: 'suite.yml', line: 4, column: 1 },
      ...more,
    };
  }

  async open(more: Partial<SessionOptions> = {}): Promise<WarmParent> {
    const parent = await WarmParent.open(
      this.options(more),
      { engine: 'vllm', model: '/model', knownDigests: {} },
      {},
      60,
    );
    const start = await this.said();
    this.#nonce = /"nonce":"(\w+)"/.exec(start)?.[1] ?? '';
    assert.match(start, /"warm":true/);
    return parent;
  }

  says(event: object): void {
    this.stdout.write(`${JSON.stringify({ nonce: this.#nonce, seq: this.#seq, ...event })}\n`);
    this.#seq += 1;
  }

  ready(unfit: string | null = null, imported?: readonly string[]): void {
    if (this.#seq === 0) this.says({ event: 'hello', protocol: 2, pid: 7, python: '3.11.2' });
    this.says({ event: 'ready', seconds: 1, unfit, ...(imported && { imported }) });
  }

  /** What was written to it and not yet looked at. */
  async said(): Promise<string> {
    for (;;) {
      const chunk: unknown = this.stdin.read();
      if (chunk !== null) return String(chunk);
      await once(this.stdin, 'readable');
    }
  }

  /** Greets as the fork that was asked for, and gives a way to speak for it. */
  async forked(): Promise<(event: object) => void> {
    const command = JSON.parse(await this.said()) as {
      command: string;
      nonce: string;
      deadlineSeconds: number;
    };
    assert.deepEqual([command.command, command.deadlineSeconds], ['fork', 30]);
    let seq = 0;
    const says = (event: object) => {
      this.stdout.write(`${JSON.stringify({ nonce: command.nonce, seq, ...event })}\n`);
      seq += 1;
    };
    says({ event: 'hello', protocol: 2, pid: 8, python: '3.11.2' });
    return says;
  }

  dies(exit: Pick<Exit, 'code' | 'signal'>): void {
    this.stdout.end();
    this.stderr.end();
    this.#exit.resolve({ ...exit, outOfMemory: false });
  }
}

async function lifetime(fake: FakeParent, parent: WarmParent) {
  const opening = Session.fork(fake.options(), parent);
  const says = await fake.forked();
  const session = await opening;
  if (typeof session === 'string') assert.fail(session);
  return { session, says };
}

describe('a process that has imported the engine', () => {
  test('gives one lifetime after another, and outlives them', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open();
    fake.ready();
    for (let i = 0; i < 2; i++) {
      const { session, says } = await lifetime(fake, parent);
      const ending = session.end();
      assert.match(await fake.said(), /"end"/);
      fake.stderr.write('the fork printed\n');
      says({ event: 'done', health: healthReading('after') });
      await ending;
      fake.ready();
      await session[Symbol.asyncDispose]();
      assert.equal(fake.stopped, 0);
    }
    await parent[Symbol.asyncDispose]();
    assert.equal(fake.stopped, 1);
  });

  test('is stopped with a lifetime that is given up', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open();
    fake.ready();
    const { session } = await lifetime(fake, parent);
    await session[Symbol.asyncDispose]();
    assert.equal(fake.stopped, 1);
  });

  test('says why no fork of it counts', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open();
    fake.ready('its import initialised CUDA');
    assert.equal(await Session.fork(fake.options(), parent), 'its import initialised CUDA');
  });

  test('that dies beneath a lifetime is that lifetime’s death, with its last words', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open();
    fake.ready();
    const { session } = await lifetime(fake, parent);
    await using _ = session;
    const waiting = rejectedBy(session.expect('fingerprint'));
    fake.stderr.write('Illegal instruction\n');
    fake.dies({ code: null, signal: 'SIGILL' });
    const error = await waiting;
    assert.equal(error.code, 'engine-died');
    assert.match(error.message, /SIGILL/);
  });

  test('that dies before it is ready is told by name, with its last words', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open();
    fake.says({ event: 'hello', protocol: 2, pid: 7, python: '3.11.2' });
    fake.stdout.write('a library printed this\n');
    fake.dies({ code: null, signal: 'SIGKILL' });
    const error = await rejectedBy(parent.fork('n'));
    assert.equal(error.code, 'engine-died');
    assert.match(
      error.message,
      /process that had imported the engine has ended: .*SIGKILL[\s\S]*a library printed this/,
    );
  });

  test('that is never ready is given up after a while, and a cancelled run does not wait', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open({ inactivitySeconds: 0.05 });
    assert.equal((await rejectedBy(parent.fork('n'))).code, 'engine-hung');
    const other = new FakeParent();
    const abort = new AbortController();
    await using cut = await other.open({ signal: abort.signal });
    const waiting = rejectedBy(cut.fork('n'));
    abort.abort();
    assert.equal((await waiting).code, 'cancelled');
  });

  test('that breaks the protocol is believed nothing', async () => {
    const fake = new FakeParent();
    await using parent = await fake.open();
    fake.says({ event: 'hello', protocol: 2, pid: 7, python: '3.11.2' });
    fake.says({ event: 'ready', seconds: 'soon', unfit: null });
    assert.equal((await rejectedBy(parent.fork('n'))).code, 'protocol-violation');
  });
});

describe('a process that is kept from run to run', () => {
  const OF = { engine: 'vllm', model: 'm' };

  test('stays until something that it was made of, or a source that it has imported, is another', async () => {
    const fake = new FakeParent();
    await using kept = new KeptEngine(['/kernel.py', '/plugin']);
    const parent = await kept.parent(OF, () => fake.open());
    fake.ready(null, ['/kernel.py']);
    assert.equal(typeof (await parent.fork('n')), 'object');
    fake.ready(null, ['/kernel.py']);
    // Its own words go to whoever has it now.
    const heard = Promise.withResolvers<string>();
    parent.adopt(fake.options({ onOutput: heard.resolve }));
    fake.stderr.write('a word\n');
    assert.equal(await heard.promise, 'a word');

    assert.equal(await kept.parent(OF, () => assert.fail('one is there')), parent);
    await kept.begin(['/plugin']);
    assert.deepEqual([await kept.hasParent(OF), fake.stopped], [true, 0]);
    assert.equal(await kept.hasParent({ ...OF, model: 'other' }), false);
    await kept.begin(['/kernel.py']);
    assert.deepEqual([await kept.hasParent(OF), fake.stopped], [false, 1]);
  });

  test('is stopped where it has not said what it imported, where it died, and with all else in the end', async () => {
    const [silent, dying, last] = [new FakeParent(), new FakeParent(), new FakeParent()];
    {
      await using kept = new KeptEngine(['/kernel.py']);
      await kept.parent(OF, () => silent.open());
      await kept.begin(['/kernel.py']);
      assert.equal(silent.stopped, 1);

      await kept.parent(OF, () => dying.open());
      dying.dies({ code: 1, signal: null });
      await once(dying.stdout, 'close');
      assert.equal(await kept.hasParent(OF), false);
      await kept.parent(OF, () => last.open());
      assert.equal(last.stopped, 0);
    }
    assert.equal(last.stopped, 1);
  });
});

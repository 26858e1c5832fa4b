import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, test } from 'node:test';
import type { Start, Task } from '../../../src/engine/protocol.ts';
import type { Exit, Peer } from '../../../src/engine/runtime.ts';
import { Session, type SessionOptions } from '../../../src/engine/session.ts';
import { cancelled } from '../../../src/errors.ts';
import { healthReading } from '../support/health.ts';
import { rejectedBy } from '../support/suites.ts';

/*
 * Only what a real harness never does, or not on demand: breaking the protocol, dying at a given moment. The
 * protocol itself is tested with the real one, in test/contract.
 */

const HEALTH = healthReading('after');

const TASK: Task = { engine: 'vllm', model: '/model', knownDigests: {} };

/** The other end of a session, played by the test. */
class FakePeer {
  readonly stdin = new PassThrough();
  readonly stdout = new PassThrough();
  readonly stderr = new PassThrough();
  readonly #exit = Promise.withResolvers<Exit>();
  readonly printed: string[] = [];
  readonly progress: number[] = [];
  stopped = 0;
  #seq = 0;
  #nonce = '';

  readonly peer: Peer = {
    stdin: this.stdin,
    stdout: this.stdout,
    stderr: this.stderr,
    exit: this.#exit.promise,
    [Symbol.asyncDispose]: async () => {
      this.stopped += 1;
      this.exit({ code: null, signal: 'SIGKILL' });
    },
  };

  options(more: Partial<SessionOptions> = {}): SessionOptions {
    return {
      harness: { boot: 'boot', files: { 'main.py': 'pass' } },
      start: async () => this.peer,
      inactivitySeconds: 30,
      deadlineSeconds: 30,
      signal: new AbortController().signal,
      onOutput: (line) => this.printed.push(line),
      onProgress: ({ done }) => this.progress.push(done),
      placeOf: (prompt) => ({ file: 'suite.yml', line: prompt.length, column: 5 }),
      enginePlace: { file: 'suite.yml', line: 4, column: 1 },
      ...more,
    };
  }

  /** A session that has been greeted. */
  async open(more: Partial<SessionOptions> = {}): Promise<Session> {
    const session = Session.open(this.options(more), TASK, { PYTHONHASHSEED: '0' });
    await this.started();
    this.emit({ event: 'hello', protocol: 2, pid: 7, python: '3.11.2' });
    return session;
  }

  /** Reads the frame that starts a harness: a length, a line feed and as many bytes of JSON. */
  async started(): Promise<Start> {
    let text = '';
    while (!text.includes('\n') || text.length < text.indexOf('\n') + 1 + Number.parseInt(text, 10)) {
      const chunk: unknown = this.stdin.read();
      if (chunk === null) await once(this.stdin, 'readable');
      else text += String(chunk);
    }
    const start = JSON.parse(text.slice(text.indexOf('\n') + 1)) as Start;
    this.#nonce = start.nonce;
    return start;
  }

  emit(event: object): void {
    this.line({ nonce: this.#nonce, seq: this.#seq, ...event });
    this.#seq += 1;
  }

  line(value: object | string): void {
    this.stdout.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
  }

  get nonce(): string {
    return this.#nonce;
  }

  exit(exit: Partial<Exit>): void {
    this.#exit.resolve({ code: 0, signal: null, outOfMemory: false, ...exit });
    this.stdout.end();
    this.stderr.end();
  }
}

const PROGRESS = { event: 'progress', what: 'load', done: 1, total: 2, tokens: 0 };

test('the first line tells the harness all that it needs, and the program comes apart', async () => {
  const fake = new FakePeer();
  let program = '';
  const opening = Session.open(
    fake.options({
      start: async (boot) => {
        program = boot;
        return fake.peer;
      },
    }),
    TASK,
    { A: 'b' },
  );
  const start = await fake.started();
  assert.equal(program, 'boot');
  assert.match(start.nonce, /^[0-9a-f]{32}$/);
  assert.deepEqual(
    { ...start, nonce: '' },
    {
      protocol: 2,
      nonce: '',
      files: { 'main.py': 'pass' },
      environment: { A: 'b' },
      task: TASK,
      deadlineSeconds: 30,
    },
  );
  fake.emit({ event: 'hello', protocol: 2, pid: 7, python: '3.11' });
  await using _session = await opening;
});

test('progress is handed on while something else is awaited', async () => {
  const fake = new FakePeer();
  await using session = await fake.open();
  for (const done of [1, 2]) fake.emit({ ...PROGRESS, done });
  fake.emit({ event: 'done', health: HEALTH });
  await session.expect('done');
  assert.deepEqual(fake.progress, [1, 2]);
});

test('after `end` the peer is left to end by itself, then stopped, once', async () => {
  const fake = new FakePeer();
  const session = await fake.open();
  const ended = session.end();
  fake.emit({ event: 'done', health: HEALTH });
  await ended;
  assert.equal(String(fake.stdin.read()), '{"command":"end"}\n');
  fake.exit({});
  await session[Symbol.asyncDispose]();
  await session[Symbol.asyncDispose]();
  assert.equal(fake.stopped, 1);
});

describe('what is no event is only printed:', () => {
  const cases: Readonly<Record<string, (nonce: string) => object | string>> = {
    'an event without a nonce': () => ({ seq: 1, event: 'done', health: HEALTH }),
    'an event with another nonce': () => ({ nonce: 'f'.repeat(32), seq: 1, event: 'done', health: HEALTH }),
    'a nonce in a nested place': (nonce) => ({ body: { nonce, seq: 1, event: 'done', health: HEALTH } }),
    'a nonce in a list': (nonce) => `[{"nonce":"${nonce}","seq":1,"event":"done","health":null}]`,
    'text before an event': (nonce) => `INFO {"nonce":"${nonce}","seq":1,"event":"done","health":null}`,
    'text after an event': (nonce) => `{"nonce":"${nonce}","seq":1,"event":"done","health":null} INFO`,
    'a workflow command': () => '::error::x',
    'half of an object': () => '{"nonce":',
    'a number': () => '7',
    'bytes that are no UTF-8': () => '\u0000\ufffd',
  };
  for (const [name, line] of Object.entries(cases))
    test(name, async () => {
      const fake = new FakePeer();
      await using session = await fake.open();
      const noise = line(fake.nonce);
      fake.line(noise);
      fake.emit(PROGRESS);
      fake.emit({ event: 'done', health: HEALTH });
      await session.expect('done');
      assert.deepEqual(fake.progress, [1]);
      assert.deepEqual(fake.printed, [typeof noise === 'string' ? noise : JSON.stringify(noise)]);
    });

  test('empty lines are not even that', async () => {
    const fake = new FakePeer();
    await using session = await fake.open();
    fake.line('');
    fake.emit({ event: 'done', health: HEALTH });
    await session.expect('done');
    assert.deepEqual(fake.printed, []);
  });

  test('an event in pieces is an event', async () => {
    const fake = new FakePeer();
    await using session = await fake.open();
    for (const character of `${JSON.stringify({ nonce: fake.nonce, seq: 1, event: 'done', health: HEALTH })}\n`)
      fake.stdout.write(character);
    await session.expect('done');
  });
});

describe('breaking the protocol ends the lifetime:', () => {
  const cases: Readonly<Record<string, readonly [(fake: FakePeer) => void, RegExp]>> = {
    'an event was lost': [
      (fake) => fake.line({ nonce: fake.nonce, seq: 2, event: 'done', health: HEALTH }),
      /event 2 came where 1 was due/,
    ],
    'an event comes twice': [
      (fake) => fake.line({ nonce: fake.nonce, seq: 0, event: 'done', health: HEALTH }),
      /event 0 came where 1 was due/,
    ],
    'a number is text': [
      (fake) => fake.line({ nonce: fake.nonce, seq: '1', event: 'done', health: HEALTH }),
      /event "1" came where 1 was due/,
    ],
    'a number is what no text can be made of': [
      (fake) => fake.line({ nonce: fake.nonce, seq: { toString: 1 }, event: 'done', health: HEALTH }),
      /event \{"toString":1\} came where 1 was due/,
    ],
    'a value is nested without end': [
      (fake) => {
        const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
        const settings = `{"requested":{"a":${deep}},"dropped":[],"effective":{}}`;
        fake.line(
          `{"nonce":"${fake.nonce}","seq":1,"event":"lifetime","seconds":1,"perturbed":null,"settings":${settings}}`,
        );
      },
      /event 1 is nested deeper than \d+ levels/,
    ],
    'a field is missing': [
      (fake) => fake.emit({ ...PROGRESS, done: undefined }),
      /event 1 is malformed: done: /,
    ],
    'a field is too much': [
      (fake) => fake.emit({ event: 'done', health: HEALTH, extra: 1 }),
      /event 1 is malformed: .*extra/,
    ],
    'an event is not known': [(fake) => fake.emit({ event: 'surprise' }), /event 1 is malformed: event/],
    'an event is not due': [
      (fake) =>
        fake.emit({
          event: 'pass',
          pass: 'p',
          seconds: 1,
          unavailable: null,
          witness: WITNESS,
          sampling: {},
        }),
      /`pass` came where `done` was due/,
    ],
    'a second greeting': [
      (fake) => fake.emit({ event: 'hello', protocol: 2, pid: 7, python: '3' }),
      /`hello` came where `done` was due/,
    ],
    'bits that are no base64': [
      (fake) =>
        fake.emit({
          ...OBSERVATION,
          channels: [{ name: 'tokens', kind: 'ids', data: 'not base64!' }],
        }),
      /event 1 is malformed: channels\.0\.data: /,
    ],
    'an observation when none is due': [
      (fake) => fake.emit(OBSERVATION),
      /`observation` came where `done` was due/,
    ],
    'the harness says so itself': [
      (fake) => fake.emit({ event: 'error', code: 'protocol-violation', message: 'command out of order' }),
      /broke its protocol: command out of order/,
    ],
  };
  for (const [name, [act, message]] of Object.entries(cases))
    test(name, async () => {
      const fake = new FakePeer();
      await using session = await fake.open();
      act(fake);
      const error = await rejectedBy(session.expect('done'));
      assert.equal(error.code, 'protocol-violation');
      assert.match(error.message, message);
    });

  test('another protocol in the greeting, and the peer is stopped', async () => {
    const fake = new FakePeer();
    const opening = Session.open(fake.options(), TASK, {});
    await fake.started();
    fake.emit({ event: 'hello', protocol: 1, pid: 7, python: '3' });
    assert.match((await rejectedBy(opening)).message, /event 0 is malformed: protocol/);
    assert.equal(fake.stopped, 1);
  });
});

describe('a peer that dies:', () => {
  const dying = async (exit: Partial<Exit>, log: readonly string[] = []) => {
    const fake = new FakePeer();
    await using session = await fake.open();
    for (const line of log) fake.stderr.write(`${line}\n`);
    fake.exit(exit);
    return rejectedBy(session.expect('done'));
  };

  test('of an instruction that the CPU lacks', async () => {
    const error = await dying({ code: null, signal: 'SIGILL' });
    assert.equal(error.code, 'engine-died');
    assert.match(error.message, /The engine died of SIGILL \(exit code 132\) before it had answered\./);
    assert.match(error.hint, /ONEDNN_MAX_CPU_ISA/);
  });

  test('with an exit code, and its last lines are quoted', async () => {
    const error = await dying(
      { code: 3 },
      Array.from({ length: 50 }, (_, i) => `line ${i}`),
    );
    assert.equal(error.code, 'engine-died');
    assert.match(error.message, /with exit code 3 before it had answered\.\nIts last lines:\nline 20\n/);
    assert.match(error.message, /\nline 49$/);
    assert.doesNotMatch(error.message, /line 19\n/);
  });

  test('without an error is still an error', async () => {
    const error = await dying({ code: 0 });
    assert.equal(error.code, 'engine-died');
    assert.match(error.message, /with exit code 0 before it had answered/);
  });

  test('for want of memory', async () => {
    const error = await dying({ code: null, signal: 'SIGKILL', outOfMemory: true });
    assert.equal(error.code, 'engine-out-of-memory');
    assert.match(error.hint, /runtime\.memory/);
  });

  test('before it greets', async () => {
    const fake = new FakePeer();
    const opening = Session.open(fake.options(), TASK, {});
    await fake.started();
    fake.exit({ code: 1 });
    assert.equal((await rejectedBy(opening)).code, 'engine-died');
    assert.equal(fake.stopped, 1);
  });

  test('for want of a disk', async () => {
    const error = await dying({ code: 1 }, ['OSError: [Errno 28] No space left on device']);
    assert.equal(error.code, 'disk-full');
  });

  test('because there is no Python', async () => {
    const fake = new FakePeer();
    const opening = Session.open(fake.options(), TASK, {});
    await fake.started();
    fake.exit({ code: 127 });
    assert.equal((await rejectedBy(opening)).code, 'engine-missing');
    assert.equal((await dying({ code: 127 })).code, 'engine-died');
  });

  test('because there is no Python, as Podman’s init tells it', async () => {
    const fake = new FakePeer();
    const opening = Session.open(fake.options(), TASK, {});
    await fake.started();
    fake.stderr.write('ERROR (catatonit:2): failed to exec pid1: No such file or directory\n');
    fake.exit({ code: 1 });
    assert.equal((await rejectedBy(opening)).code, 'engine-missing');
  });

  test('after its events: they count', async () => {
    const fake = new FakePeer();
    await using session = await fake.open();
    fake.emit({ event: 'done', health: HEALTH });
    fake.exit({ code: 0 });
    await session.expect('done');
  });
});

describe('a peer that says nothing', () => {
  test('counts as hung after the time of inactivity', async () => {
    const fake = new FakePeer();
    await using session = await fake.open({ inactivitySeconds: 0.05 });
    fake.stderr.write('loading shard 1 of 2\n');
    const error = await rejectedBy(session.expect('done'));
    assert.equal(error.code, 'engine-hung');
    assert.match(
      error.message,
      /no sign of life for 0\.05 s; it was stopped\.\nIts last lines:\nloading shard 1 of 2$/,
    );
    assert.match(error.hint, /inactivity-minutes/);
  });

  test('counts as hung when it printed and never reported', async () => {
    const fake = new FakePeer();
    await using session = await fake.open({ inactivitySeconds: 0.1 });
    const chatter = setInterval(() => fake.line('still here'), 10);
    const error = await rejectedBy(session.expect('done')).finally(() => clearInterval(chatter));
    assert.equal(error.code, 'engine-hung');
  });

  test('and closed its output, but lives on', async () => {
    const fake = new FakePeer();
    await using session = await fake.open({ inactivitySeconds: 0.05 });
    fake.stdout.end();
    assert.equal((await rejectedBy(session.expect('done'))).code, 'engine-hung');
  });

  test('does not when progress keeps coming', async () => {
    const fake = new FakePeer();
    await using session = await fake.open({ inactivitySeconds: 0.2 });
    const work = setInterval(() => fake.emit(PROGRESS), 20);
    setTimeout(() => {
      clearInterval(work);
      fake.emit({ event: 'done', health: HEALTH });
    }, 500);
    await session.expect('done');
  });
});

describe('a peer that takes too long', () => {
  test('is over its deadline, progress or not', async () => {
    const fake = new FakePeer();
    await using session = await fake.open({ deadlineSeconds: 0.1 });
    const work = setInterval(() => fake.emit(PROGRESS), 10);
    const error = await rejectedBy(session.expect('done')).finally(() => clearInterval(work));
    assert.equal(error.code, 'deadline-exceeded');
    assert.match(error.message, /not done 0\.1 s after its start/);
    assert.match(error.hint, /timeout-minutes/);
  });
});

describe('a cancelled run', () => {
  test('starts nothing', async () => {
    const fake = new FakePeer();
    const signal = AbortSignal.abort(cancelled());
    let started = false;
    const start = async () => {
      started = true;
      return fake.peer;
    };
    assert.equal(
      (await rejectedBy(Session.open(fake.options({ signal, start }), TASK, {}))).code,
      'cancelled',
    );
    assert.equal(started, false);
  });

  test('stops waiting at once, and disposing stops the peer', async () => {
    const fake = new FakePeer();
    const abort = new AbortController();
    const session = await fake.open({ signal: abort.signal });
    const waiting = rejectedBy(session.expect('done'));
    abort.abort(cancelled());
    assert.equal((await waiting).code, 'cancelled');
    await session[Symbol.asyncDispose]();
    assert.equal(fake.stopped, 1);
  });
});

describe('an error that the harness reports', () => {
  for (const [code, hint, quotes] of [
    ['engine-missing', /`python` input/, false],
    ['engine-rejected', /engine\.args/, false],
    ['engine-failed', /the log above/, true],
    ['engine-out-of-memory', /gpu_memory_utilization/, true],
    ['model-missing', /model\.path/, false],
    ['model-unreadable', /chmod/, false],
    ['model-changed', /nothing write/, false],
    ['gpu-unavailable', /nvidia-smi/, false],
    ['deadline-exceeded', /timeout-minutes/, false],
    ['disk-full', /Free space/, false],
  ] as const)
    test(`${code} keeps its code and gets its remedy`, async () => {
      const fake = new FakePeer();
      await using session = await fake.open();
      fake.stderr.write('Traceback\n');
      await new Promise((resolve) => setImmediate(resolve));
      fake.emit({ event: 'error', code, message: 'what happened' });
      const error = await rejectedBy(session.expect('lifetime'));
      assert.equal(error.code, code);
      assert.equal(error.message, quotes ? 'what happened\nIts last lines:\nTraceback' : 'what happened');
      assert.match(error.hint, hint);
    });

  test('prompt-rejected tells each prompt with its line', async () => {
    const fake = new FakePeer();
    await using session = await fake.open();
    const prompts = [
      { id: 'sky', message: 'the model brings no chat template' },
      { id: 'story', message: 'it has 9000 tokens' },
    ];
    fake.emit({ event: 'error', code: 'prompt-rejected', message: '2 prompts cannot be asked', prompts });
    const error = await rejectedBy(session.expect('lifetime'));
    assert.equal(error.code, 'prompt-rejected');
    assert.equal(
      error.message,
      [
        '2 prompts cannot be asked:',
        'suite.yml:3:5  sky: the model brings no chat template',
        'suite.yml:5:5  story: it has 9000 tokens',
      ].join('\n'),
    );
    assert.deepEqual(
      error.places.map(({ line }) => line),
      [3, 5],
    );
  });
});

const WITNESS = {
  process: '1',
  steps: 1,
  generatedTokens: 1,
  promptTokens: 1,
  maxRunning: 1,
  cachedTokens: 0,
  preemptions: 0,
  requests: null,
};

const OBSERVATION = {
  event: 'observation',
  pass: 'generate-1',
  prompt: 'a',
  finishReason: 'length',
  channels: [{ name: 'tokens', kind: 'ids', data: 'AQAAAA==' }],
};

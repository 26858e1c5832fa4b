import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { bytes, ProgressLine } from '../../../src/run/progress.ts';

interface State {
  /** Seconds since the first one. */
  readonly at: number;
  readonly what?: string;
  readonly done: number;
  readonly total?: number;
  readonly tokens?: number;
}

/** What is shown after the last of these. */
function shown(...states: readonly State[]): string {
  let time = 0;
  const line = new ProgressLine(() => time);
  return states.reduce((_, { at, what = 'generate-1', total = 4, done, tokens = 0 }) => {
    time = at * 1000;
    return line.next({ nonce: '', seq: 0, event: 'progress', what, done, total, tokens });
  }, '');
}

describe('progress of a pass', () => {
  test('has its speed and what is left', () => {
    assert.equal(
      shown({ at: 0, done: 0, tokens: 1 }, { at: 4, done: 2, tokens: 121 }),
      'generate-1: 2 of 4 prompts, 121 tokens, 30 tokens/s, about 4 s left',
    );
  });

  test('guesses neither in the first moments', () => {
    assert.equal(shown({ at: 0, done: 0, tokens: 1 }), 'generate-1: 0 of 4 prompts, 1 token');
    assert.equal(
      shown({ at: 0, done: 0, tokens: 1 }, { at: 0.9, done: 1, tokens: 9 }),
      'generate-1: 1 of 4 prompts, 9 tokens',
    );
  });

  test('has no time left before a prompt is done, and none at the end', () => {
    assert.equal(
      shown({ at: 0, done: 0, tokens: 0 }, { at: 5, done: 0, tokens: 50 }),
      'generate-1: 0 of 4 prompts, 50 tokens, 10 tokens/s',
    );
    assert.equal(
      shown({ at: 0, done: 0, total: 1 }, { at: 5, done: 1, total: 1 }),
      'generate-1: 1 of 1 prompt',
    );
  });

  test('begins anew with another pass, and with the same one of the next engine start', () => {
    const first = [
      { at: 0, done: 0 },
      { at: 100, done: 4, tokens: 100 },
    ];
    for (const what of ['generate-1', 'force-1'])
      assert.equal(
        shown(...first, { at: 100, what, done: 0, tokens: 0 }, { at: 102, what, done: 1, tokens: 20 }),
        `${what}: 1 of 4 prompts, 20 tokens, 10 tokens/s, about 6 s left`,
      );
  });
});

describe('progress of bytes', () => {
  const GiB = 2 ** 30;

  test('has its speed and what is left', () => {
    assert.equal(
      shown(
        { at: 0, what: 'hash', done: 0, total: 4 * GiB },
        { at: 2, what: 'hash', done: GiB, total: 4 * GiB },
      ),
      'hash: 1.0 GiB of 4.0 GiB, 512.0 MiB/s, about 6 s left',
    );
  });

  test('does not count what was there already', () => {
    assert.equal(
      shown(
        { at: 0, what: 'fetch', done: 3 * GiB, total: 8 * GiB },
        { at: 2, what: 'fetch', done: 4 * GiB, total: 8 * GiB },
      ),
      'fetch: 4.0 GiB of 8.0 GiB, 512.0 MiB/s, about 8 s left',
    );
  });

  test('knows no end where no total is known', () => {
    let time = 0;
    const line = new ProgressLine(() => time);
    assert.equal(line.bytes('pull', 0, 0), 'pull: 0 B');
    time = 2000;
    assert.equal(line.bytes('pull', GiB, 0), 'pull: 1.0 GiB, 512.0 MiB/s');
  });

  test('tells long times in minutes and hours', () => {
    const left = (seconds: number) =>
      / about (.*) left$/.exec(
        shown(
          { at: 0, what: 'fetch', done: 0, total: 1 + seconds },
          { at: 1, what: 'fetch', done: 1, total: 1 + seconds },
        ),
      )?.[1];
    assert.deepEqual([1, 90, 91, 5340, 5341, 7500].map(left), [
      '1 s',
      '90 s',
      '2 min',
      '89 min',
      '1 h 30 min',
      '2 h 5 min',
    ]);
  });
});

test('progress of loading has its time', () => {
  const load = { what: 'load', done: 0, total: 0 };
  assert.equal(shown({ at: 0, ...load }, { at: 65, ...load }), 'load: 65 s');
});

test('bytes are counted in units', () => {
  assert.deepEqual([0, 1, 1023, 1024, 1536, 2 ** 40, 2 ** 60].map(bytes), [
    '0 B',
    '1 B',
    '1023 B',
    '1.0 KiB',
    '1.5 KiB',
    '1.0 TiB',
    '1048576.0 TiB',
  ]);
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { actionsConsole, type Console, terminalConsole } from '../../../src/report/console.ts';
import { bytes, ProgressLine } from '../../../src/report/progress.ts';

/** What a console wrote, and a clock that only the test moves. */
function recorded(make: (options: { write: (text: string) => void; now: () => number }) => Console) {
  let text = '';
  let time = 0;
  const console = make({
    write: (part) => {
      text += part;
    },
    now: () => time,
  });
  return {
    console,
    written: () => text,
    pass: (ms: number) => {
      time += ms;
    },
  };
}

describe('the log of a job', () => {
  test('shows nothing that acts, whatever it is told', async () => {
    const { console, written } = recorded(actionsConsole);
    console.info('::error::x\n  ::add-mask::y\rz ##[group]');
    await console.section('::warning::', async () => {});
    for (const line of written().split('\n'))
      assert.ok(/^(::group::|::endgroup::$)/.test(line) || !/^\s*::|##\[/.test(line), line);
    assert.match(written(), /^::group::\\::warning::$/m);
  });

  test('folds a section and tells how long it took, also when it failed', async () => {
    const { console, written, pass } = recorded(actionsConsole);
    const failing = console.section('Work', async () => {
      console.info('inside');
      pass(1500);
      throw new Error('no');
    });
    await assert.rejects(failing, /no/);
    assert.equal(written(), '::group::Work\ninside\n::endgroup::\nWork: 1.5 s\n');
  });

  test('has a line of progress every ten seconds, and at once for something new', () => {
    const { console, written, pass } = recorded(actionsConsole);
    for (let i = 0; i < 25; i++) {
      console.progress('a', `a ${i}`);
      pass(1000);
    }
    console.progress('b', 'b 0');
    assert.equal(written(), 'a 0\na 10\na 20\nb 0\n');
  });
});

describe('a terminal', () => {
  test('overwrites progress, and clears it before a line', () => {
    const { console, written } = recorded((options) => terminalConsole({ ...options, tty: true }));
    console.progress('a', 'half\u001b[2J');
    console.progress('a', 'done');
    console.info('next');
    assert.equal(written(), 'half\\u{1b}[2J\r\u001b[Kdone\r\u001b[Knext\n');
  });

  test('has no progress where nobody looks', () => {
    const { console, written } = recorded((options) => terminalConsole({ ...options, tty: false }));
    console.progress('a', 'half');
    assert.equal(written(), '');
  });
});

describe('progress', () => {
  const line = (event: { what: string; done: number; total: number; tokens?: number }, after: number) => {
    let time = 0;
    const lines = new ProgressLine(() => time);
    const of = (done: number) =>
      lines.next({ nonce: '', seq: 0, event: 'progress', tokens: 0, ...event, done });
    of(0);
    time = after;
    return of(event.done);
  };
  test('of a pass has its speed', () => {
    assert.equal(
      line({ what: 'generate-1', done: 2, total: 4, tokens: 120 }, 4000),
      'generate-1: 2 of 4 prompts, 120 tokens, 30 tokens/s',
    );
  });
  test('of bytes has what is left', () => {
    assert.equal(
      line({ what: 'hash', done: 2 ** 30, total: 4 * 2 ** 30 }, 2000),
      'hash: 1.0 GiB of 4.0 GiB, about 6 s left',
    );
  });
  test('of loading has its time', () => {
    assert.equal(line({ what: 'load', done: 0, total: 0 }, 65_000), 'load: 65 s');
  });
  test('counts bytes in units', () => {
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
});

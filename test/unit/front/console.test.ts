import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { styleText } from 'node:util';
import {
  actionsConsole,
  COLOURS,
  type ConsoleOptions,
  type Paint,
  terminalConsole,
} from '../../../src/front/console.ts';
import type { Console } from '../../../src/job/console.ts';
import { HOSTILE } from '../support/hostile.ts';

/** What a console wrote, and a clock that only the test moves. */
function recorded<C extends Console>(make: (options: ConsoleOptions) => C) {
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

  test('has sixty lines of progress a minute at most, whatever is new about them', () => {
    const { console, written, pass } = recorded(actionsConsole);
    for (let minute = 0; minute < 3; minute++) {
      for (let i = 0; i < 10_000; i++) console.progress(`${i}`, `${minute}: ${i}`);
      pass(60_000);
    }
    const lines = written().trimEnd().split('\n');
    assert.equal(lines.length, 180);
    assert.equal(lines[60], '1: 0');
  });
});

const CLEAR = '\r\u001b[K';
/** Colours as a terminal has them, whatever this process writes to. */
const paint: Paint = (colour, text) => styleText(colour, text, { validateStream: false });

describe('a terminal', () => {
  const tty = (columns?: number) =>
    recorded((options) => terminalConsole({ ...options, tty: true, paint, columns: () => columns }));

  test('overwrites progress, and clears it before a line', () => {
    const { console, written, pass } = tty();
    console.progress('a', 'half\u001b[2J');
    pass(100);
    console.progress('a', 'done');
    console.info('next');
    assert.equal(written(), `half\\u{1b}[2J${CLEAR}done${CLEAR}next\n`);
  });

  test('shows something new at once, and the same thing ten times a second', () => {
    const { console, written, pass } = tty();
    for (let i = 0; i < 5; i++) {
      console.progress('a', `a ${i}`);
      pass(50);
    }
    console.progress('b', 'b');
    assert.equal(written(), `a 0${CLEAR}a 2${CLEAR}a 4${CLEAR}b`);
  });

  test('takes the live line away at the end', () => {
    const { console, written } = tty();
    {
      using kept = console;
      kept.progress('a', 'a');
    }
    assert.equal(written(), `a${CLEAR}`);
  });

  test('has no progress where nobody looks', () => {
    const { console, written } = recorded((options) => terminalConsole({ ...options, tty: false }));
    console.progress('a', 'half', 0.5);
    assert.equal(written(), '');
  });

  test('has a bar where a share is known and there is room', () => {
    const shown = (share: number, columns: number) => {
      const { console, written } = tty(columns);
      console.progress('pull', 'pull: 1 of 4', share);
      return written();
    };
    assert.equal(shown(0.25, 80), '[█████░░░░░░░░░░░░░░░]  25 % pull: 1 of 4');
    assert.equal(shown(0.999, 80), '[███████████████████░]  99 % pull: 1 of 4');
    assert.equal(shown(1, 80), '[████████████████████] 100 % pull: 1 of 4');
    // More may come than was told.
    assert.equal(shown(7, 80), '[████████████████████] 100 % pull: 1 of 4');
    assert.equal(shown(Number.NaN, 80), 'pull: 1 of 4');
    assert.equal(shown(0.25, 60), 'pull: 1 of 4');
  });

  for (const [name, text] of Object.entries({ ...HOSTILE, wide: '世界🌍'.repeat(40), long: 'a'.repeat(500) }))
    test(`never wraps its live line: ${name}`, () => {
      for (const columns of [10, 40, 80, 0]) {
        const { console, written } = tty(columns);
        console.progress('a', `${text} ${text}`, 0.5);
        const width = [...written()].reduce(
          (sum, one) => sum + (/[\u2e80-\uffff]|\p{Emoji}(?<!\d)/u.test(one) && one > '\u2600' ? 2 : 1),
          0,
        );
        assert.ok(width < (columns || 80), `${width} of ${columns}: ${written()}`);
        assert.doesNotMatch(written(), /\p{Cc}/u);
      }
    });

  test('says that a live line was cut', () => {
    const { console, written } = tty(20);
    console.progress('a', 'x'.repeat(30));
    assert.equal(written(), `${'x'.repeat(18)}…`);
  });

  test('colours what it is told to, after all else was made harmless', () => {
    for (const text of Object.values(HOSTILE)) {
      const plain = tty();
      plain.console.info(text);
      const coloured = tty();
      coloured.console.info(text, COLOURS.fail);
      const bare = plain.written();
      assert.doesNotMatch(bare.replaceAll('\n', ''), /\p{Cc}/u);
      assert.equal(
        coloured.written(),
        bare.replaceAll(/(.*)\n/g, (_, line: string) => `\u001b[31m${line}\u001b[39m\n`),
      );
    }
  });

  test('shows a colour of somebody else’s, and ends its own behind it', () => {
    const { console, written } = tty();
    console.info('Drift\u001b[39m\u001b[32m Reproduced\u001b[0m', 'red');
    assert.equal(written(), '\u001b[31mDrift\\u{1b}[39m\\u{1b}[32m Reproduced\\u{1b}[0m\u001b[39m\n');
  });
});

test('a job’s log has neither bars nor colours', () => {
  const { console, written } = recorded(actionsConsole);
  console.progress('pull', 'pull: 1 of 4', 0.25);
  console.info('\u001b[31mred');
  assert.equal(written(), 'pull: 1 of 4\n\\u{1b}[31mred\n');
});

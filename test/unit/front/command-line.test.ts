import assert from 'node:assert/strict';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import { readCommandLine } from '../../../src/front/command-line.ts';

const watchedBy = (words: readonly string[], environment: Readonly<Record<string, string>> = {}) => {
  const read = readCommandLine(words, environment, 'harness');
  assert.ok(typeof read === 'object');
  return read.inputs.settings.named.watch;
};
const refused = (words: readonly string[], environment?: Readonly<Record<string, string>>) => {
  try {
    watchedBy(words, environment);
  } catch (error) {
    assert.ok(error instanceof UserError);
    assert.equal(error.code, 'input-invalid');
    return error.message;
  }
  return assert.fail('it was read');
};

test('a check is watched where it is asked for, with sources beside the suite; of other commands it is no flag', () => {
  assert.equal(watchedBy(['check']), undefined);
  assert.deepEqual(watchedBy(['check', '--watch']), { sources: [] });
  assert.deepEqual(watchedBy(['check', 's.yml', '--watch', '--watch-path', 'a.py', '--watch-path', '/b']), {
    sources: [resolve('a.py'), '/b'],
  });
  assert.match(refused(['check', '--watch-path', 'a.py']), /`--watch`.*is missing/);
  assert.match(refused(['refresh', '--watch']), /does not read --watch, which is of check/);
});

test('in a workflow nobody saves a file: there it is refused', () => {
  assert.match(refused(['check', '--watch'], { GITHUB_EVENT_NAME: 'push' }), /in a workflow nobody does/);
});

test('what is misspelt is told with what is near to it', () => {
  assert.equal(refused(['chekc']), '`chekc` is not a command: did you mean `check`?');
  assert.equal(refused(['check', '--sute', 'x']), '`--sute` is not a flag: did you mean `--suite`?');
  assert.equal(refused(['verify', '--frobnicate', 'x']), '`--frobnicate` is not a flag.');
  assert.match(refused(['check', '--timeout-minutes']), /argument missing/);
});

test('a flag with two values is refused: the last would win unseen', () => {
  assert.equal(
    refused(['check', '--gpu-devices', '0', '--gpu-devices=1']),
    '`--gpu-devices` is given twice, as `0` and as `1`.',
  );
  assert.equal(watchedBy(['check', '--gpu-devices', '0', '--gpu-devices', '0']), undefined);
});

test('help is shown however it is asked for', () => {
  for (const words of [['help'], ['-h'], ['check', '--help'], ['help', 'check']])
    assert.equal(readCommandLine(words, {}, 'harness'), 'help', words.join(' '));
});

test('a wrong value is corrected where it was given', () => {
  assert.throws(() => readCommandLine(['check', '--timeout-minutes', '0'], {}, 'harness'), {
    code: 'input-invalid',
    hint: /^Correct them on the command line/,
  });
  assert.match(refused(['compare', 's.yml', '--gpus', 'many']), /^`--gpus` is `many`/);
});

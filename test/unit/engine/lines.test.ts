import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { lines } from '../../../src/engine/lines.ts';

const split = async (chunks: readonly (string | Buffer)[], max = 100) => {
  const found: string[] = [];
  for await (const line of lines(Readable.from(chunks), max)) found.push(line.toString('utf8'));
  return found;
};

describe('lines', () => {
  for (const [name, chunks, expected] of [
    ['in one piece', ['a\nb\n'], ['a', 'b']],
    ['over several pieces', ['a', 'b\nc', '\n', 'd'], ['ab', 'c', 'd']],
    ['empty ones', ['\n\na\n'], ['', '', 'a']],
    ['of nothing', [], []],
    ['a character that two pieces share', [Buffer.from([0xc3]), Buffer.from([0xbc, 10])], ['ü']],
    ['a carriage return is part of its line', ['a\r\nb\rc\n'], ['a\r', 'b\rc']],
  ] as const)
    test(name, async () => assert.deepEqual(await split(chunks), expected));

  test('one that is too long is dropped, whole, and the next is not', async () => {
    assert.deepEqual(await split(['x'.repeat(101), '\nnext\n', `${'y'.repeat(100)}\n`]), [
      '',
      'next',
      'y'.repeat(100),
    ]);
    assert.deepEqual(await split(['x'.repeat(60), 'x'.repeat(60), '\nnext\n']), ['', 'next']);
  });
});

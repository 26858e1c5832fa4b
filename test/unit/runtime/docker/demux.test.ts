import assert from 'node:assert/strict';
import { PassThrough, Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { demux } from '../../../../src/runtime/docker/demux.ts';

function frame(type: 1 | 2, content: string): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(Buffer.byteLength(content), 4);
  return Buffer.concat([header, Buffer.from(content)]);
}

async function parted(source: Readable): Promise<{ out: string; err: string }> {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  const [out, err] = await Promise.all([text(stdout), text(stderr), demux(source, stdout, stderr)]);
  return { out, err };
}

describe('parting Docker’s stream', () => {
  const bytes = Buffer.concat([frame(1, 'one '), frame(2, 'ERR'), frame(1, ''), frame(1, 'two')]);

  test('however the network cuts it', async () => {
    for (let size = 1; size <= bytes.length; size += 1) {
      const chunks = [];
      for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
      assert.deepEqual(await parted(Readable.from(chunks)), { out: 'one two', err: 'ERR' });
    }
  });

  test('ends both when the connection breaks, with what had arrived', async () => {
    const source = new PassThrough();
    source.write(bytes.subarray(0, 14));
    const result = parted(source);
    setImmediate(() => source.destroy(new Error('reset')));
    assert.deepEqual(await result, { out: 'one ', err: '' });
  });

  test('waits for a slow reader instead of keeping everything', async () => {
    const stdout = new PassThrough({ highWaterMark: 1024 });
    const stderr = new PassThrough();
    let taken = 0;
    const source = Readable.from(
      (function* () {
        for (; taken < 1000; taken += 1) yield frame(1, 'x'.repeat(1024));
      })(),
      { highWaterMark: 1 },
    );
    const done = demux(source, stdout, stderr);
    for (let turn = 0; turn < 100; turn += 1) await new Promise(setImmediate);
    assert.ok(taken < 20, `took ${taken} of 1000 frames that nobody wants yet`);
    stderr.resume();
    assert.equal((await text(stdout)).length, 1000 * 1024);
    await done;
  });
});

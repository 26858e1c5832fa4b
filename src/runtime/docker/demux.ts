import type { Readable, Writable } from 'node:stream';

/** Of a frame: one byte stream type, three of padding, four of length (big-endian). */
const HEADER_BYTES = 8;
const STDERR = 2;

/**
 * Parts Docker's multiplexed stream into its two and ends both when it ends. Whoever does not read one holds up
 * the other. dockerode's own `demuxStream` never ends its outputs, waits for nobody and copies its whole
 * buffer for every frame.
 */
export async function demux(source: Readable, stdout: Writable, stderr: Writable): Promise<void> {
  let header = Buffer.alloc(0);
  let target = stdout;
  let left = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      let rest = chunk;
      while (rest.length > 0) {
        if (left === 0) {
          const missing = HEADER_BYTES - header.length;
          header = Buffer.concat([header, rest.subarray(0, missing)]);
          rest = rest.subarray(missing);
          if (header.length < HEADER_BYTES) continue;
          target = header.readUInt8(0) === STDERR ? stderr : stdout;
          left = header.readUInt32BE(4);
          header = Buffer.alloc(0);
          continue;
        }
        const piece = rest.subarray(0, left);
        rest = rest.subarray(piece.length);
        left -= piece.length;
        await write(target, piece);
      }
    }
  } catch {
    // The connection broke: that the container is gone, and why, is told by its exit.
  } finally {
    stdout.end();
    stderr.end();
  }
}

/** Resolves once there is room for more, or nobody wants any. */
const write = (target: Writable, piece: Buffer) =>
  new Promise<void>((resolve) => {
    if (target.writableEnded) resolve();
    else target.write(piece, () => resolve());
  });

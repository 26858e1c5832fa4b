/** The thread of `BodyReader`: reads each file that it is sent the path of, and gives its bytes away. */
import { hash } from 'node:crypto';
import { parentPort } from 'node:worker_threads';
import type { Answer } from './body-reader.ts';
import { readPlain, whyUnread } from './plain.ts';

parentPort?.on('message', (path: string) => {
  const answer = read(path);
  parentPort?.postMessage(answer, 'bytes' in answer ? [answer.bytes.buffer] : []);
});

function read(path: string): Answer {
  try {
    const read = readPlain(path);
    // A small file lies in memory that Node shares among many, and cannot be given away.
    const bytes = read.length === read.buffer.byteLength ? read : Uint8Array.from(read);
    return { bytes, digest: hash('sha256', bytes) };
  } catch (error) {
    return { failed: whyUnread(error) };
  }
}

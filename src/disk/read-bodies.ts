/** The thread of `BodyReader`: reads each file that it is sent the path of, and gives its bytes away. */
import { parentPort } from 'node:worker_threads';
import { readDigested } from './digested.ts';

parentPort?.on('message', (path: string) => {
  const answer = readDigested(path);
  parentPort?.postMessage(answer, 'bytes' in answer ? [answer.bytes.buffer] : []);
});

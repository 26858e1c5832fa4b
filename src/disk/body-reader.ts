import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';

/** What the other thread is asked, and answers in the same order: a file, and its bytes with their SHA-256. */
export type Answer =
  | { readonly bytes: Uint8Array<ArrayBuffer>; readonly digest: string }
  /** The system's code, or what was thrown. */
  | { readonly failed: string };

type Waiting = (answer: Answer) => void;

/**
 * Reads and digests files in another thread, so that whoever walks one pair of bodies need not wait for the next.
 * Started at the first file: two records of equal digests open none. It holds the process up only while somebody waits.
 */
export class BodyReader {
  #worker: Worker | undefined;
  readonly #waiting: Waiting[] = [];

  async read(path: string): Promise<Answer> {
    this.#worker ??= this.#start();
    const worker = this.#worker;
    worker.ref();
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.push(resolve);
      worker.postMessage(path);
    });
    if (this.#waiting.length === 0) worker.unref();
    return answer;
  }

  #start(): Worker {
    keepYoungGenerationSmall();
    // A file of its own, beside this one: .ts in the source, .js when built.
    const worker = new Worker(new URL(`./read-bodies${import.meta.url.slice(-3)}`, import.meta.url));
    worker.on('message', (answer: Answer) => this.#waiting.shift()?.(answer));
    worker.on('error', (error) => {
      this.#worker = undefined;
      for (const waiting of this.#waiting.splice(0)) waiting({ failed: String(error) });
    });
    return worker;
  }
}

/**
 * A body is a small object with 200 kB behind it. V8 lets the young generation grow by the objects' size alone, to 16 MB
 * and more: thousands of bodies that nobody needs lie behind them then, and whole-heap collections have to clear them
 * away (measured: 1.5 times the memory, and a fifth more CPU time). The factor is read each time it would grow; where a
 * V8 does not know it, nothing but that is lost. Not before the first body: records alone are many small objects.
 */
const keepYoungGenerationSmall = () => setFlagsFromString('--semi-space-growth-factor=1');

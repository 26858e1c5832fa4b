import type { Worker } from 'node:worker_threads';

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
  #worker: Promise<Worker> | undefined;
  readonly #waiting: Waiting[] = [];

  async read(path: string): Promise<Answer> {
    this.#worker ??= this.#start();
    const worker = await this.#worker;
    worker.ref();
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.push(resolve);
      worker.postMessage(path);
    });
    if (this.#waiting.length === 0) worker.unref();
    return answer;
  }

  async #start(): Promise<Worker> {
    // Not loaded where no body is read.
    const { Worker } = await import('node:worker_threads');
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

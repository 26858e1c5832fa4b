import type { Worker } from 'node:worker_threads';
import { type Digested, readDigested } from './digested.ts';

type Waiting = (answer: Digested) => void;

/** Bytes. A few small bodies are read long before a thread has started, which takes 90 ms of CPU time (measured). */
const WORTH_A_THREAD = 4 * 1024 * 1024;

/**
 * Reads and digests files, many of them in another thread, so that whoever walks one pair of bodies need not wait for the
 * next. The thread is started when it is worth it, and holds the process up only while somebody waits.
 */
export class BodyReader {
  readonly #worthAThread: number;
  #bytes = 0;
  #worker: Promise<Worker> | undefined;
  readonly #waiting: Waiting[] = [];

  /** @param worthAThread bytes that are read before there is one */
  constructor(worthAThread = WORTH_A_THREAD) {
    this.#worthAThread = worthAThread;
  }

  async read(path: string): Promise<Digested> {
    if (this.#bytes < this.#worthAThread) {
      const answer = readDigested(path);
      if ('bytes' in answer) this.#bytes += answer.bytes.length;
      return answer;
    }
    this.#worker ??= this.#start();
    const worker = await this.#worker;
    worker.ref();
    const answer = await new Promise<Digested>((resolve) => {
      this.#waiting.push(resolve);
      worker.postMessage(path);
    });
    if (this.#waiting.length === 0) worker.unref();
    return answer;
  }

  async #start(): Promise<Worker> {
    const { Worker } = await import('node:worker_threads');
    // A file of its own, beside this one: .ts in the source, .js when built.
    const worker = new Worker(new URL(`./read-bodies${import.meta.url.slice(-3)}`, import.meta.url));
    worker.on('message', (answer: Digested) => this.#waiting.shift()?.(answer));
    worker.on('error', (error) => {
      this.#worker = undefined;
      for (const waiting of this.#waiting.splice(0)) waiting({ failed: String(error) });
    });
    return worker;
  }
}

import { counted } from '../counted.ts';
import type { EventOf } from '../engine/protocol.ts';

/** One line of live state, e.g. `generate-1: 2 of 4 prompts, 120 tokens, 31 tokens/s, about 4 s left`. */
export class ProgressLine {
  readonly #now: () => number;
  #what = '';
  #start = 0;
  /** What was there when it was first told: a fetch goes on where the last one ended. */
  #first = { done: 0, tokens: 0 };
  #done = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  next({ what, done, total, tokens }: EventOf<'progress'>): string {
    if (what === 'hash' || what === 'fetch') return this.bytes(what, done, total);
    const seconds = this.#seconds(what, done, tokens);
    if (what === 'load') return `load: ${duration(seconds)}`;
    const speed =
      seconds >= 1 && tokens > this.#first.tokens
        ? `, ${Math.round((tokens - this.#first.tokens) / seconds)} tokens/s`
        : '';
    const made = tokens === 0 ? '' : `, ${counted(tokens, 'token')}${speed}`;
    return `${what}: ${done} of ${counted(total, 'prompt')}${made}${this.#left(done, total, seconds)}`;
  }

  /** @param total 0 where it is not known */
  bytes(what: string, done: number, total: number): string {
    const seconds = this.#seconds(what, done, 0);
    const speed =
      seconds >= 1 && done > this.#first.done ? `, ${bytes((done - this.#first.done) / seconds)}/s` : '';
    const of = total > 0 ? ` of ${bytes(total)}` : '';
    return `${what}: ${bytes(done)}${of}${speed}${this.#left(done, total, seconds)}`;
  }

  /** Since this work was first told. Less than before is the same work of the next engine start. */
  #seconds(what: string, done: number, tokens: number): number {
    if (what !== this.#what || done < this.#done) {
      this.#what = what;
      this.#start = this.#now();
      this.#first = { done, tokens };
    }
    this.#done = done;
    return (this.#now() - this.#start) / 1000;
  }

  /** Not from the first moments, which say nothing of the speed. */
  #left(done: number, total: number, seconds: number): string {
    const made = done - this.#first.done;
    return seconds >= 1 && made > 0 && done < total
      ? `, about ${duration((seconds * (total - done)) / made)} left`
      : '';
  }
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  return `${(count / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** `45 s`, `3 min`, `2 h 5 min`: rounded up, since nobody minds being early. */
function duration(seconds: number): string {
  if (seconds <= 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.ceil(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

import type { EventOf } from '../engine/protocol.ts';

/** One line of live state, e.g. `generate-1: 2 of 4 prompts, 120 tokens, 31 tokens/s, about 4 s left`. */
export class ProgressLine {
  readonly #now: () => number;
  #what = '';
  #start = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  next({ what, done, total, tokens }: EventOf<'progress'>): string {
    if (what !== this.#what) {
      this.#what = what;
      this.#start = this.#now();
    }
    const seconds = (this.#now() - this.#start) / 1000;
    if (what === 'load') return `load: ${seconds.toFixed(0)} s`;
    if (what === 'hash' || what === 'fetch')
      return `${what}: ${bytes(done)} of ${bytes(total)}${left(done, total, seconds)}`;
    const speed = seconds > 0 ? `, ${Math.round(tokens / seconds)} tokens/s` : '';
    return `${what}: ${done} of ${total} prompts, ${tokens} tokens${speed}`;
  }
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = count < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(count) / 10));
  return `${(count / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}

/** Not from the first moments, which say nothing of the speed. */
function left(done: number, total: number, seconds: number): string {
  return seconds >= 1 && done > 0 && done < total
    ? `, about ${Math.ceil((seconds * (total - done)) / done)} s left`
    : '';
}

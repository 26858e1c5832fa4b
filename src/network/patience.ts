import { setTimeout as delay } from 'node:timers/promises';
import { excerpt } from '../inert.ts';

/** What the network or the other side may do better the next time. */
export class Hiccup extends Error {
  /** Seconds that the other side asks to be left alone for. */
  readonly after: number | undefined;

  constructor(message: string, after: number | undefined, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.after = after;
  }
}

export interface Patience {
  /** Of what: for the log, and for the last hiccup. */
  readonly what: string;
  readonly signal: AbortSignal;
  readonly log: (line: string) => void;
  /** Whether there was progress since it was last asked. */
  readonly moved?: () => boolean;
  readonly pause?: (seconds: number, signal: AbortSignal) => Promise<unknown>;
}

/** In a row, without anything that moved. */
const MAX_FAILURES = 5;
const FIRST_PAUSE_SECONDS = 0.5;
/** The hub counts what one asks of it by windows of five minutes. */
const LONGEST_PAUSE_SECONDS = 300;
/** Shorter ones are not worth a line of the log. */
const TOLD_PAUSE_SECONDS = 2;

/**
 * Tries again after each hiccup, for longer and longer, until it works or nothing has moved for several times. The last
 * hiccup comes out.
 */
export async function patiently<T>(
  attempt: () => Promise<T>,
  { what, signal, log, moved = () => false, pause = sleep }: Patience,
): Promise<T> {
  for (let failures = 0; ; ) {
    try {
      return await attempt();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof Hiccup)) throw error;
      const said = `${excerpt(what, 200)}: ${error.message}`;
      failures = moved() ? 1 : failures + 1;
      if (failures === MAX_FAILURES) throw new Hiccup(said, undefined, error);
      const seconds = Math.min(
        error.after ?? FIRST_PAUSE_SECONDS * 2 ** (failures - 1),
        LONGEST_PAUSE_SECONDS,
      );
      if (seconds >= TOLD_PAUSE_SECONDS) log(`${said}. The next attempt is in ${seconds} s.`);
      await pause(seconds, signal);
    }
  }
}

const sleep = (seconds: number, signal: AbortSignal) =>
  delay(seconds * 1000, undefined, { signal }).catch(() => signal.throwIfAborted());

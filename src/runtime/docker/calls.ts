import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '../../errors.ts';
import { dockerError } from './daemon.ts';

/** How long a daemon may take over a call that moves no data. */
const CALL_SECONDS = 30;
/** The same where it sets up or starts a container: hooks of GPUs wake drivers. */
export const START_SECONDS = 120;
/** What is left of it once the run is cancelled: the runner kills ten seconds after its signal. */
const GRACE_SECONDS = 3;

export interface CallOptions {
  readonly signal?: AbortSignal | undefined;
  readonly seconds?: number;
  readonly grace?: number;
}

/**
 * One call to the daemon, which may die or fall silent at any of them.
 *
 * @param to what it is to do: "list its containers"
 * @throws UserError `docker-unavailable`; the signal's reason; or dockerode's error where the daemon answered with one
 */
export async function ask<T>(
  to: string,
  call: Promise<T>,
  { signal, seconds = CALL_SECONDS, grace = GRACE_SECONDS }: CallOptions = {},
): Promise<T> {
  const done = new AbortController();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const expire = async (after: number, why: () => unknown) => {
    await delay(after * 1000, undefined, { signal: done.signal });
    reject(why());
  };
  const limit = signal?.aborted === true ? grace : seconds;
  const hurry = () => void expire(grace, () => signal?.reason).catch(() => {});
  void expire(limit, () => lost(`it did not ${to} within ${limit} s`)).catch(() => {});
  signal?.addEventListener('abort', hurry);
  try {
    return await Promise.race([call, late]);
  } catch (error) {
    if (error instanceof UserError || dockerError(error).statusCode !== undefined) throw error;
    if (signal?.aborted === true && error === signal.reason) throw error;
    throw lost(`it went away when it was to ${to}: ${dockerError(error).message}`, error);
  } finally {
    signal?.removeEventListener('abort', hurry);
    done.abort();
  }
}

/** Aborts once nobody has said for so long that something gets on, or the run is cancelled. */
export class Standstill implements Disposable {
  readonly signal: AbortSignal;
  readonly #stuck = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(seconds: number, signal: AbortSignal) {
    this.signal = AbortSignal.any([signal, this.#stuck.signal]);
    this.#timer = setTimeout(() => this.#stuck.abort(), seconds * 1000);
  }

  get isStuck(): boolean {
    return this.#stuck.signal.aborted;
  }

  progress(): void {
    this.#timer.refresh();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
  }
}

/** @param how what is known of it */
export function lost(how: string, cause?: unknown): UserError {
  return new UserError(
    'docker-unavailable',
    `The Docker daemon was lost: ${how}.`,
    LOST_HINT,
    cause === undefined ? {} : { cause },
  );
}

export const LOST_HINT =
  'Try `docker version` on the runner and see `journalctl -u docker`, then run again. A container that is left over ends by itself, and the next run removes it.';

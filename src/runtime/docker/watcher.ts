import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { UserError } from '../../errors.ts';
import { ask } from './calls.ts';
import { dockerError } from './daemon.ts';

/** How a container ended, or why nobody knows. */
export type End =
  | { readonly kind: 'ended'; readonly code: number | null; readonly outOfMemory: boolean }
  | { readonly kind: 'lost'; readonly how: string };

/** Between two looks at a container, and how long one may take: while its streams are open, and once they have ended. */
const OPEN = { pause: 30, look: 60 };
const ENDED = { pause: 0.5, look: 10 };

/**
 * Sees how a started container ends, whatever becomes of the daemon meanwhile. The daemon's own `wait` tells it at once,
 * but where the daemon is killed its answer never ends: so the container is looked at too.
 */
export class Watcher {
  readonly #container: Docker.Container;
  readonly #waited: Promise<number | undefined>;
  #silent = false;
  readonly #streamsEnded: Promise<void>;
  readonly #open: typeof OPEN;

  /** @param silent resolves when the container's streams have ended */
  constructor(container: Docker.Container, silent: Promise<void>, open = OPEN) {
    this.#open = open;
    this.#container = container;
    // Asked for after the start, it cannot miss an exit that was quick.
    this.#waited = container.wait({ condition: 'not-running' }).then(
      (answer) => (answer as { StatusCode: number }).StatusCode,
      () => undefined,
    );
    this.#streamsEnded = silent.then(() => {
      this.#silent = true;
    });
  }

  async end(): Promise<End> {
    const over = new AbortController();
    try {
      return await Promise.race([this.#byWait(), this.#byLooking(over.signal)]);
    } finally {
      over.abort();
    }
  }

  async #byWait(): Promise<End> {
    const code = await this.#waited;
    // Then looking tells.
    if (code === undefined) return await new Promise(() => {});
    const state = await this.#look().catch(() => undefined);
    return { kind: 'ended', code, outOfMemory: state?.OOMKilled ?? false };
  }

  async #byLooking(over: AbortSignal): Promise<End> {
    for (;;) {
      await this.#pause(over);
      try {
        const state = await this.#look();
        // Another runner's sweep may have taken what has ended.
        if (state === undefined) return await this.#swept();
        if (!state.Running && state.Status !== 'created')
          return { kind: 'ended', code: state.ExitCode, outOfMemory: state.OOMKilled };
      } catch (error) {
        const how =
          error instanceof UserError ? error.message : `Docker said: ${dockerError(error).message}.`;
        return { kind: 'lost', how };
      }
    }
  }

  async #pause(over: AbortSignal): Promise<void> {
    if (this.#silent) return await delay(ENDED.pause * 1000, undefined, { signal: over });
    const woken = new AbortController();
    const signal = AbortSignal.any([over, woken.signal]);
    try {
      await Promise.race([
        delay(this.#open.pause * 1000, undefined, { signal, ref: false }),
        this.#streamsEnded,
      ]);
    } finally {
      woken.abort();
    }
  }

  async #look(): Promise<Docker.ContainerInspectInfo['State'] | undefined> {
    try {
      const { look: seconds } = this.#silent ? ENDED : this.#open;
      return (await ask('look at the container', this.#container.inspect(), { seconds })).State;
    } catch (error) {
      if (dockerError(error).statusCode === 404) return undefined;
      throw error;
    }
  }

  async #swept(): Promise<End> {
    const code = await Promise.race([this.#waited, delay(1000, undefined, { ref: false })]);
    return { kind: 'ended', code: code ?? null, outOfMemory: false };
  }
}

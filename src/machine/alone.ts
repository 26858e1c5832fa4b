import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * Holds a place for this process alone. Who comes second waits until the first has let go or has died: the kernel keeps
 * the name (an abstract socket) as long as its process lives, so that nothing stale is ever left. Where there are no such
 * names, nobody waits.
 *
 * @throws what the signal was aborted with
 */
export async function alone(
  place: string,
  signal: AbortSignal,
  onWait: () => void,
): Promise<AsyncDisposable> {
  for (;;) {
    signal.throwIfAborted();
    const held = await aloneNow(place);
    if (held !== undefined) return held;
    onWait();
    await ended(nameOf(place), signal);
  }
}

/** The same, for who does not wait: undefined where somebody else has the place. */
export async function aloneNow(place: string): Promise<AsyncDisposable | undefined> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}));
  });
  const refused = await listening(server, nameOf(place));
  if (refused === 'EADDRINUSE') return undefined;
  return {
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      if (refused === undefined) await new Promise((resolve) => server.close(resolve));
    },
  };
}

const nameOf = (place: string) =>
  `\0deterministic-ml-${createHash('sha256').update(place).digest('hex').slice(0, 32)}`;

/** Why it cannot; undefined when it does. */
async function listening(server: Server, name: string): Promise<string | undefined> {
  try {
    server.listen(name);
    await once(server, 'listening');
    return undefined;
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : String(error);
  }
}

/** Returns once whoever holds the name has let go of it, or the signal is aborted. */
async function ended(name: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  // One that was let go of meanwhile refuses: closed it is in each case.
  connect({ path: name, signal })
    .on('error', () => {})
    .once('close', resolve)
    .resume();
  await promise;
}

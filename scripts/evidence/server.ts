import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/** A server on this machine's CPU. Disposing ends it with all that it started. */
export interface RealServer extends AsyncDisposable {
  /** Where OpenAI's API begins. */
  readonly url: string;
  /** All that it printed. */
  log(): string;
}

export interface ServerOptions {
  readonly python: string;
  readonly model: string;
  /** The name that it is served by. */
  readonly name: string;
  readonly args?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Until it answers. */
  readonly seconds?: number;
}

/** @throws Error with its log where it does not come up */
export const realServer = ({
  python,
  model,
  name,
  args = [],
  environment = {},
  seconds,
}: ServerOptions): Promise<RealServer> =>
  serverOf(
    python,
    (port) => [
      ...['-m', 'vllm.entrypoints.openai.api_server', '--model', model, '--served-model-name', name],
      ...['--host', '127.0.0.1', '--port', port, '--max-model-len', '1024', '--enforce-eager'],
      ...args,
    ],
    // A thread that waits for the others gives its CPU away: to whoever asks the server, and to other tests.
    {
      ...{ VLLM_CPU_KVCACHE_SPACE: '1', HF_HUB_OFFLINE: '1', DO_NOT_TRACK: '1', OMP_WAIT_POLICY: 'passive' },
      ...environment,
    },
    seconds,
  );

/**
 * A server that Python starts on a port of the loopback device.
 *
 * @throws Error with its log where it does not come up
 */
export async function serverOf(
  python: string,
  args: (port: string) => readonly string[],
  environment: Readonly<Record<string, string>> = {},
  seconds = 240,
): Promise<RealServer> {
  const port = await freePort();
  const child = spawn(python, args(String(port)), {
    env: { ...process.env, ...environment },
    // Its engine is a process of its own: all of them are ended by their group.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      log = (log + text).slice(-100_000);
    });
  const exited = once(child, 'exit');
  const stop = async () => {
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGKILL');
    await exited;
  };
  const url = `http://127.0.0.1:${port}/v1`;
  const until = Date.now() + seconds * 1000;
  for (;;) {
    // Asked without a key, whatever the API wants.
    const answer = await fetch(new URL('/health', url)).catch(() => undefined);
    if (answer?.ok) return { url, log: () => log, [Symbol.asyncDispose]: stop };
    if (child.exitCode !== null || Date.now() > until) {
      await stop();
      throw new Error(`the server did not come up:\n${log.slice(-4000)}`);
    }
    await delay(250);
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  return typeof address === 'object' && address !== null ? address.port : 0;
}

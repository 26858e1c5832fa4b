import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { json } from 'node:stream/consumers';
import { test } from 'node:test';
import { chooseRuntime } from '../../../../src/runtime/choose.ts';
import { SILENT_IMAGE } from '../../../support/daemons.ts';
import { runtimeOptions } from '../../../support/runtimes.ts';

/** A daemon whose containers start when `refusal` says nothing against what they ask for. */
async function daemon(refusal: (driver: string) => string | undefined) {
  const asked: { readonly Driver: string; readonly DeviceIDs?: readonly string[] }[] = [];
  const attached: Socket[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<unknown> => {
    const asks = `${request.method} ${request.url}`;
    const say = (value: unknown, status = 200) =>
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (asks.includes('/_ping')) return response.end('OK');
    if (asks.includes(`/images/${SILENT_IMAGE}/json`))
      return say({ Id: SILENT_IMAGE, Architecture: 'amd64', RepoDigests: [] });
    if (asks.includes('GET /containers/json')) return say([]);
    if (asks.includes('POST /containers/create')) {
      const { HostConfig } = (await json(request)) as { HostConfig: { DeviceRequests: typeof asked } };
      asked.push(...HostConfig.DeviceRequests);
      return say({ Id: String(asked.length).repeat(64), Warnings: [] }, 201);
    }
    const refused = asks.includes('/start') ? refusal(asked.at(-1)?.Driver ?? '') : undefined;
    if (refused !== undefined) return say({ message: refused }, 500);
    // What waits for the end of a container waits.
    return asks.includes('/wait') ? undefined : say({ Arch: 'amd64', State: { Running: true } });
  };
  const server = createServer((request, response) => void answer(request, response));
  server.on('upgrade', (_, socket: Socket) => {
    attached.push(socket);
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const host = `tcp://127.0.0.1:${port}`;
  return {
    asked,
    async start(gpus: number, devices: readonly string[] = []): Promise<void> {
      const options = runtimeOptions({
        ...{ choice: 'docker', runtime: { gpus, shm: '8MiB', image: SILENT_IMAGE }, devices },
        environment: { ...runtimeOptions().environment, DOCKER_HOST: host },
      });
      await using runtime = await chooseRuntime(options);
      await using _ = await runtime.start('pass');
    },
    async [Symbol.asyncDispose]() {
      for (const socket of attached) socket.destroy();
      server.closeAllConnections();
      server.close();
    },
  };
}

const noDriver = (driver: string) => `could not select device driver "${driver}" with capabilities: [[gpu]]`;

test('a daemon without the toolkit’s hook is asked by the names of CDI', async () => {
  await using one = await daemon((driver) => (driver === 'nvidia' ? noDriver(driver) : undefined));
  await one.start(2);
  await one.start(1, ['GPU-a', 'GPU-b']);
  const byCdi = one.asked.filter(({ Driver }) => Driver === 'cdi').map(({ DeviceIDs }) => DeviceIDs);
  assert.deepEqual(byCdi, [['nvidia.com/gpu=0', 'nvidia.com/gpu=1'], ['nvidia.com/gpu=GPU-a']]);
});

test('one that has the hook is asked once', async () => {
  await using one = await daemon(() => undefined);
  await one.start(1);
  assert.deepEqual(
    one.asked.map(({ Driver }) => Driver),
    ['nvidia'],
  );
});

test('one that has neither is told by the hook, and one that lacks a card by that', async () => {
  await using neither = await daemon(noDriver);
  await assert.rejects(neither.start(1), { code: 'gpu-unavailable', message: /"nvidia"/ });
  const lacking = 'CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=1';
  await using few = await daemon((driver) => (driver === 'cdi' ? lacking : noDriver(driver)));
  await assert.rejects(few.start(2), { code: 'gpu-unavailable', message: /unresolvable .*gpu=1/ });
});

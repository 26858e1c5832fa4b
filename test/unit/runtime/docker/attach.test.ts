import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { test } from 'node:test';
import Docker from 'dockerode';
import { attach } from '../../../../src/runtime/docker/attach.ts';

async function daemon(server: Server): Promise<{ readonly docker: Docker } & AsyncDisposable> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    docker: new Docker({ host: '127.0.0.1', port, protocol: 'http', socketPath: undefined }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

test('a container’s stdin begins with what is written to it, and what it says comes back', async () => {
  const server = createServer();
  const asked: string[] = [];
  // As Podman does: all that follows the header is the container's.
  server.on('upgrade', ({ url }, socket: Socket, head: Buffer) => {
    asked.push(url ?? '');
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  await using one = await daemon(server);
  const connection = await attach(one.docker, 'abc');
  connection.end('first line\n');
  assert.equal(Buffer.concat(await connection.toArray()).toString(), 'first line\n');
  assert.deepEqual(asked, ['/containers/abc/attach?stream=1&stdin=1&stdout=1&stderr=1']);
});

test('a refusal is told with its status', async () => {
  const server = createServer((_, response) =>
    response.writeHead(404).end('{"message":"no such container"}'),
  );
  await using one = await daemon(server);
  await assert.rejects(attach(one.docker, 'abc'), { statusCode: 404, message: /no such container/ });
});

test('nobody there is an error of the connection', async () => {
  const docker = new Docker({ socketPath: '/nowhere/docker.sock' });
  await assert.rejects(attach(docker, 'abc'), { code: 'ENOENT' });
});

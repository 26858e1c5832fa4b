import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import { connect, createServer as createSocket, type Socket } from 'node:net';

/** A name by which the daemon below has an image. */
export const SILENT_IMAGE = `sha256:${'0'.repeat(64)}`;

export interface SilentDaemon extends AsyncDisposable {
  /** For DOCKER_HOST. */
  readonly host: string;
  /** Resolves once it was asked what it never answers. */
  readonly asked: Promise<void>;
}

/** A Docker daemon that answers a ping, and everything up to the first request that a pattern matches. */
export async function silentDaemon(at: RegExp): Promise<SilentDaemon> {
  const { promise: asked, resolve } = Promise.withResolvers<void>();
  const json = (response: ServerResponse, value: unknown, status = 200) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  };
  const server = createServer((request, response) => {
    const { method, url = '' } = request;
    const asks = `${method} ${url}`;
    if (at.test(asks)) return resolve();
    if (asks.includes('/_ping')) return void response.end('OK');
    if (asks.includes('/version')) return json(response, { Arch: 'amd64' });
    if (asks.includes(`/images/${SILENT_IMAGE}/json`))
      return json(response, { Id: SILENT_IMAGE, Architecture: 'amd64', RepoDigests: [] });
    if (asks.includes('/images/')) return json(response, { message: 'no such image' }, 404);
    if (asks.includes('GET /containers/json')) return json(response, []);
    if (asks.includes('POST /containers/create'))
      return json(response, { Id: 'c'.repeat(64), Warnings: [] }, 201);
    json(response, {});
  });
  // What is attached to says nothing.
  server.on('upgrade', (request, socket) => {
    if (at.test(`${request.method} ${request.url}`)) return resolve();
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    host: `tcp://127.0.0.1:${address.port}`,
    asked,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
    },
  };
}

export interface Proxy extends AsyncDisposable {
  readonly host: string;
  /** Breaks every connection that there is. */
  cut(): void;
  /** As if the daemon were killed: nobody listens any more. */
  kill(): Promise<void>;
}

/** A socket before a real daemon. */
export async function proxied(host: string, path: string): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createSocket((client) => {
    const daemon = connect(host.slice('unix://'.length));
    for (const socket of [client, daemon]) {
      sockets.add(socket);
      socket.on('error', () => {}).on('close', () => sockets.delete(socket));
    }
    client.pipe(daemon).pipe(client);
  });
  server.listen(path);
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) socket.destroy();
  };
  const kill = async () => {
    server.close();
    cut();
    await rm(path, { force: true });
  };
  return { host: `unix://${path}`, cut, kill, [Symbol.asyncDispose]: kill };
}

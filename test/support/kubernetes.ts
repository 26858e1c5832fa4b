import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import type { Certificates } from './certificates.ts';

/**
 * What of the API of Kubernetes `kubectl exec -i` asks, with one pod, which is this machine. No cluster can be had here: this
 * refuses what a real one refuses (a token, a right, a pod), and carries streams as its documents say of
 * `v5.channel.k8s.io`. A command's stdin ends with its connection, as the kubelet has it.
 */
export interface Cluster extends AsyncDisposable {
  /** Words of a launcher that goes to a pod there. */
  kubectl(asked?: { readonly token?: string; readonly ca?: string; readonly pod?: string }): Promise<string>;
  /** Breaks every connection that carries a command. */
  cut(): void;
}

const TOKEN = 'reader';
/** Whose it is may look, and start nothing. */
export const LOOKER = 'looker';
export const POD = 'gpu-pod';

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, close: 255 } as const;

export async function startCluster(
  folder: string,
  { serverKey, server: cert, ca }: Certificates,
): Promise<Cluster> {
  const carrying = new Set<Duplex>();
  const server = createServer({ key: serverKey, cert }, (request, response) => {
    const { status, value } = answerOf(request);
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => {
    socket.on('error', () => {});
    const refusal = refusalOf(request);
    const { pathname, searchParams } = urlOf(request);
    if (refusal !== undefined || pathname !== `${PODS}/${POD}/exec`)
      return void socket.end(httpOf(refusal ?? notFound()));
    const key = `${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
    socket.write(
      [
        ...['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'],
        `Sec-WebSocket-Accept: ${createHash('sha1').update(key).digest('base64')}`,
        ...['Sec-WebSocket-Protocol: v5.channel.k8s.io', '', ''],
      ].join('\r\n'),
    );
    carrying.add(socket);
    socket.once('close', () => carrying.delete(socket));
    carry(socket, searchParams.getAll('command'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  let configs = 0;
  return {
    async kubectl({ token = TOKEN, ca: own = ca.toString(), pod = POD } = {}) {
      const config = join(folder, `kubeconfig-${configs++}`);
      await writeFile(
        config,
        JSON.stringify({
          ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'one' },
          clusters: [
            {
              name: 'one',
              cluster: {
                server: `https://127.0.0.1:${port}`,
                'certificate-authority-data': Buffer.from(own).toString('base64'),
              },
            },
          ],
          users: [{ name: 'one', user: { token } }],
          contexts: [{ name: 'one', context: { cluster: 'one', user: 'one' } }],
        }),
      );
      return `kubectl --kubeconfig=${config} --cache-dir=${folder}/cache exec -i ${pod} --`;
    },
    cut: () => {
      for (const socket of carrying) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      for (const socket of carrying) socket.destroy();
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

const PODS = '/api/v1/namespaces/default/pods';

interface Reply {
  readonly status: number;
  readonly value: unknown;
}

const failure = (code: number, reason: string, message: string): Reply => ({
  status: code,
  value: {
    ...{ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure' },
    ...{ code, reason, message },
  },
});
const notFound = () => failure(404, 'NotFound', 'pods "no-pod" not found');

const urlOf = ({ url = '/' }: IncomingMessage) => new URL(url, 'https://cluster');

function refusalOf(request: IncomingMessage): Reply | undefined {
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token !== TOKEN && token !== LOOKER) return failure(401, 'Unauthorized', 'Unauthorized');
  if (token === LOOKER && urlOf(request).pathname.endsWith('/exec'))
    return failure(
      403,
      'Forbidden',
      `pods "${POD}" is forbidden: User "looker" cannot create resource "pods/exec" in API group "" in the namespace "default"`,
    );
  return undefined;
}

function answerOf(request: IncomingMessage): Reply {
  const refusal = refusalOf(request);
  if (refusal !== undefined) return refusal;
  const { pathname } = urlOf(request);
  const found: Readonly<Record<string, unknown>> = {
    '/api': { kind: 'APIVersions', versions: ['v1'] },
    '/apis': { kind: 'APIGroupList', apiVersion: 'v1', groups: [] },
    '/api/v1': {
      ...{ kind: 'APIResourceList', groupVersion: 'v1' },
      resources: ['pods', 'pods/exec'].map((name) => ({
        ...{ name, singularName: name === 'pods' ? 'pod' : '', namespaced: true },
        ...{ kind: name === 'pods' ? 'Pod' : 'PodExecOptions', verbs: ['get', 'create'] },
      })),
    },
    [`${PODS}/${POD}`]: {
      ...{ kind: 'Pod', apiVersion: 'v1', metadata: { name: POD, namespace: 'default' } },
      ...{ spec: { containers: [{ name: 'main', image: 'engine' }] }, status: { phase: 'Running' } },
    },
  };
  const value = found[pathname];
  return value === undefined ? notFound() : { status: 200, value };
}

const httpOf = ({ status, value }: Reply) =>
  `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n${JSON.stringify(value)}`;

/** Runs a command for as long as the connection lives. */
function carry(socket: Duplex, [program = '', ...args]: readonly string[]): void {
  const child = spawn(program, args, { stdio: 'pipe' });
  const say = (channel: number, data: Uint8Array) => {
    if (!socket.destroyed) socket.write(frameOf(channel, data));
  };
  child.stdin.on('error', () => {});
  socket.on('close', () => child.stdin.end());
  for (const [stream, channel] of [
    [child.stdout, CHANNEL.stdout],
    [child.stderr, CHANNEL.stderr],
  ] as const)
    stream.on('data', (data: Buffer) => say(channel, data));
  void endOf(child).then((code) => {
    say(CHANNEL.error, Buffer.from(JSON.stringify(statusOf(code))));
    // Normal closure.
    socket.end(Buffer.from([0x88, 2, 0x03, 0xe8]));
  });
  let left = Buffer.alloc(0);
  socket.on('data', (data: Buffer) => {
    left = Buffer.concat([left, data]);
    for (let read = unframed(left); read !== undefined; read = unframed(left)) {
      left = read.rest;
      const [channel, ...more] = read.payload;
      if (channel === CHANNEL.close && more[0] === CHANNEL.stdin) child.stdin.end();
      else if (channel === CHANNEL.stdin && read.isData) child.stdin.write(read.payload.subarray(1));
    }
  });
}

async function endOf(child: ChildProcess): Promise<number> {
  const [code] = (await once(child, 'close')) as [number | null];
  return code ?? 137;
}

const statusOf = (code: number) =>
  code === 0
    ? { metadata: {}, status: 'Success' }
    : {
        ...{ metadata: {}, status: 'Failure', reason: 'NonZeroExitCode' },
        message: `command terminated with non-zero exit code: exit status ${code}`,
        details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
      };

/** A binary frame of the protocol of web sockets, as a server sends it. */
function frameOf(channel: number, data: Uint8Array): Buffer {
  const length = data.length + 1;
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  head[1] = 127;
  head.writeBigUInt64BE(BigInt(length), 2);
  if (length < 126) return Buffer.concat([Buffer.from([0x82, length, channel]), data]);
  if (length < 65_536)
    return Buffer.concat([Buffer.from([0x82, 126, length >> 8, length & 255, channel]), data]);
  return Buffer.concat([head, Buffer.from([channel]), data]);
}

/** The first whole frame of what a client has sent. */
function unframed(
  bytes: Buffer,
): { readonly payload: Buffer; readonly isData: boolean; readonly rest: Buffer<ArrayBuffer> } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 127;
  const head = short === 126 ? 4 : short === 127 ? 10 : 2;
  if (bytes.length < head + 4) return undefined;
  const length =
    short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < head + 4 + length) return undefined;
  const mask = bytes.subarray(head, head + 4);
  const payload = Buffer.from(bytes.subarray(head + 4, head + 4 + length));
  for (let at = 0; at < length; at++) payload[at] = (payload[at] ?? 0) ^ (mask[at % 4] ?? 0);
  return {
    payload,
    isData: ((bytes[0] ?? 0) & 15) === 2,
    rest: Buffer.from(bytes.subarray(head + 4 + length)),
  };
}

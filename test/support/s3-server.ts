import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ensureServers } from '../../scripts/setup/tools.ts';

/** What stands before the server: answers in its place, or changes what it answers; undefined lets it through. */
export type Fault = (
  request: http.IncomingMessage,
  answer: http.ServerResponse,
) => 'answered' | { readonly cutAt: number } | { readonly flip: number } | undefined;

export interface S3Server extends AsyncDisposable {
  /** The environment of a runner that may do this there. */
  environment(role: 'writer' | 'reader'): Readonly<Record<string, string>>;
  /** Of all requests until it is taken away. */
  fault: Fault | undefined;
  /** `GET /…` of each request. */
  readonly asked: string[];
}

interface Told {
  readonly port: number;
  readonly bucket: string;
  readonly writer: { readonly id: string; readonly secret: string };
  readonly reader: { readonly id: string; readonly secret: string };
}

const DRIVER = fileURLToPath(new URL('s3_server.py', import.meta.url));

/** Starts moto, which checks signatures and rights, and something before it that can break. */
export async function startS3(): Promise<S3Server> {
  const packages = await ensureServers();
  const server = spawn('python3', [DRIVER], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: { ...process.env, PYTHONPATH: packages },
  });
  const exited = once(server, 'exit');
  let told: Told | undefined;
  for await (const line of createInterface({ input: server.stdout })) {
    if (!line.startsWith('{')) continue;
    told = JSON.parse(line) as Told;
    break;
  }
  if (told === undefined) throw new Error('the server of S3’s protocol does not start');
  server.stdout.resume();
  const { port, bucket } = told;

  const asked: string[] = [];
  const front = http.createServer((request, answer) => {
    asked.push(`${request.method} ${request.url}`);
    const fault = result.fault?.(request, answer);
    if (fault === 'answered') return;
    const { method, url: path, headers } = request;
    const behind = http.request({ host: '127.0.0.1', port, method, path, headers }, (reply) => {
      const chunks: Buffer[] = [];
      reply.on('data', (chunk: Buffer) => chunks.push(chunk));
      reply.on('end', () => {
        const body = Buffer.concat(chunks);
        const length = method === 'HEAD' ? (reply.headers['content-length'] ?? '0') : String(body.length);
        const { 'transfer-encoding': _, ...kept } = reply.headers;
        answer.writeHead(reply.statusCode ?? 500, { ...kept, 'content-length': length });
        if (fault !== undefined && 'cutAt' in fault)
          answer.write(body.subarray(0, fault.cutAt), () => answer.destroy());
        else {
          if (fault !== undefined && 'flip' in fault) body[fault.flip] = (body[fault.flip] ?? 0) ^ 1;
          answer.end(body);
        }
      });
    });
    behind.on('error', () => answer.destroy());
    request.pipe(behind);
  });
  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const address = front.address() as AddressInfo;
  const result: S3Server = {
    fault: undefined,
    asked,
    environment: (role) => ({
      DETERMINISM_S3_BUCKET: bucket,
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${address.port}`,
      AWS_ACCESS_KEY_ID: told[role].id,
      AWS_SECRET_ACCESS_KEY: told[role].secret,
    }),
    async [Symbol.asyncDispose]() {
      front.closeAllConnections();
      front.close();
      server.stdin.end();
      await exited;
    },
  };
  return result;
}

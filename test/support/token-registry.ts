import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { startRegistry } from '../../scripts/setup/registry.ts';

/** Who may do what there; a password is no secret. */
export const USERS = {
  writer: { password: 'open-sesame', rights: ['pull', 'push'] },
  reader: { password: 'knock-knock', rights: ['pull'] },
} as const;

export interface TokenRegistry extends AsyncDisposable {
  /** Host and port. */
  readonly address: string;
  /** Answers in the registry's place where it gives an answer. */
  fault: ((request: http.IncomingMessage, answer: http.ServerResponse) => boolean) | undefined;
  /** Authorizations that were shown to the registry itself. */
  readonly shown: Set<string>;
}

/**
 * Debian's registry behind what public ones have before theirs: a challenge, and a token for who logs in, which is good for
 * what that one may do.
 */
export async function startTokenRegistry(): Promise<TokenRegistry> {
  const registry = await startRegistry();
  const [host = '', port = ''] = registry.address.split(':');
  const tokens = new Map<string, readonly string[]>();
  const shown = new Set<string>();

  const front = http.createServer((request, answer) => {
    if (result.fault?.(request, answer) === true) return;
    const url = new URL(request.url ?? '', `http://${result.address}`);
    const { authorization = '' } = request.headers;
    if (url.pathname === '/token') return issue(url, authorization, answer);
    shown.add(authorization.replace(/ .*/, ''));
    const right = request.method === 'GET' || request.method === 'HEAD' ? 'pull' : 'push';
    const rights = tokens.get(authorization.replace(/^Bearer /, '')) ?? [];
    if (!rights.includes(right)) {
      const challenge = `Bearer realm="http://${result.address}/token",service="test",scope="repository:x:${right}"`;
      answer.writeHead(401, { 'www-authenticate': challenge, 'content-type': 'application/json' });
      answer.end('{"errors":[{"code":"UNAUTHORIZED"}]}');
      return;
    }
    const { authorization: _, ...headers } = request.headers;
    const { method, url: path } = request;
    const behind = http.request({ host, port, method, path, headers }, (reply) => {
      answer.writeHead(reply.statusCode ?? 500, reply.headers);
      reply.pipe(answer);
    });
    behind.on('error', () => answer.destroy());
    request.pipe(behind);
  });

  function issue(url: URL, authorization: string, answer: http.ServerResponse): void {
    const [user = '', password = ''] = Buffer.from(authorization.replace(/^Basic /, ''), 'base64')
      .toString()
      .split(':');
    const known = Object.entries(USERS).find(
      ([name, one]) => name === user && one.password === password,
    )?.[1];
    if (known === undefined) {
      answer.writeHead(401).end('{}');
      return;
    }
    const wanted = (url.searchParams.get('scope') ?? '').split(':').at(-1)?.split(',') ?? [];
    const token = randomUUID();
    tokens.set(
      token,
      wanted.filter((right) => known.rights.some((one) => one === right)),
    );
    answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ token }));
  }

  front.listen(0, '127.0.0.1');
  await once(front, 'listening');
  const result: TokenRegistry = {
    address: `127.0.0.1:${(front.address() as AddressInfo).port}`,
    fault: undefined,
    shown,
    async [Symbol.asyncDispose]() {
      front.closeAllConnections();
      front.close();
      await registry[Symbol.asyncDispose]();
    },
  };
  return result;
}

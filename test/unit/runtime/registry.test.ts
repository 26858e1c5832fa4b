import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { digestOfImage } from '../../../src/runtime/registry.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

/** A registry that sends everybody for a token, as Docker Hub and ghcr.io do. */
async function registry(status = 200) {
  const asked: string[] = [];
  const server = createServer((request, reply) => {
    const url = new URL(request.url ?? '/', 'http://localhost');
    asked.push(`${request.method} ${url.pathname}${url.search}`);
    if (url.pathname === '/token') return void reply.end(JSON.stringify({ token: 'anonymous' }));
    if (request.headers.authorization !== 'Bearer anonymous') {
      const realm = `http://${request.headers.host}/token`;
      reply.writeHead(401, {
        'www-authenticate': `Bearer realm="${realm}",service="here",scope="repository:own/engine:pull"`,
      });
      return void reply.end();
    }
    assert.match(request.headers.accept ?? '', /oci\.image\.index/);
    reply.writeHead(status, { 'docker-content-digest': DIGEST }).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return { asked, host: `localhost:${port}`, [Symbol.asyncDispose]: async () => void server.close() };
}

const asking = { environment: { HOME: '/nowhere' }, signal: new AbortController().signal };

test('the digest of a tag comes from its registry, by the token that it sends one for', async () => {
  await using one = await registry();
  assert.equal(await digestOfImage(`${one.host}/own/engine:v1`, asking), DIGEST);
  assert.deepEqual(one.asked, [
    'HEAD /v2/own/engine/manifests/v1',
    'GET /token?service=here&scope=repository%3Aown%2Fengine%3Apull',
    'HEAD /v2/own/engine/manifests/v1',
  ]);
});

test('a registry that knows no such image, or is not there, tells no digest', async () => {
  await using one = await registry(404);
  const failed = { code: 'image-pull-failed' };
  await assert.rejects(digestOfImage(`${one.host}/own/engine:v1`, asking), {
    ...failed,
    message: /answered 404/,
  });
  await assert.rejects(digestOfImage('localhost:1/a/b', asking), { ...failed, message: /cannot be reached/ });
  await assert.rejects(digestOfImage('a b', asking), failed);
});

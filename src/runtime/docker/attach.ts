import type { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import type Docker from 'dockerode';
import { z } from 'zod';
import { libraryFor } from '../../network/library.ts';

/** What dockerode's client knows of its daemon. */
const Address = z.object({
  socketPath: z.string().optional(),
  host: z.string().optional(),
  port: z.union([z.string(), z.number()]).optional(),
  protocol: z.string().optional(),
  ca: z.unknown().optional(),
  cert: z.unknown().optional(),
  key: z.unknown().optional(),
});

/**
 * A connection to a container's stdin, and to stdout and stderr in Docker's frames. dockerode's own `attach` sends its options
 * once more as a body, which Docker throws away and Podman gives to the container as the first bytes of its stdin.
 *
 * @throws as dockerode does: an error of the connection, or one with the `statusCode` of an answer
 */
export async function attach(docker: Docker, id: string): Promise<Duplex> {
  const { protocol, ca, cert, key, ...address } = Address.parse(docker.modem);
  const tls = { ca, cert, key } as { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  const options = {
    ...address,
    method: 'POST',
    path: `/containers/${id}/attach?stream=1&stdin=1&stdout=1&stderr=1`,
    headers: { connection: 'Upgrade', upgrade: 'tcp' },
  };
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const asked = protocol === 'https' ? { ...options, ...tls } : options;
  const request = libraryFor({ protocol: `${protocol}:` }).request(asked);
  request.on('upgrade', (_response, socket, head) => {
    if (head.length > 0) socket.unshift(head);
    resolve(socket);
  });
  request.on('response', (response) => {
    const statusCode = response.statusCode ?? 0;
    text(response).then(
      (body) => reject(Object.assign(new Error(`(HTTP code ${statusCode}) ${body.trim()}`), { statusCode })),
      reject,
    );
  });
  request.on('error', reject);
  request.end();
  return await promise;
}

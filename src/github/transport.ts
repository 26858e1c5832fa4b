import type http from 'node:http';
import { libraryFor } from '../network/library.ts';

/** The proxies of the runner are named here. */
type Environment = Readonly<Record<string, string | undefined>>;

/** What octokit asks of a `fetch`. */
interface Asked {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: string;
  readonly signal?: AbortSignal;
}

/** GitHub, or what stands in its place, answered, but not so that it could be used; the message goes on from its name. */
export class Strange extends Error {}

/**
 * As `fetch`, but with the proxies of the job's environment, and no more bytes than an answer can have. A redirect (a
 * repository that was renamed) is followed on the same host only, since the token goes with it.
 *
 * @param maxBytes of one answer
 */
export function transport(env: Environment, maxBytes: number) {
  return async (address: string, asked: Asked): Promise<Response> => {
    const { method = 'GET' } = asked;
    let url = new URL(address);
    for (let hops = 0; ; hops++) {
      const reply = await send(url, { ...asked, method }, env);
      const { statusCode: status = 0, headers: told } = reply;
      const chunks: Buffer[] = [];
      let length = 0;
      for await (const chunk of reply) {
        length += chunk.length;
        if (length > maxBytes) throw new Strange(`answered with more than ${maxBytes} bytes`);
        chunks.push(chunk);
      }
      const { location } = told;
      // Of the others a method that writes would become one that reads.
      const follows = method === 'GET' || status === 307 || status === 308;
      if (
        status >= 300 &&
        follows &&
        location !== undefined &&
        URL.canParse(location, url.href) &&
        hops < 3
      ) {
        const next = new URL(location, url);
        if (next.origin !== url.origin) throw new Strange(`sends to another host (${status})`);
        url = next;
        continue;
      }
      if (status < 200 || (status >= 300 && status < 400)) throw new Strange(`answered ${status}`);
      const pairs = Object.entries(told).flatMap(([name, value]) =>
        typeof value === 'string' ? [[name, value] as const] : [],
      );
      const body = status === 204 || status === 205 ? null : Buffer.concat(chunks);
      return new Response(body, {
        status,
        headers: new Headers(pairs.map(([name, value]) => [name, value])),
      });
    }
  };
}

async function send(url: URL, { body, ...asked }: Asked, env: Environment): Promise<http.IncomingMessage> {
  const library = libraryFor(url);
  const agent = new library.Agent({ keepAlive: false, proxyEnv: { ...env } });
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const sent = library.request(url, { ...asked, agent });
  sent.once('response', resolve);
  sent.once('error', reject);
  sent.end(body);
  return promise;
}

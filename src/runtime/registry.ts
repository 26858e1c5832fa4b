import type http from 'node:http';
import { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import { libraryFor } from '../network/library.ts';
import { credentialsFor } from './docker/credentials.ts';
import type { Environment } from './options.ts';

/*
 * The digest of a tag, as a registry tells it: the Registry HTTP API v2 (https://distribution.github.io/distribution/spec/api/),
 * with the token that it sends one for.
 */

const ACCEPT = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');
const SILENCE_MS = 20_000;
const MAX_TOKEN_BYTES = 64 * 1024;

interface Asking {
  readonly environment: Environment;
  readonly signal: AbortSignal;
}

/**
 * @param image `[registry/]repository[:tag]`
 * @throws UserError `image-pull-failed` where the registry does not tell
 */
export async function digestOfImage(image: string, asking: Asking): Promise<string> {
  const failed = (why: string, cause?: unknown) =>
    new UserError(
      'image-pull-failed',
      `The registry does not tell the digest of \`${excerpt(image, 200)}\`: ${why}`,
      `\`docker buildx imagetools inspect ${excerpt(image, 200)}\` shows it where the network allows.`,
      { cause },
    );
  const [, name = '', tag = 'latest'] = /^([a-z0-9][\w.:/-]*?)(?::([\w][\w.-]{0,127}))?$/i.exec(image) ?? [];
  if (name === '') throw failed('that is no name of an image');
  const [first = '', ...rest] = name.split('/');
  const isHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const host = isHost ? first : 'registry-1.docker.io';
  const repository = isHost ? rest.join('/') : rest.length > 0 ? name : `library/${name}`;
  // As the Docker client: what is on this machine needs no certificate.
  const scheme = /^(localhost|127\.\d+\.\d+\.\d+)(:|$)/.test(host) ? 'http' : 'https';
  const url = new URL(`${scheme}://${host}/v2/${repository}/manifests/${tag}`);
  try {
    let answer = await send('HEAD', url, { accept: ACCEPT }, asking);
    if (answer.status === 401) {
      const authorization = await tokenFor(answer.challenge, isHost ? first : 'docker.io', asking);
      if (authorization !== undefined)
        answer = await send('HEAD', url, { accept: ACCEPT, authorization }, asking);
    }
    if (answer.status === 200 && /^sha256:[0-9a-f]{64}$/.test(answer.digest)) return answer.digest;
    throw failed(`${host} answered ${answer.status}${answer.status === 200 ? ' without a digest' : ''}.`);
  } catch (error) {
    asking.signal.throwIfAborted();
    if (error instanceof UserError) throw error;
    throw failed(
      `${host} cannot be reached (${error instanceof Error ? excerpt(error.message, 200) : 'unknown'}).`,
      error,
    );
  }
}

/** `Bearer realm="…",service="…",scope="…"`: the realm gives a token, to anybody for what is public. */
async function tokenFor(challenge: string, registry: string, asking: Asking): Promise<string | undefined> {
  const told = new Map(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
  );
  const known = await credentialsFor(registry, asking.environment, () => {});
  const basic =
    known !== undefined && 'password' in known
      ? `Basic ${Buffer.from(`${known.username}:${known.password}`).toString('base64')}`
      : undefined;
  if (/^basic/i.test(challenge)) return basic;
  const realm = URL.parse(told.get('realm') ?? '');
  if (realm === null || !/^https?:$/.test(realm.protocol)) return undefined;
  for (const key of ['service', 'scope']) {
    const value = told.get(key);
    if (value !== undefined) realm.searchParams.set(key, value);
  }
  const { status, text } = await send(
    'GET',
    realm,
    basic === undefined ? {} : { authorization: basic },
    asking,
  );
  if (status !== 200) return undefined;
  const value: unknown = JSON.parse(text);
  if (typeof value !== 'object' || value === null) return undefined;
  const token = 'token' in value ? value.token : 'access_token' in value ? value.access_token : undefined;
  return typeof token === 'string' ? `Bearer ${token}` : undefined;
}

async function send(
  method: 'GET' | 'HEAD',
  url: URL,
  headers: http.OutgoingHttpHeaders,
  { environment, signal }: Asking,
): Promise<{ status: number; digest: string; challenge: string; text: string }> {
  const library = libraryFor(url);
  const agent = new library.Agent({ keepAlive: false, proxyEnv: { ...environment } });
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
  const request = library.request(url, { method, headers, agent, signal });
  request.setTimeout(SILENCE_MS, () => request.destroy(new Error(`nothing came for ${SILENCE_MS / 1000} s`)));
  request.once('response', resolve);
  request.once('error', reject);
  request.end();
  const response = await promise;
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) {
    text += String(chunk);
    if (text.length > MAX_TOKEN_BYTES) throw new Error('the answer is too long');
  }
  return {
    status: response.statusCode ?? 0,
    digest: String(response.headers['docker-content-digest'] ?? ''),
    challenge: String(response.headers['www-authenticate'] ?? ''),
    text,
  };
}

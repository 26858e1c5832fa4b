import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type http from 'node:http';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { UserError } from '../../errors.ts';
import { Hiccup } from '../../network/patience.ts';
import { credentialsFor } from '../../runtime/docker/credentials.ts';
import { plain } from '../foreign.ts';
import { type BaselineQuery, parseKey, type StoreKind } from '../port.ts';
import { bodyOf, jsonOf, send, textOf } from './http.ts';
import type { Packed } from './pack.ts';
import type { Archive, Newest, Remote, Scope } from './remote.ts';
import { capital, createRemoteStore } from './store.ts';

/*
 * Baselines as artifacts of an OCI registry: https://github.com/opencontainers/distribution-spec/blob/main/spec.md. Each is
 * a manifest of one layer, the packed baseline. A tag names it by its key, and another one says that it counts.
 */

export const ociStore: StoreKind = {
  name: 'oci',
  what: 'artifacts in a registry of images that the runner’s environment names: who may push there decides what is trusted',
  open: ({ path, environment, ...options }) =>
    createRemoteStore({
      ...options,
      kind: ociStore.name,
      remote: () => ociRemote(repositoryIn(environment), path, { environment, signal: options.signal }),
    }),
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Where artifacts are: the runner's to say, nothing of it the suite's. */
export interface Repository {
  /** Of the registry. */
  readonly base: URL;
  /** As Docker's configuration names it. */
  readonly registry: string;
  readonly name: string;
}

/** As the specification has it. */
const NAME = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const VARIABLE = 'DETERMINISM_OCI_REPOSITORY';

/** @throws UserError `store-unavailable` for an environment that names none */
export function repositoryIn(environment: Environment): Repository {
  const value = environment[VARIABLE]?.trim() ?? '';
  const [, registry = '', name = ''] = /^([a-z0-9.-]+(?::\d{1,5})?)\/(.{1,255})$/.exec(value) ?? [];
  if (!NAME.test(name) || !/[.:]|^localhost$/.test(registry))
    throw new UserError(
      'store-unavailable',
      value === ''
        ? `The environment does not say where the registry is: ${VARIABLE} is not set.`
        : `${VARIABLE} is "${plain(value)}", which is no repository of a registry.`,
      `Set it for this step, such as \`${VARIABLE}: ghcr.io/acme/baselines\`, and log in with docker/login-action.`,
    );
  // As the Docker client: what is on this machine needs no certificate.
  const scheme = /^(?:localhost|127\.\d+\.\d+\.\d+)(?::|$)/.test(registry) ? 'http' : 'https';
  const host = registry === 'docker.io' ? 'registry-1.docker.io' : registry;
  return { base: new URL(`${scheme}://${host}`), registry, name };
}

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const ARTIFACT = 'application/vnd.deterministic-ml.baseline.v1';
const LAYER = 'application/vnd.deterministic-ml.baseline.v1.tar+gzip';
const KEY = 'org.deterministic-ml.key';

/** What the specification has for an artifact that configures nothing. */
const EMPTY = { mediaType: 'application/vnd.oci.empty.v1+json', digest: `sha256:${sha256('{}')}`, size: 2 };

const Manifest = z.object({
  artifactType: z.literal(ARTIFACT),
  layers: z.tuple([
    z.object({ mediaType: z.literal(LAYER), digest: z.string().regex(/^sha256:[0-9a-f]{64}$/) }),
  ]),
  annotations: z.object({ [KEY]: z.string().max(512) }),
});
const Tags = z.object({ tags: z.array(z.string()).nullable() });
const Token = z.union([
  z.object({ token: z.string() }).transform(({ token }) => token),
  z.object({ access_token: z.string() }).transform(({ access_token: token }) => token),
]);

const MAX_MANIFEST = 64 * 1024;
const MAX_ANSWER = 4 * 1024 * 1024;
const MAX_PAGES = 100;
const MAX_HOPS = 3;

type Right = 'pull' | 'pull,push';

interface Asking {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly url: URL;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | (() => Readable);
  /** Answers that are no errors. */
  readonly wanted: readonly number[];
}

/** @param path apart from others' in the repository: `baseline.path` of the suite */
export function ociRemote(
  { base, registry, name: repository }: Repository,
  path: string,
  how: { readonly environment: Environment; readonly signal: AbortSignal; readonly silenceMs?: number },
): Remote {
  const name = `the repository ${registry}/${repository}`;
  let authorization: string | undefined;
  /** For which that is. */
  let held: Right | undefined;
  const at = (rest: string) => new URL(`/v2/${repository}/${rest}`, base);

  // A tag has neither slashes nor room for a key.
  const suiteTag = (kind: 'key' | 'newest', suite: string) => `${kind}-${short(path, suite)}-`;
  const archiveTags = ({ suite, hardwareClass }: BaselineQuery) =>
    `${suiteTag('key', suite)}${short(hardwareClass)}-`;
  const newestTag = ({ suite, hardwareClass }: BaselineQuery, scope: Scope) =>
    `${suiteTag('newest', suite)}${short(scope)}-${short(hardwareClass)}`;
  const archiveTag = (key: string) => `${archiveTags(parsed(key))}${short(key)}`;

  return {
    name,
    remedyOf: (key) =>
      `Delete the tags \`newest-…\`${parseKey(key) === undefined ? '' : ` and ${archiveTag(key)}`} of ${name}.`,

    async newest(query, scope): Promise<Newest | undefined> {
      const found = await manifestOf(newestTag(query, scope));
      return found === undefined ? undefined : { scope, ...found };
    },

    async archive(key): Promise<Archive | undefined> {
      const found = await manifestOf(archiveTag(key));
      if (found === undefined || found.key !== key) return undefined;
      return { sha256: found.sha256, open: () => blob(at(`blobs/sha256:${found.sha256}`)) };
    },

    async keys(query) {
      const tags = await list();
      return tags.filter((tag) => tag.startsWith(archiveTags(query)));
    },

    async classes(suite, scopes) {
      const prefixes = scopes.map((scope) => `${suiteTag('newest', suite)}${short(scope)}-`);
      const tags = (await list()).filter((tag) => prefixes.some((prefix) => tag.startsWith(prefix)));
      const found = new Set<string>();
      for (const tag of tags) {
        const key = parseKey((await manifestOf(tag))?.key ?? '');
        if (key?.suite === suite) found.add(key.hardwareClass);
      }
      return [...found].sort();
    },

    async put(key, packed) {
      const tag = archiveTag(key);
      const there = await manifestOf(tag);
      if (there !== undefined) return there.sha256 === packed.sha256 ? 'stored' : 'exists';
      await upload(EMPTY.digest, EMPTY.size, '{}');
      await upload(`sha256:${packed.sha256}`, packed.bytes, () => createReadStream(packed.path));
      await tagAs(tag, manifestText(key, packed));
      return 'stored';
    },

    async advance(query, { scope, key }, from) {
      const tag = newestTag(query, scope);
      const text = await rawManifest(archiveTag(key));
      const now = await manifestOf(tag);
      // A registry takes no conditions: what is there is looked at before, and by the caller after.
      if (text === undefined || now?.state !== from?.state) return now?.key === key;
      await tagAs(tag, text);
      return true;
    },

    async mayWrite() {
      // An upload that is begun and given up leaves nothing.
      const reply = await ask(
        { method: 'POST', url: at('blobs/uploads/'), wanted: [202, 401, 403] },
        'pull,push',
      );
      reply.resume();
      const place = reply.headers.location;
      if (reply.statusCode !== 202) return false;
      if (place !== undefined) {
        const url = new URL(place, base);
        const gone = await ask({ method: 'DELETE', url, wanted: [200, 202, 204, 404, 405] }, 'pull,push');
        gone.resume();
      }
      return true;
    },
  };

  async function manifestOf(tag: string): Promise<Omit<Newest, 'scope'> | undefined> {
    const text = await rawManifest(tag);
    if (text === undefined) return undefined;
    const manifest = Manifest.safeParse(jsonOf(text));
    if (!manifest.success)
      throw new UserError(
        'baseline-invalid',
        `The tag ${tag} of ${name} is no baseline of this action.`,
        'Find out who can push there, delete it, and refresh the baseline.',
        { cause: manifest.error },
      );
    const { annotations, layers } = manifest.data;
    return { key: annotations[KEY], sha256: layers[0].digest.slice('sha256:'.length), state: sha256(text) };
  }

  async function rawManifest(tag: string): Promise<string | undefined> {
    const url = at(`manifests/${tag}`);
    const reply = await ask({ method: 'GET', url, headers: { accept: MANIFEST }, wanted: [200, 404] });
    const text = await textOf(reply, MAX_MANIFEST);
    if (reply.statusCode === 200) return text;
    // The repository is not there before something is pushed; a proxy's page says nothing of it.
    if (/"(?:MANIFEST_UNKNOWN|NAME_UNKNOWN|NOT_FOUND)"/.test(text)) return undefined;
    throw new Hiccup(`it answered 404 (${plain(text.replaceAll(/<[^>]*>/g, ' '), 100)})`, undefined);
  }

  async function tagAs(tag: string, text: string): Promise<void> {
    const headers = { 'content-type': MANIFEST, 'content-length': String(Buffer.byteLength(text)) };
    const url = at(`manifests/${tag}`);
    const reply = await ask({ method: 'PUT', url, headers, body: text, wanted: [201] }, 'pull,push');
    reply.resume();
  }

  async function upload(digest: string, bytes: number, body: string | (() => Readable)): Promise<void> {
    const there = await ask(
      { method: 'HEAD', url: at(`blobs/${digest}`), wanted: [200, 307, 404] },
      'pull,push',
    );
    there.resume();
    if (there.statusCode === 200) return;
    const begun = await ask({ method: 'POST', url: at('blobs/uploads/'), wanted: [202] }, 'pull,push');
    begun.resume();
    const url = new URL(begun.headers.location ?? '', base);
    url.searchParams.set('digest', digest);
    const headers = { 'content-type': 'application/octet-stream', 'content-length': String(bytes) };
    const done = await ask({ method: 'PUT', url, headers, body, wanted: [201] }, 'pull,push');
    done.resume();
  }

  async function blob(url: URL, hops = 0): Promise<AsyncIterable<Uint8Array>> {
    const reply = await ask({ method: 'GET', url, wanted: [200, 301, 302, 303, 307, 308] });
    if (reply.statusCode === 200) return bodyOf(reply);
    reply.resume();
    const to = URL.parse(reply.headers.location ?? '', url.href);
    if (to === null || (to.protocol !== 'https:' && to.protocol !== base.protocol) || hops === MAX_HOPS)
      throw new Hiccup('it leads nowhere', undefined);
    return await blob(to, hops + 1);
  }

  async function list(): Promise<readonly string[]> {
    const all: string[] = [];
    let url: URL | undefined = at('tags/list?n=1000');
    for (let page = 0; page < MAX_PAGES && url !== undefined; page++) {
      const reply: http.IncomingMessage = await ask({ method: 'GET', url, wanted: [200, 404] });
      const text = await textOf(reply, MAX_ANSWER);
      if (reply.statusCode === 404 && /"NAME_UNKNOWN"/.test(text)) return [];
      const found = Tags.safeParse(jsonOf(text));
      if (!found.success) throw new Hiccup('it answered with no list of tags', undefined);
      all.push(...(found.data.tags ?? []));
      const next = /^<([^>]+)>;\s*rel="?next/.exec(String(reply.headers['link'] ?? ''))?.[1];
      const after: URL | null = next === undefined ? null : URL.parse(next, base.href);
      url = after?.origin === base.origin ? after : undefined;
    }
    if (url === undefined) return all;
    throw new UserError(
      'store-unavailable',
      `${capital(name)} has too many tags.`,
      `Give baselines a repository of their own (${VARIABLE}).`,
    );
  }

  /** The answer to a request; a challenge is answered first. Only the registry itself is sent credentials. */
  async function ask(asking: Asking, right: Right = 'pull'): Promise<http.IncomingMessage> {
    // Not every registry says of a token for too little that it wants another one.
    if (right === 'pull,push' && held === 'pull') authorization = undefined;
    const first = await once(asking);
    if (first.statusCode !== 401 || asking.url.origin !== base.origin) return checked(asking, first);
    first.resume();
    authorization = await answerTo(String(first.headers['www-authenticate'] ?? ''), right);
    held = right;
    return checked(asking, await once(asking));
  }

  function once({ method, url, headers = {}, body }: Asking): Promise<http.IncomingMessage> {
    const isOwn = url.origin === base.origin && authorization !== undefined;
    return send({
      ...{ method, url, ...how },
      headers: { ...headers, ...(isOwn ? { authorization } : {}) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : body() }),
    });
  }

  async function checked(
    { method, url, wanted }: Asking,
    reply: http.IncomingMessage,
  ): Promise<http.IncomingMessage> {
    const { statusCode: status = 0 } = reply;
    if (wanted.includes(status)) return reply;
    const said = /"code"\s*:\s*"(\w{1,60})"/.exec(await textOf(reply, MAX_ANSWER))?.[1] ?? '';
    const isWrite = method !== 'GET' && method !== 'HEAD';
    const isDenied = status === 401 || status === 403;
    throw new UserError(
      isWrite && isDenied ? 'store-refused' : 'store-unavailable',
      `${isWrite ? `The baseline was not stored: ${name}` : capital(name)} answered ${status}${said === '' ? '' : ` (${said})`} to ${method} ${plain(url.pathname)}.`,
      `${isWrite ? '' : 'Whether there is a baseline is unknown, so this is an error and no verdict. '}${isDenied ? `Log in to ${registry} on this runner (docker/login-action) with the right to ${isWrite ? 'push' : 'pull'}.` : `Correct ${VARIABLE}.`}`,
    );
  }

  /** `Basic`, or `Bearer realm="…",service="…"`: the realm gives a token, to anybody for what is public. */
  async function answerTo(challenge: string, right: Right): Promise<string | undefined> {
    const known = await credentialsFor(registry, how.environment, () => {});
    const basic =
      known !== undefined && 'password' in known
        ? `Basic ${Buffer.from(`${known.username}:${known.password}`).toString('base64')}`
        : undefined;
    if (/^basic/i.test(challenge)) return basic;
    const told = new Map(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, key = '', value = '']) => [key, value]),
    );
    const realm = URL.parse(told.get('realm') ?? '');
    if (realm === null || (realm.protocol !== 'https:' && realm.protocol !== base.protocol)) return undefined;
    const asked = {
      ...(told.has('service') ? { service: told.get('service') ?? '' } : {}),
      scope: `repository:${repository}:${right}`,
    };
    const refresh = known !== undefined && 'identitytoken' in known ? known.identitytoken : undefined;
    const form = new URLSearchParams({
      ...{ ...asked, grant_type: 'refresh_token', client_id: 'deterministic-ml' },
      refresh_token: refresh ?? '',
    }).toString();
    if (refresh === undefined)
      for (const [key, value] of Object.entries(asked)) realm.searchParams.set(key, value);
    const reply = await send({
      ...how,
      ...(refresh === undefined
        ? { method: 'GET', headers: basic === undefined ? {} : { authorization: basic } }
        : {
            method: 'POST',
            headers: {
              'content-type': 'application/x-www-form-urlencoded',
              'content-length': Buffer.byteLength(form),
            },
            body: form,
          }),
      url: realm,
    });
    const token = Token.safeParse(jsonOf(await textOf(reply, MAX_MANIFEST)));
    return reply.statusCode === 200 && token.success ? `Bearer ${token.data}` : undefined;
  }
}

const manifestText = (key: string, packed: Packed) =>
  JSON.stringify({
    ...{ schemaVersion: 2, mediaType: MANIFEST, artifactType: ARTIFACT, config: EMPTY },
    layers: [{ mediaType: LAYER, digest: `sha256:${packed.sha256}`, size: packed.bytes }],
    annotations: { [KEY]: key },
  });

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** Of names, as a part of a tag: 96 bits. */
const short = (...names: readonly string[]) => sha256(JSON.stringify(names)).slice(0, 24);

function parsed(key: string): BaselineQuery {
  const query = parseKey(key);
  if (query === undefined) throw new Error(`this is no key of a baseline: ${key}`);
  return query;
}

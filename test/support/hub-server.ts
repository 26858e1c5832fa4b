import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

/*
 * The part of the Hugging Face Hub's HTTP API that fetches a model, as its OpenAPI description
 * (https://huggingface.co/.well-known/openapi.json) and its own clients have it: the tree of a commit, page by page, and
 * files by commit, the large ones by a redirect to another host that takes no token.
 */

/** What goes wrong; everything else is as the hub does it. */
export type HubFault =
  /** The first download of each large file breaks off in the middle. */
  | 'break-once'
  /** Each download of a large file breaks off after 64 KiB. */
  | 'break'
  /** A byte of each large file is wrong. */
  | 'corrupt'
  | 'corrupt-small'
  /** Large files stop after 64 KiB, with the connection open. */
  | 'stall'
  /** The first request for each file and each list is answered with 503. */
  | 'busy-once'
  /** The first request for each file and each list comes too early. */
  | 'limit-once'
  /** The commit resolves to another one. */
  | 'moved'
  /** Knows no byte ranges. */
  | 'no-ranges'
  /** A file of the list lies elsewhere. */
  | 'outside'
  /** Sends one byte more than there are. */
  | 'longer';

export interface HubModel {
  readonly id: string;
  readonly revision: string;
  readonly files: Readonly<Record<string, Buffer>>;
}

export interface HubServerOptions {
  readonly address?: string;
  /** Without it the model is not to be seen. */
  readonly token?: string;
  /** Whether whoever has the token has not accepted the model's conditions. */
  readonly gated?: boolean;
  readonly fault?: HubFault;
}

/** A model that nobody else has. */
export function aHubModel(files: Readonly<Record<string, Buffer>> = {}): HubModel {
  return {
    id: 'org/tiny',
    revision: randomBytes(20).toString('hex'),
    files: {
      'config.json': Buffer.from('{"model_type": "tiny"}'),
      'tokenizer.json': Buffer.from('{}'),
      'model.safetensors': randomBytes(2 * 1024 * 1024),
      'pytorch_model.bin': Buffer.from('the same weights again'),
      'README.md': Buffer.from('not needed'),
      'empty.txt': Buffer.alloc(0),
      'sub/chat template.jinja': Buffer.from('{{ messages }}'),
      ...files,
    },
  };
}

export interface HubServer extends AsyncDisposable {
  readonly endpoint: string;
  /** What was asked of the hub and of its storage so far: method, path, range. */
  readonly requests: readonly string[];
}

const BLOCK = 64 * 1024;
/** Small, so that a model has several pages. */
const PAGE = 3;

const isLarge = (path: string) => /\.(safetensors|bin|gguf)$/.test(path);
const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex');
const blobOf = (content: Buffer) =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');

export async function startHub(model: HubModel, options: HubServerOptions = {}): Promise<HubServer> {
  const hub = new Hub(model, options);
  await hub.listen();
  return hub;
}

class Hub implements HubServer {
  readonly requests: string[] = [];
  readonly #model: HubModel;
  readonly #options: HubServerOptions;
  readonly #api: Server;
  /** Large files live on another host: its own port here. */
  readonly #storage: Server;
  readonly #seen = new Set<string>();

  constructor(model: HubModel, options: HubServerOptions) {
    this.#model = model;
    this.#options = options;
    this.#api = createServer((asked, reply) => void this.#answer(asked, reply));
    this.#storage = createServer((asked, reply) => void this.#store(asked, reply));
  }

  get endpoint(): string {
    return addressOf(this.#api);
  }

  async listen(): Promise<void> {
    for (const server of [this.#api, this.#storage]) {
      server.listen(0, this.#options.address ?? '127.0.0.1');
      await once(server, 'listening');
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#api, this.#storage]) {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    }
  }

  async #answer(asked: IncomingMessage, reply: ServerResponse): Promise<void> {
    const url = new URL(asked.url ?? '/', this.endpoint);
    this.#note(asked, url);
    const { token, gated, fault } = this.#options;
    const given = asked.headers.authorization;
    if (token !== undefined && given !== `Bearer ${token}`)
      return given === undefined
        ? refuse(reply, 401, 'RepoNotFound', 'Repository not found')
        : refuse(reply, 401, undefined, 'Invalid credentials in Authorization header');
    if (fault === 'busy-once' && this.#first(url.pathname))
      return refuse(reply, 503, undefined, 'Service Unavailable');
    if (fault === 'limit-once' && this.#first(url.pathname))
      return refuse(reply, 429, undefined, 'We had to rate limit you', { 'retry-after': '0' });
    const tree = /^\/api\/models\/([^/]+\/[^/]+)\/tree\/([^/]+)$/.exec(url.pathname);
    const file = /^\/([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/.exec(url.pathname);
    const described = /^\/api\/models\/([^/]+\/[^/]+)\/revision\/([^/]+)$/.exec(url.pathname);
    const [, id, revision, name] = tree ?? described ?? file ?? [];
    if (id === undefined) return refuse(reply, 404, undefined, 'Sorry, we can’t find the page');
    if (id !== this.#model.id)
      // Who asks without a token is not told whether there is one.
      return given === undefined
        ? refuse(reply, 401, 'RepoNotFound', 'Invalid username or password.')
        : refuse(reply, 404, 'RepoNotFound', 'Repository not found');
    if (revision !== this.#model.revision && revision !== 'main')
      return refuse(reply, 404, 'RevisionNotFound', `Invalid rev id: ${revision}`);
    if (tree !== null) return this.#tree(url, reply);
    if (described !== null)
      return send(reply, 200, JSON.stringify({ id, sha: this.#model.revision, private: false }), {});
    // The list of a gated model can be seen by everybody, its files cannot.
    if (gated === true) return refuse(reply, 403, 'GatedRepo', 'Access to model org/tiny is restricted');
    return await this.#resolve(decodeURIComponent(name ?? ''), asked, reply);
  }

  #tree(url: URL, reply: ServerResponse): void {
    const paths = Object.keys(this.#model.files);
    const folders = new Set(paths.filter((path) => path.includes('/')).map((path) => path.split('/')[0]));
    const entries: object[] = [
      ...[...folders].map((path) => ({ type: 'directory', oid: '0'.repeat(40), size: 0, path })),
      ...Object.entries(this.#model.files).map(([path, content]) => entryOf(path, content)),
    ];
    if (this.#options.fault === 'outside') entries.push(entryOf('../../evil.json', Buffer.from('{}')));
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const next = new URL(url);
    next.searchParams.set('cursor', String(from + PAGE));
    send(
      reply,
      200,
      JSON.stringify(entries.slice(from, from + PAGE)),
      from + PAGE < entries.length ? { link: `<${next.href}>; rel="next"` } : {},
    );
  }

  async #resolve(name: string, asked: IncomingMessage, reply: ServerResponse): Promise<void> {
    const content = this.#model.files[name];
    if (content === undefined) return refuse(reply, 404, 'EntryNotFound', 'Entry not found');
    const commit = this.#options.fault === 'moved' ? 'b'.repeat(40) : this.#model.revision;
    if (!isLarge(name)) return await this.#send(name, content, asked, reply, { 'x-repo-commit': commit });
    send(reply, 302, '', {
      location: `${addressOf(this.#storage)}/${sha256(content)}?X-Amz-Signature=1`,
      'x-repo-commit': commit,
      'x-linked-size': String(content.length),
      'x-linked-etag': `"${sha256(content)}"`,
    });
  }

  async #store(asked: IncomingMessage, reply: ServerResponse): Promise<void> {
    const url = new URL(asked.url ?? '/', addressOf(this.#storage));
    this.#note(asked, url);
    if (asked.headers.authorization !== undefined)
      return refuse(reply, 400, undefined, 'Only one auth mechanism allowed');
    const found = Object.entries(this.#model.files).find(
      ([, content]) => sha256(content) === url.pathname.slice(1),
    );
    if (found === undefined) return refuse(reply, 404, undefined, 'NoSuchKey');
    await this.#send(found[0], found[1], asked, reply, {});
  }

  async #send(
    name: string,
    content: Buffer,
    asked: IncomingMessage,
    reply: ServerResponse,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    const { fault } = this.#options;
    let sent = content;
    if (content.length > 0 && fault === (isLarge(name) ? 'corrupt' : 'corrupt-small')) {
      sent = Buffer.from(content);
      sent[sent.length >> 1] = (sent[sent.length >> 1] ?? 0) ^ 1;
    }
    if (fault === 'longer' && isLarge(name)) sent = Buffer.concat([content, Buffer.from('!')]);
    const range = fault === 'no-ranges' ? undefined : /^bytes=(\d+)-$/.exec(asked.headers.range ?? '')?.[1];
    const begin = Number(range ?? 0);
    reply.writeHead(range === undefined ? 200 : 206, {
      ...headers,
      'accept-ranges': 'bytes',
      'content-length': sent.length - begin,
      ...(range === undefined ? {} : { 'content-range': `bytes ${begin}-${sent.length - 1}/${sent.length}` }),
    });
    const breaks =
      isLarge(name) &&
      ((fault === 'break-once' && this.#first(name)) || (fault === 'no-ranges' && this.#first(name)));
    const end = breaks
      ? begin + ((sent.length - begin) >> 1)
      : isLarge(name) && (fault === 'break' || fault === 'stall')
        ? Math.min(sent.length, begin + BLOCK)
        : sent.length;
    reply.write(sent.subarray(begin, end));
    if (end === sent.length) reply.end();
    // What was written has to be on its way before the line is cut.
    else if (fault !== 'stall') await delay(10).then(() => reply.destroy());
  }

  #note(asked: IncomingMessage, url: URL): void {
    this.requests.push([asked.method, url.pathname, asked.headers.range ?? ''].join(' ').trim());
  }

  #first(key: string): boolean {
    const isFirst = !this.#seen.has(key);
    this.#seen.add(key);
    return isFirst;
  }
}

function entryOf(path: string, content: Buffer): object {
  if (!isLarge(path)) return { type: 'file', oid: blobOf(content), size: content.length, path };
  const oid = sha256(content);
  const pointer = Buffer.from(
    `version https://git-lfs.github.com/spec/v1\noid sha256:${oid}\nsize ${content.length}\n`,
  );
  return {
    type: 'file',
    oid: blobOf(pointer),
    size: content.length,
    lfs: { oid, size: content.length, pointerSize: pointer.length },
    path,
  };
}

function addressOf(server: Server): string {
  const { address, port } = server.address() as AddressInfo;
  return `http://${address}:${port}`;
}

function refuse(
  reply: ServerResponse,
  status: number,
  code: string | undefined,
  message: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(reply, status, JSON.stringify({ error: message }), {
    'x-error-message': message.replace('’', "'"),
    ...(code === undefined ? {} : { 'x-error-code': code }),
    ...headers,
  });
}

function send(
  reply: ServerResponse,
  status: number,
  body: string,
  headers: Readonly<Record<string, string>>,
): void {
  reply.writeHead(status, { 'content-type': 'application/json', ...headers });
  reply.end(body);
}

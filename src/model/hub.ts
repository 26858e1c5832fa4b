import type http from 'node:http';
import { z } from 'zod';
import type { HubModel } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import { libraryFor } from '../network/library.ts';
import { Hiccup } from '../network/patience.ts';
import { VERSION } from '../version.ts';

export interface HubOptions {
  /** URL of another hub than the public one, such as a mirror. */
  readonly endpoint: string | undefined;
  readonly token: string | undefined;
  /** The proxies of the runner are named here. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** A file as the hub describes it at a commit. */
export interface HubFile {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of a large file's content, or the id of a small one's git blob (SHA-1). */
  readonly digest: { readonly kind: 'sha256' | 'git-blob'; readonly hex: string };
}

/** Where the content of a file comes in, and from which of its bytes on. */
export interface Content {
  readonly from: number;
  readonly body: http.IncomingMessage;
}

const PUBLIC = 'https://huggingface.co';
/** Without a byte from the other side. */
const SILENCE_MS = 60_000;
const MAX_HOPS = 5;
const MAX_LIST_BYTES = 16 * 1024 * 1024;
const MAX_PAGES = 100;

const sha1 = z.string().regex(/^[0-9a-f]{40}$/);
const size = z.number().int().nonnegative();
/** https://huggingface.co/.well-known/openapi.json: `/api/models/{namespace}/{repo}/tree/{rev}/{path}`. */
const Tree = z.array(
  z.object({
    type: z.string(),
    path: z.string(),
    size,
    oid: z.string(),
    lfs: z.object({ oid: z.string().regex(/^(sha256:)?[0-9a-f]{64}$/), size }).optional(),
  }),
);

/** `/api/models/{namespace}/{repo}/revision/{rev}` of the same. */
const Described = z.object({ sha: sha1 });

/**
 * Reads one model of the hub at one commit, by the hub's HTTP API. The token goes to the hub alone: it is not sent along
 * where the hub redirects to another host.
 */
export class Hub {
  readonly #options: HubOptions;
  readonly #base: URL;
  readonly #model: HubModel;
  readonly #signal: AbortSignal;

  /** @throws UserError `model-fetch-failed` for an endpoint that is no address */
  constructor(options: HubOptions, model: HubModel, signal: AbortSignal) {
    const endpoint = options.endpoint || PUBLIC;
    const base = URL.parse(endpoint.replace(/\/*$/, '/'));
    if (base === null || !/^https?:$/.test(base.protocol))
      throw new UserError(
        'model-fetch-failed',
        `The hub's address \`${excerpt(endpoint, 200)}\` (HF_ENDPOINT) is not a URL.`,
        'Set HF_ENDPOINT to something like `https://hub.example`, or unset it.',
      );
    this.#options = options;
    this.#base = base;
    this.#model = model;
    this.#signal = signal;
  }

  /** Where it is, with a slash at its end, for whoever is to know no password of it. */
  get address(): string {
    const address = new URL(this.#base);
    address.username = address.password = '';
    return address.href;
  }

  /** The commit itself, where the revision is a branch or a tag. @throws UserError `model-fetch-failed`; Hiccup */
  async commit(): Promise<string> {
    const { id, revision } = this.#model;
    const { body } = await this.#get(
      new URL(`api/models/${id}/revision/${encodeURIComponent(revision)}`, this.#base),
    );
    const text = await textOf(body, () => this.#strange('gave a description too long'));
    const told = Described.safeParse(parseJson(text));
    if (!told.success) throw this.#strange('told no commit');
    return told.data.sha;
  }

  /** All files at the commit. @throws UserError `model-fetch-failed`; Hiccup for what may work the next time */
  async list(): Promise<HubFile[]> {
    const files: HubFile[] = [];
    let url: URL | undefined = new URL(
      `api/models/${this.#model.id}/tree/${this.#model.revision}?recursive=true`,
      this.#base,
    );
    for (let page = 0; url !== undefined; page++) {
      if (page === MAX_PAGES) throw this.#strange('lists more files than a model can have');
      const answer: Answer = await this.#get(url);
      files.push(...this.#entries(await textOf(answer.body, () => this.#strange('gave a list too long'))));
      url = nextPage(answer);
      if (url !== undefined && url.origin !== this.#base.origin)
        throw this.#strange('continues its list on another host');
    }
    return files;
  }

  /** @throws UserError `model-fetch-failed`; Hiccup for what may work the next time */
  async open({ path }: HubFile, from: number): Promise<Content> {
    const { id, revision } = this.#model;
    const name = path.split('/').map(encodeURIComponent).join('/');
    const { body, commit } = await this.#get(
      new URL(`${id}/resolve/${revision}/${name}`, this.#base),
      from === 0 ? {} : { range: `bytes=${from}-` },
    );
    // The hub resolves branches and tags too; only the commit itself cannot move.
    if (commit !== revision) {
      body.destroy();
      throw this.#strange(
        `answered with commit ${excerpt(commit ?? 'unknown', 80)} for ${excerpt(path, 200)}`,
      );
    }
    const begin = /^bytes (\d+)-/.exec(body.headers['content-range'] ?? '')?.[1];
    return { from: body.statusCode === 206 ? Number(begin ?? from) : 0, body };
  }

  #entries(text: string): HubFile[] {
    const parsed = Tree.safeParse(parseJson(text));
    if (!parsed.success) throw this.#strange('gave a list of files that is not understood');
    return parsed.data
      .filter(({ type }) => type === 'file')
      .map(({ path, oid, lfs, ...entry }): HubFile => {
        if (
          path.startsWith('/') ||
          path.split('/').some((part) => part === '..' || part === '' || part === '.')
        )
          throw this.#strange(`named a file outside of the model: ${excerpt(path, 200)}`);
        if (lfs !== undefined)
          return { path, bytes: lfs.size, digest: { kind: 'sha256', hex: lfs.oid.slice(-64) } };
        if (!sha1.safeParse(oid).success)
          throw this.#strange(`told no digest to verify ${excerpt(path, 200)} by`);
        return { path, bytes: entry.size, digest: { kind: 'git-blob', hex: oid } };
      });
  }

  async #get(first: URL, headers: http.OutgoingHttpHeaders = {}): Promise<Answer> {
    let url = first;
    let commit: string | undefined;
    for (let hops = 0; ; hops++) {
      const own = url.origin === this.#base.origin;
      const { token } = this.#options;
      const body = await this.#send(url, {
        'user-agent': `deterministic-ml/${VERSION}`,
        'accept-encoding': 'identity',
        ...headers,
        ...(own && token !== undefined ? { authorization: `Bearer ${token}` } : {}),
      });
      const { statusCode: status = 0, headers: told } = body;
      // Only the hub itself knows: where it redirects to are files without a history.
      if (own) commit = [told['x-repo-commit']].flat()[0] ?? commit;
      if (status === 200 || status === 206) return { url, body, commit };
      body.destroy();
      const next = told.location === undefined ? null : URL.parse(told.location, url.href);
      if (status < 300 || status >= 400 || next === null || !/^https?:$/.test(next.protocol))
        throw this.#refused(status, told, own);
      if (hops === MAX_HOPS) throw this.#strange('redirects in a circle');
      url = next;
    }
  }

  async #send(url: URL, headers: http.OutgoingHttpHeaders): Promise<http.IncomingMessage> {
    this.#signal.throwIfAborted();
    const library = libraryFor(url);
    const agent = new library.Agent({ keepAlive: false, proxyEnv: { ...this.#options.environment } });
    const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>();
    const request = library.get(url, { headers, agent, signal: this.#signal });
    request.setTimeout(SILENCE_MS, () =>
      request.destroy(new Error(`${url.host} sent nothing for ${SILENCE_MS / 1000} s`)),
    );
    request.once('response', resolve);
    request.once('error', reject);
    try {
      return await promise;
    } catch (error) {
      this.#signal.throwIfAborted();
      throw new Hiccup(error instanceof Error ? error.message : String(error), undefined, error);
    }
  }

  #refused(status: number, headers: http.IncomingHttpHeaders, own: boolean): Error {
    const said = [headers['x-error-message']].flat()[0];
    const words = `${status}${said === undefined ? '' : `, “${excerpt(said, 300)}”`}`;
    if (status === 429 || status === 408 || status >= 500) {
      const after = Number([headers['retry-after']].flat()[0]);
      return new Hiccup(`the hub answered ${words}`, Number.isFinite(after) ? after : undefined);
    }
    // A link that ran out, which the hub makes anew.
    if (!own && status === 403) return new Hiccup('the hub’s storage answered 403', undefined);
    const failed = (text: string, hint: string) =>
      new UserError('model-fetch-failed', `${this.#name}: ${text} (${words}).`, hint);
    const { token } = this.#options;
    switch (status) {
      case 401:
        return token === undefined
          ? failed(
              'the hub has no such model for somebody without a token',
              'Check `model.id`; for a gated or private model give the `hub-token` input a token that may read it.',
            )
          : failed(
              'the hub does not take the token',
              'Give the `hub-token` input a token that is valid and may read this model.',
            );
      case 403:
        return failed(
          'the hub does not give this model to this token',
          'Accept the model’s conditions on its page with the account of the `hub-token`, and see that the token may read gated repositories.',
        );
      case 404:
        return failed(
          'the hub does not know this model, or this commit of it',
          'Check `model.id` and `model.revision`; a private model needs a `hub-token` that may read it.',
        );
      default:
        return failed(
          'the hub gave an answer that is not understood',
          'Check HF_ENDPOINT, and what stands between this machine and the hub.',
        );
    }
  }

  get #name(): string {
    return `${this.#model.id} at ${this.#model.revision}`;
  }

  #strange(what: string): UserError {
    return new UserError(
      'model-fetch-failed',
      `${this.#name}: the hub ${what}.`,
      'Check `model.id` and `model.revision`, and that HF_ENDPOINT, if it is set, names a hub.',
    );
  }
}

interface Answer {
  /** Where it came from in the end. */
  readonly url: URL;
  readonly body: http.IncomingMessage;
  readonly commit: string | undefined;
}

/** `Link: <https://…>; rel="next"`. */
function nextPage({ url, body }: Answer): URL | undefined {
  const link = [body.headers['link']].flat()[0] ?? '';
  const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link)?.[1];
  return next === undefined ? undefined : (URL.parse(next, url.href) ?? undefined);
}

async function textOf(body: http.IncomingMessage, tooLong: () => Error): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body) {
      const bytes: Buffer = chunk;
      length += bytes.length;
      if (length > MAX_LIST_BYTES) break;
      chunks.push(bytes);
    }
  } catch (error) {
    throw new Hiccup(error instanceof Error ? error.message : String(error), undefined, error);
  }
  if (length > MAX_LIST_BYTES) throw tooLong();
  return Buffer.concat(chunks).toString('utf8');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type http from 'node:http';
import type { Readable } from 'node:stream';
import { z } from 'zod';
import { UserError } from '../../errors.ts';
import { Hiccup } from '../../network/patience.ts';
import { plain } from '../foreign.ts';
import { type BaselineQuery, keyPrefix, parseKey, type StoreKind } from '../port.ts';
import { bodyOf, jsonOf, send, textOf } from './http.ts';
import type { Packed } from './pack.ts';
import type { Archive, Newest, Remote, Scope } from './remote.ts';
import { EMPTY_SHA256, encoded, type SigningKeys, signed } from './sign.ts';
import { capital, createRemoteStore } from './store.ts';

export const s3Store: StoreKind = {
  name: 's3',
  what: 'a bucket of S3’s protocol that the runner’s environment names: who may write to it decides what is trusted',
  open: ({ path, environment, ...options }) =>
    createRemoteStore({
      ...options,
      kind: s3Store.name,
      remote: () => s3Remote(placeIn(environment), path, { environment, signal: options.signal }),
    }),
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Where a bucket is, and with what it is asked: all of it the runner's, nothing the suite's. */
export interface Place {
  /** Of the bucket, ending with a slash. */
  readonly base: URL;
  readonly bucket: string;
  readonly region: string;
  readonly keys: SigningKeys;
}

/** @throws UserError `store-unavailable` for an environment that does not say where, or with what */
export function placeIn(environment: Environment): Place {
  const read = (...names: readonly string[]) => {
    for (const name of names) {
      const value = environment[name]?.trim() ?? '';
      if (value !== '') return value;
    }
    return undefined;
  };
  const bucket = read('DETERMINISM_S3_BUCKET');
  const accessKeyId = read('AWS_ACCESS_KEY_ID');
  const secretAccessKey = read('AWS_SECRET_ACCESS_KEY');
  const endpoint = read('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL');
  const region =
    read('AWS_REGION', 'AWS_DEFAULT_REGION') ?? (endpoint === undefined ? undefined : 'us-east-1');
  if (
    bucket === undefined ||
    accessKeyId === undefined ||
    secretAccessKey === undefined ||
    region === undefined
  ) {
    const missing = [
      ...(bucket === undefined ? ['DETERMINISM_S3_BUCKET'] : []),
      ...(accessKeyId === undefined ? ['AWS_ACCESS_KEY_ID'] : []),
      ...(secretAccessKey === undefined ? ['AWS_SECRET_ACCESS_KEY'] : []),
      ...(region === undefined ? ['AWS_REGION'] : []),
    ];
    throw new UserError(
      'store-unavailable',
      `The environment does not say where the bucket is: ${missing.join(', ')} ${missing.length === 1 ? 'is' : 'are'} not set.`,
      'Set them for this step, such as by aws-actions/configure-aws-credentials; a pull request from a fork has none.',
    );
  }
  const keys = { accessKeyId, secretAccessKey, sessionToken: read('AWS_SESSION_TOKEN') };
  return { base: baseOf(bucket, region, endpoint), bucket, region, keys };
}

function baseOf(bucket: string, region: string, endpoint: string | undefined): URL {
  const wrong = (why: string) =>
    new UserError(
      'store-unavailable',
      `The environment names no place of a bucket: ${why}.`,
      'Correct DETERMINISM_S3_BUCKET, AWS_REGION or AWS_ENDPOINT_URL_S3.',
    );
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) throw wrong(`"${plain(bucket)}" is no name of one`);
  if (!/^[a-z0-9-]{1,64}$/i.test(region)) throw wrong(`"${plain(region)}" is no region`);
  if (endpoint === undefined) {
    const host = `s3.${region}.amazonaws.com`;
    // A dot in the name is in no certificate.
    return new URL(bucket.includes('.') ? `https://${host}/${bucket}/` : `https://${bucket}.${host}/`);
  }
  const url = URL.parse(endpoint);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '')
    throw wrong('its endpoint is no http(s) URL without a user and a query');
  // What comes over plain HTTP anybody on the way can replace.
  if (url.protocol === 'http:' && !/^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname))
    throw wrong(`${url.host} is asked over plain HTTP, which only this machine itself is`);
  return new URL(`${url.href.replace(/\/+$/, '')}/${bucket}/`);
}

/** The small file that says which one counts. */
const Pointer = z.strictObject({ key: z.string().max(512), sha256: z.string().regex(/^[0-9a-f]{64}$/) });
type Pointer = z.infer<typeof Pointer>;
const NEWEST = 'newest';
/** A branch’s name may be longer than that of an object. */
const pointerName = (scope: Scope) =>
  scope === '' ? NEWEST : `${NEWEST}-${createHash('sha256').update(scope).digest('hex').slice(0, 16)}`;
const ARCHIVE = '.tar.gz';
const SHA256 = 'x-amz-meta-sha256';

const MAX_POINTER = 4096;
const MAX_ANSWER = 4 * 1024 * 1024;
/** Of 1,000 names each. */
const MAX_PAGES = 100;

interface Asking {
  readonly method: 'GET' | 'HEAD' | 'PUT';
  /** Below the prefix; of the bucket itself where there is a query. */
  readonly object: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: {
    readonly content: string | (() => Readable);
    readonly sha256: string;
    readonly bytes: number;
  };
}

/**
 * @param path below which all lies in the bucket: `baseline.path` of the suite
 * @param how who asks, and until when
 */
export function s3Remote(
  { base, bucket, region, keys }: Place,
  path: string,
  how: {
    readonly environment: Environment;
    readonly signal: AbortSignal;
    readonly silenceMs?: number;
    /** Names of one answer, at most; else as many as the server gives. */
    readonly pageSize?: number;
  },
): Remote {
  const name = `the bucket ${bucket} at ${base.host}`;
  const root = `${path.replace(/^\/+|\/+$/g, '')}/`;
  const pointerOf = ({ suite, hardwareClass }: BaselineQuery, scope: Scope) =>
    `${keyPrefix(suite, hardwareClass)}${pointerName(scope)}`;

  return {
    name,
    remedyOf: (key) => `Delete ${root}${key}${ARCHIVE} and the \`${NEWEST}\` beside it in ${name}.`,

    async newest(query, scope): Promise<Newest | undefined> {
      const reply = await ask({ method: 'GET', object: pointerOf(query, scope) });
      if (reply === undefined) return undefined;
      const pointer = Pointer.safeParse(jsonOf(await textOf(reply, MAX_POINTER)));
      if (!pointer.success)
        throw new UserError(
          'baseline-invalid',
          `${root}${pointerOf(query, scope)} in ${name} is not what a refresh writes.`,
          'Find out who can write there, delete it, and refresh the baseline.',
          { cause: pointer.error },
        );
      const { key, sha256 } = pointer.data;
      return { scope, key, sha256, state: reply.headers.etag ?? '' };
    },

    async archive(key): Promise<Archive | undefined> {
      const object = `${key}${ARCHIVE}`;
      const reply = await ask({ method: 'HEAD', object });
      if (reply === undefined) return undefined;
      reply.resume();
      return {
        // What says nothing digests to nothing.
        sha256: String(reply.headers[SHA256] ?? ''),
        async open() {
          const found = await ask({ method: 'GET', object });
          if (found === undefined) throw new Hiccup('it is there and then it is not', undefined);
          return bodyOf(found);
        },
      };
    },

    async keys({ suite, hardwareClass }) {
      const names = await list(keyPrefix(suite, hardwareClass));
      return names.flatMap((one) => (one.endsWith(ARCHIVE) ? [one.slice(0, -ARCHIVE.length)] : []));
    },

    async classes(suite, scopes) {
      const pointers = scopes.map(pointerName);
      const names = await list(keyPrefix(suite));
      const found = names.flatMap((one) => {
        const [hardwareClass = '', pointer = '', ...rest] = one.slice(keyPrefix(suite).length).split('/');
        const isOne = parseKey(`${keyPrefix(suite, hardwareClass)}0-0-${'0'.repeat(16)}`) !== undefined;
        return isOne && pointers.includes(pointer) && rest.length === 0 ? [hardwareClass] : [];
      });
      return [...new Set(found)].sort();
    },

    async put(key, { path: file, sha256, bytes }: Packed) {
      const object = `${key}${ARCHIVE}`;
      const reply = await ask({
        ...{ method: 'PUT', object },
        headers: { 'if-none-match': '*', 'content-type': 'application/gzip', [SHA256]: sha256 },
        body: { content: () => createReadStream(file), sha256, bytes },
      });
      reply?.resume();
      if (reply?.statusCode !== 412) return 'stored';
      // An answer that was lost on its way makes this run meet what it stored itself.
      const there = await ask({ method: 'HEAD', object });
      there?.resume();
      return there?.headers[SHA256] === sha256 ? 'stored' : 'exists';
    },

    async advance(query, { scope, key, sha256 }, from) {
      const text = `${JSON.stringify({ key, sha256 } satisfies Pointer)}\n`;
      const reply = await ask({
        ...{ method: 'PUT', object: pointerOf(query, scope), body: bodyOfText(text) },
        headers: from === undefined ? { 'if-none-match': '*' } : { 'if-match': from.state },
      });
      reply?.resume();
      return reply !== undefined && reply.statusCode !== 412;
    },

    async mayWrite(query, { scope, key, sha256 }) {
      // It is there, so that whoever may write it is told that it exists; and even a server without conditions would
      // write what it has.
      const reply = await ask(
        {
          ...{ method: 'PUT', object: pointerOf(query, scope), headers: { 'if-none-match': '*' } },
          body: bodyOfText(`${JSON.stringify({ key, sha256 } satisfies Pointer)}\n`),
        },
        [403],
      );
      reply?.resume();
      return reply?.statusCode !== 403;
    },
  };

  /**
   * The answer, of which 404 of an object is undefined and 412 one like others.
   *
   * @param wanted further answers that are no errors
   */
  async function ask(
    { method, object, query, headers = {}, body }: Asking,
    wanted: readonly number[] = [],
  ): Promise<http.IncomingMessage | undefined> {
    const url = new URL(base);
    if (query === undefined) url.pathname += `${root}${object}`.split('/').map(encoded).join('/');
    // A space as %20: what is signed is what is sent.
    else url.search = pairs(query);
    const length = body === undefined ? {} : { 'content-length': String(body.bytes) };
    const reply = await send({
      ...{ method, url },
      headers: signed(
        { method, url, headers: { ...headers, ...length }, body: body?.sha256 ?? EMPTY_SHA256 },
        keys,
        region,
        new Date(),
      ),
      ...(body === undefined
        ? {}
        : { body: typeof body.content === 'string' ? body.content : body.content() }),
      ...how,
    });
    const { statusCode: status = 0 } = reply;
    if (status === 200 || status === 412 || wanted.includes(status)) return reply;
    const said = await textOf(reply, MAX_ANSWER);
    const code = /<Code>([\w.]{1,100})<\/Code>/.exec(said)?.[1] ?? '';
    // A HEAD has no body that says which of the two is missing; the file that names the object was there.
    if (status === 404 && (code === 'NoSuchKey' || (method === 'HEAD' && code === ''))) return undefined;
    if (status === 409) throw new Hiccup(`it answered ${status} (${code})`, undefined);
    throw refused(method, `${root}${object}`, status, code);
  }

  async function list(below: string): Promise<readonly string[]> {
    const names: string[] = [];
    const fixed = {
      'list-type': '2',
      'encoding-type': 'url',
      prefix: `${root}${below}`,
      ...(how.pageSize === undefined ? {} : { 'max-keys': String(how.pageSize) }),
    };
    let token: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const query = token === undefined ? fixed : { ...fixed, 'continuation-token': token };
      const reply = await ask({ method: 'GET', object: below, query });
      const text = reply === undefined ? '' : await textOf(reply, MAX_ANSWER);
      if (!/<ListBucketResult[\s>]/.test(text)) throw new Hiccup('it answered with no list', undefined);
      for (const [, key = ''] of text.matchAll(/<Key>([^<]*)<\/Key>/g)) {
        const whole = decodeURIComponent(unescaped(key).replaceAll('+', '%20'));
        if (whole.startsWith(`${root}${below}`)) names.push(whole.slice(root.length));
      }
      token = /<NextContinuationToken>([^<]+)<\/NextContinuationToken>/.exec(text)?.[1];
      if (token === undefined) return names;
      token = unescaped(token);
    }
    throw new UserError(
      'store-unavailable',
      `More than ${MAX_PAGES * 1000} objects lie below ${root}${below} in ${name}.`,
      'Give the suite a `baseline.path` of its own in the bucket.',
    );
  }

  function refused(method: string, object: string, status: number, code: string): UserError {
    const happened = `${status}${code === '' ? '' : ` (${code})`}`;
    const isWrite = method === 'PUT';
    const rights = isWrite
      ? 's3:PutObject'
      : 's3:GetObject, and s3:ListBucket (without it S3 says that what is not there is denied)';
    const remedy =
      status === 403
        ? `See whether the credentials are right and not over, and give them ${rights}.`
        : status === 501
          ? 'This server knows no conditional writes (`If-Match`, `If-None-Match`), without which two refreshes could lose one another: use one that does.'
          : status === 301 || status === 307
            ? 'Set AWS_REGION to the bucket’s own.'
            : 'Correct DETERMINISM_S3_BUCKET, AWS_REGION and AWS_ENDPOINT_URL_S3.';
    return new UserError(
      isWrite && status === 403 ? 'store-refused' : 'store-unavailable',
      `${isWrite ? `The baseline was not stored: ${name}` : capital(name)} answered ${happened} to ${method} ${plain(object)}.`,
      isWrite
        ? remedy
        : `Whether there is a baseline is unknown, so this is an error and no verdict. ${remedy}`,
    );
  }
}

const pairs = (query: Readonly<Record<string, string>>) =>
  Object.entries(query)
    .map(([key, value]) => `${key}=${encoded(value)}`)
    .join('&');

const bodyOfText = (text: string) => ({
  content: text,
  sha256: createHash('sha256').update(text).digest('hex'),
  bytes: Buffer.byteLength(text),
});

/** Of XML. */
const unescaped = (text: string) =>
  text.replaceAll(
    /&(amp|lt|gt|quot|apos|#x([0-9a-f]{1,6})|#(\d{1,7}));/gi,
    (_, name: string, hex?: string, decimal?: string) => {
      const code = hex === undefined ? decimal : String(Number.parseInt(hex, 16));
      return code === undefined
        ? ({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }[name.toLowerCase()] ?? '')
        : String.fromCodePoint(Math.min(Number(code), 0x10_ffff));
    },
  );

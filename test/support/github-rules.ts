import type { Asked } from './github-schema.ts';

/** What a token may do, as a workflow's `permissions:` give it; who may write may read. */
export type Right =
  | 'actions'
  | 'contents'
  | 'pull-requests'
  | 'issues'
  | 'checks'
  | 'pull-requests:write'
  | 'issues:write'
  | 'checks:write';

export const ALL_RIGHTS: readonly Right[] = [
  ...(['actions', 'contents', 'pull-requests', 'issues', 'checks'] as const),
  ...(['pull-requests:write', 'issues:write', 'checks:write'] as const),
];

/** Somebody with a token. */
export interface Bearer {
  readonly token: string;
  /** e.g. `github-actions[bot]`. */
  readonly login: string;
  /** A job's or an app's, or a person's own. */
  readonly kind: 'app' | 'user';
  readonly rights: readonly Right[];
}

export class Refusal extends Error {
  readonly status: number;
  readonly errors: readonly string[];

  constructor(status: number, message: string, errors: readonly string[] = []) {
    super(message);
    this.status = status;
    this.errors = errors;
  }
}

const NOT_ACCESSIBLE: Readonly<Record<Bearer['kind'], string>> = {
  app: 'Resource not accessible by integration',
  user: 'Resource not accessible by personal access token',
};

const has = ({ rights }: Bearer, right: Right) =>
  rights.includes(right) || rights.some((own) => own === `${right}:write`);

/** One of these rights, in GitHub's words where there is none. */
export function demand(bearer: Bearer, ...needed: readonly Right[]): void {
  if (needed.length > 0 && !needed.some((right) => has(bearer, right)))
    throw new Refusal(403, NOT_ACCESSIBLE[bearer.kind]);
}

/** Whoever did not write something may not change it. */
export function demandOwn(bearer: Bearer, author: string): void {
  if (bearer.login !== author) throw new Refusal(403, NOT_ACCESSIBLE[bearer.kind]);
}

/** A comment's text: what GitHub's description does not say of it. */
export function ruleOnBody(body: string): void {
  if (body.trim() === '') throw new Refusal(422, 'Validation Failed', ["Body can't be blank"]);
  if (body.length > 65_536)
    throw new Refusal(422, 'Validation Failed', ['Body is too long (maximum is 65536 characters)']);
}

/** A check run: what GitHub's description does not say of it, or says of characters where bytes are counted. */
export function ruleOnCheckRun({ body }: Asked): void {
  if (body['status'] === 'completed' && body['conclusion'] === undefined)
    throw new Refusal(422, 'Invalid request.\n\n"conclusion" wasn\'t supplied.');
  const output = record(body['output']);
  for (const key of ['summary', 'text']) {
    const bytes = Buffer.byteLength(text(output[key]));
    if (bytes > 65_535)
      throw new Refusal(
        422,
        `Invalid request.\n\nOnly 65535 characters are allowed; ${bytes} were supplied.`,
      );
  }
  if (text(output['title']).length > 255)
    throw new Refusal(422, 'title is too long (maximum is 255 characters)');
  const annotations = Array.isArray(output['annotations']) ? output['annotations'] : [];
  for (const one of annotations.map(record)) {
    const [start, end] = [Number(one['start_line']), Number(one['end_line'])];
    if (start < 1 || end < start) throw new Refusal(422, 'Invalid request.\n\nA line is out of range.');
    if (text(one['title']).length > 255)
      throw new Refusal(422, 'title is too long (maximum is 255 characters)');
    if (Buffer.byteLength(text(one['message'])) > 64 * 1024)
      throw new Refusal(422, 'message is too long (maximum is 64 KB)');
    if (text(one['path']) === '') throw new Refusal(422, "path can't be blank");
  }
}

export const record = (value: unknown): Readonly<Record<string, unknown>> =>
  Object.fromEntries(Object.entries(Object(value)));

export const text = (value: unknown): string => (typeof value === 'string' ? value : '');

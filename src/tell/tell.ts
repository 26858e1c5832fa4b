import type { Across } from '../report/across.ts';
import type { Report } from '../report/schema.ts';
import type {
  Contents,
  Headline,
  Kind,
  Post,
  Recipient,
  Results,
  Shown,
  ShownByKind,
  Surface,
} from '../surfaces/surface.ts';
import { headlineOf } from './headline.ts';
import { SURFACES } from './surfaces.ts';

/** Whom there is to tell here; who is left out is not told. */
export type Recipients = {
  readonly [R in Recipient]?: (content: Contents[R], headline: Headline) => void | Promise<void>;
} & {
  /** What is posted about a change: comments, check runs. */
  readonly change?: (change: Change, posts: readonly Post[]) => Promise<void>;
};

/** Reports that say something of a change, worst first. */
export interface Change {
  readonly reports: readonly Report[];
  /** Whether these are all that the run has to say, or one leg's. */
  readonly isMerged: boolean;
  readonly across?: Across | undefined;
}

/** In this order: a file is written before anything names it, and whoever waits on a network comes last. */
const ORDER = [
  'file',
  'document',
  'log',
  'terminal',
  'json',
  'annotations',
  'outputs',
  'summary',
] as const satisfies readonly Recipient[];

/**
 * Tells a result to whoever is there to be told, by every surface that has something for them.
 *
 * @returns what the result comes to, for an exit code or a failed step
 * @throws whatever a recipient throws
 */
export async function tell<K extends Kind>(
  kind: K,
  value: Results[K],
  to: Recipients,
  surfaces: readonly Surface[] = SURFACES,
): Promise<Headline> {
  const headline = headlineOf(kind, value);
  const shown = surfaces.flatMap((surface: ShownByKind) => {
    const one: Shown<Results[K]> | undefined = surface[kind];
    return one === undefined ? [] : [one];
  });
  for (const recipient of ORDER) await hand(recipient, shown, value, headline, to);
  const change = CHANGES[kind](value);
  const posts = surfaces.flatMap(({ post }) => post ?? []);
  if (change !== undefined) await to.change?.(change, posts);
  return headline;
}

async function hand<R extends Recipient, Value>(
  recipient: R,
  shown: readonly Shown<Value>[],
  value: Value,
  headline: Headline,
  to: { readonly [P in R]?: (content: Contents[P], headline: Headline) => void | Promise<void> },
): Promise<void> {
  const take = to[recipient];
  if (take === undefined) return;
  for (const one of shown) {
    const make = one[recipient];
    if (make !== undefined) await take(await make(value), headline);
  }
}

/** What a pull request is told of: a refresh holds a change to nothing. */
const CHANGES: { readonly [K in Kind]: (value: Results[K]) => Change | undefined } = {
  report: (report) => (report.context.mode === 'check' ? { reports: [report], isMerged: false } : undefined),
  merged: ({ reports, across }) => ({ reports, isMerged: true, across }),
  found: () => undefined,
  power: () => undefined,
  history: () => undefined,
  verification: () => undefined,
  fingerprint: () => undefined,
  compared: () => undefined,
  explained: () => undefined,
  completion: () => undefined,
  answer: () => undefined,
  failure: () => undefined,
};

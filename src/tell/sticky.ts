import { type GitHubPosts, isLost, isTooLong, PostError, type PostedComment } from '../github/port.ts';
import {
  compareRuns,
  isSameThread,
  type Marker,
  markerOf,
  type RunName,
  type Thread,
} from '../words/thread.ts';

/** Who comments with the token of a job; that of another app says so once it has posted something. */
const JOB = 'github-actions[bot]';

export interface Sticky {
  readonly pullRequest: number;
  readonly thread: Thread;
  readonly run: RunName;
  /** Whether one is posted where there is none. */
  readonly isNew: boolean;
  /** From the longest that may do down to the shortest. */
  ladder(before: Marker | undefined): readonly string[];
}

/** What became of a post. */
export type Told =
  | { readonly kind: 'posted' | 'nothing' }
  /** The comment is of a later run than this one, and stays. */
  | { readonly kind: 'newer'; readonly run: RunName };

interface Own extends PostedComment {
  readonly marker: Marker;
}

/**
 * One comment for each thread of a pull request, edited in place. It is found by its marker and its author: a marker
 * is easily copied. Where several runs have created one at once, the oldest stays and says what the latest run says.
 *
 * @throws PostError
 */
export async function tellByComment(posts: GitHubPosts, asked: Sticky): Promise<Told> {
  const me = (await posts.login()) ?? JOB;
  const own = await ownComments(posts, asked, me).catch((error: unknown) => {
    // Who may not even read comments has not written one that would have to be resolved.
    if (!asked.isNew && error instanceof PostError && (error.kind === 'denied' || error.kind === 'missing'))
      return [];
    throw error;
  });
  const newest = latest(own);
  if (newest === undefined) {
    if (!asked.isNew) return { kind: 'nothing' };
    const created = await create(posts, asked, me);
    return await merge(posts, asked, created);
  }
  if (compareRuns(newest.marker.run, asked.run) > 0) return { kind: 'newer', run: newest.marker.run };
  const [oldest = newest, ...others] = own;
  try {
    await firstThatFits(asked.ladder(newest.marker), (body) => posts.editComment(oldest.id, body));
  } catch (error) {
    // Somebody has deleted it meanwhile, and wants none perhaps; but a drift must be told.
    if (!(error instanceof PostError) || error.kind !== 'missing') throw error;
    if (!asked.isNew) return { kind: 'nothing' };
    return await merge(posts, asked, await create(posts, asked, me));
  }
  for (const { id } of others) await posts.deleteComment(id);
  return { kind: 'posted' };
}

/** Oldest first. */
async function ownComments(
  posts: GitHubPosts,
  { pullRequest, thread }: Sticky,
  author: string,
): Promise<readonly Own[]> {
  const all = await posts.comments(pullRequest);
  return all
    .flatMap((comment): Own[] => {
      const marker = comment.author === author ? markerOf(comment.body) : undefined;
      return marker !== undefined && isSameThread(marker.thread, thread) ? [{ ...comment, marker }] : [];
    })
    .sort((a, b) => a.id - b.id);
}

const latest = (own: readonly Own[]) =>
  own.toSorted((a, b) => compareRuns(b.marker.run, a.marker.run) || b.id - a.id)[0];

/** Asks the list whether one whose answer was lost is there after all, before it posts another. */
async function create(posts: GitHubPosts, asked: Sticky, me: string): Promise<PostedComment> {
  return await firstThatFits(asked.ladder(undefined), async (body) => {
    const post = () => posts.createComment(asked.pullRequest, body);
    try {
      return await post();
    } catch (error) {
      if (!isLost(error)) throw error;
      const own = await ownComments(posts, asked, me).catch(() => {
        posts.signal?.throwIfAborted();
        throw error;
      });
      return own.find(({ marker }) => compareRuns(marker.run, asked.run) === 0) ?? (await post());
    }
  });
}

/** After one was created: what another run has created at the same time is one with it. */
async function merge(posts: GitHubPosts, asked: Sticky, created: PostedComment): Promise<Told> {
  const own = await ownComments(posts, asked, created.author);
  const newest = latest(own);
  const [oldest, ...others] = own;
  if (newest === undefined || oldest === undefined) return { kind: 'posted' };
  if (oldest.body !== newest.body) await posts.editComment(oldest.id, newest.body);
  for (const { id } of others) await posts.deleteComment(id);
  return compareRuns(newest.marker.run, asked.run) > 0
    ? { kind: 'newer', run: newest.marker.run }
    : { kind: 'posted' };
}

/** What GitHub counts is not written down: so it is asked. */
export async function firstThatFits<Rung, T>(
  ladder: readonly Rung[],
  post: (rung: Rung) => Promise<T>,
): Promise<T> {
  for (const [index, rung] of ladder.entries())
    try {
      return await post(rung);
    } catch (error) {
      if (!isTooLong(error) || index === ladder.length - 1) throw error;
    }
  throw new PostError('invalid', 'There is nothing short enough to be posted.');
}

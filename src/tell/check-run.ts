import { type GitHubPosts, isLost, MAX_ANNOTATIONS, PostError, type PostedCheckRun } from '../github/port.ts';
import type { CheckRun } from '../surfaces/surface.ts';
import { compareRuns, isSameThread, type RunName, threadIn } from '../words/thread.ts';
import { firstThatFits, type Told } from './sticky.ts';

/**
 * One check run for each commit, thread and run. One that is there already is changed, and gets the annotations that
 * it lacks; one of a later run stays. Those of earlier runs stay too, since annotations cannot be taken away: GitHub
 * shows the latest of a name.
 *
 * @param ladder from the longest summary down to the shortest
 * @throws PostError
 */
export async function tellByCheckRun(posts: GitHubPosts, ladder: readonly CheckRun[]): Promise<Told> {
  const [longest] = ladder;
  const self = threadIn(longest?.external_id ?? '');
  if (longest === undefined || self === undefined)
    throw new PostError('invalid', 'A check run without a name of its own would be posted twice.');
  const find = () => posts.checkRuns(longest.head_sha, longest.name);
  const earlier = await find();
  const [later] = earlier.flatMap(({ externalId }): RunName[] => {
    const other = threadIn(externalId);
    return other !== undefined &&
      isSameThread(other.thread, self.thread) &&
      compareRuns(other.run, self.run) > 0
      ? [other.run]
      : [];
  });
  if (later !== undefined) return { kind: 'newer', run: later };
  await firstThatFits(ladder, async (run) => await put(posts, run, ownOf(earlier, run), find));
  return { kind: 'posted' };
}

const ownOf = (found: readonly PostedCheckRun[], { external_id }: CheckRun) =>
  found.find(({ externalId }) => externalId === external_id);

async function put(
  posts: GitHubPosts,
  run: CheckRun,
  own: PostedCheckRun | undefined,
  find: () => Promise<readonly PostedCheckRun[]>,
): Promise<void> {
  if (own !== undefined) return await append(posts, run, own.id, own.annotations, true);
  const { annotations, ...rest } = run;
  const first = annotations.slice(0, MAX_ANNOTATIONS);
  const create = async () =>
    await append(posts, run, await posts.createCheckRun(rest, first), first.length, false);
  try {
    await create();
  } catch (error) {
    if (!isLost(error)) throw error;
    // It may be there, and only the answer be lost.
    const made = await find().then(
      (found) => ownOf(found, run),
      () => {
        posts.signal?.throwIfAborted();
        throw error;
      },
    );
    await (made === undefined ? create() : append(posts, run, made.id, made.annotations, true));
  }
}

/**
 * @param from how many annotations are there already
 * @param always whether it is changed even where no annotation is missing
 */
async function append(
  posts: GitHubPosts,
  { annotations, head_sha: _, ...run }: CheckRun,
  id: number,
  from: number,
  always: boolean,
): Promise<void> {
  for (let next = from; next < annotations.length || (always && next === from); next += MAX_ANNOTATIONS)
    await posts.updateCheckRun(id, run, annotations.slice(next, next + MAX_ANNOTATIONS));
}

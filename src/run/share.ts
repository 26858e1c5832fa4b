/** Does one job. `unfit`: it does this one no more than any other, and somebody else has to. */
export type Worker<T> = (job: T) => Promise<'done' | 'unfit'>;

/**
 * Lets workers take jobs until none is left; what one of them could not do the first one does.
 *
 * @param stop called at the first failure, so that the others end
 * @throws the first failure, when all have ended
 */
export async function share<T>(
  jobs: readonly T[],
  [first, ...others]: readonly [Worker<T>, ...Worker<T>[]],
  stop: () => void,
): Promise<void> {
  const left = [...jobs];
  let failure: { readonly error: unknown } | undefined;
  const work = async (worker: Worker<T>): Promise<void> => {
    for (;;) {
      const job = failure === undefined ? left.shift() : undefined;
      if (job === undefined) return;
      try {
        if ((await worker(job)) === 'done') continue;
        left.unshift(job);
      } catch (error) {
        if (failure === undefined) {
          failure = { error };
          stop();
        }
      }
      return;
    }
  };
  await Promise.all([first, ...others].map(work));
  await work(first);
  if (failure !== undefined) throw failure.error;
}

/*
 * Which of several changes did it: delta debugging, without a word of what a change is or how it is tried.
 */

/** What a run with some of the changes, and without the others, came to. `unresolved`: it could not be told. */
export type Outcome = 'moved' | 'same' | 'unresolved';

/** Of what is named by its place in the list, the likeliest first. */
export type Search =
  /** With all of them nothing moves; or whether it does could not be told. */
  | { readonly kind: 'steady' | 'unresolved' }
  /** It moves without any of them. */
  | { readonly kind: 'elsewhere' }
  /** With just these it was seen to move. Without any one of them nothing that ran did, and all the others of them did run. */
  | { readonly kind: 'found'; readonly changes: readonly number[] }
  /** With these it was seen to move. Of `needed` each was seen to be needed among them; of the others nobody knows. */
  | {
      readonly kind: 'within';
      readonly changes: readonly number[];
      readonly needed: readonly number[];
      /** Why it is not known nearer: no more runs were allowed, or those that could tell came to nothing. */
      readonly limit: 'budget' | 'unresolved';
    };

/** How a set is remembered: in order, whoever asks. */
export const setName = (changes: readonly number[]): string => changes.toSorted((a, b) => a - b).join('+');

/**
 * The smallest set of changes that moves something, as delta debugging has it: with any one of them away, nothing moves.
 *
 * The smallest beginning of the list that moves it ends in a change that is needed; with that one kept, the next is looked
 * for among those before it, until the ones that are kept move it alone. Each beginning is found by halving. What was found
 * ran as it is told, and so did all the others without each of its changes, perhaps beside more: that halving takes a change's
 * effect for one that no other takes back decides what is looked at, and never what is said. Nothing is run twice.
 *
 * Five changes of which one moves it take at most 6 runs, and of which two do together at most 8, all and none included.
 *
 * @param count of changes, the likeliest first
 * @param budget runs, at most
 * @param known what need not be run, by `setName`
 */
export async function smallest(
  count: number,
  budget: number,
  run: (changes: readonly number[]) => Promise<Outcome>,
  known: ReadonlyMap<string, Outcome> = new Map(),
): Promise<Search> {
  const seen = new Map(known);
  let left = budget;
  let isSpent = false;
  const all = Array.from({ length: count }, (_, at) => at);

  const whole = await look(all);
  if (whole !== 'moved') return { kind: whole === 'same' ? 'steady' : 'unresolved' };
  if ((await look([])) === 'moved') return { kind: 'elsewhere' };

  let kept: readonly number[] = [];
  let others: readonly number[] = all;
  while (others.length > 0 && (await look(kept)) !== 'moved') {
    const [from, to] = await beginning();
    kept = [...kept, ...others.slice(from, to)];
    others = others.slice(0, from);
  }
  return await withoutAnyOther(kept);

  /** Not looked at is as good as unresolved: what is known without it is known. */
  async function look(changes: readonly number[]): Promise<Outcome> {
    const name = setName(changes);
    const before = seen.get(name);
    if (before !== undefined) return before;
    if (left <= 0) {
      isSpent = true;
      return 'unresolved';
    }
    left -= 1;
    const outcome = await run(changes.toSorted((a, b) => a - b));
    seen.set(name, outcome);
    return outcome;
  }

  /**
   * The part of `others` where beginnings of it begin to move it, beside what is kept: one change, or several that no run
   * could set apart. Up to its end it was seen to move.
   */
  async function beginning(): Promise<readonly [from: number, to: number]> {
    let [from, to] = [0, others.length];
    const open = new Set(Array.from({ length: to - 1 }, (_, at) => at + 1));
    while (true) {
      const between = [...open].filter((at) => at > from && at < to);
      if (between.length === 0) return [from, to];
      const middle = (from + to) / 2;
      // The upper of two: all five are then told apart in at most three runs, and pairs of them in as few as there can be.
      const [at = to] = between.toSorted((a, b) => Math.abs(a - middle) - Math.abs(b - middle) || b - a);
      open.delete(at);
      const outcome = await look([...kept, ...others.slice(0, at)]);
      if (outcome === 'moved') to = at;
      else if (outcome === 'same') from = at;
    }
  }

  /** Whether each is needed; what is not is left out. */
  async function withoutAnyOther(changes: readonly number[]): Promise<Search> {
    const needed: number[] = [];
    for (const one of changes) {
      const rest = changes.filter((other) => other !== one);
      const outcome = isSeenNeeded(one, rest) ? 'same' : await look(rest);
      if (outcome === 'moved') return await withoutAnyOther(rest);
      if (outcome === 'same') needed.push(one);
    }
    return needed.length === changes.length
      ? { kind: 'found', changes: inOrder(changes) }
      : open(changes, needed);
  }

  /**
   * Whether something without this one was the same although it had all the rest, and perhaps more. Nothing without it moved:
   * whatever did is a beginning that holds all that is still looked at.
   */
  function isSeenNeeded(one: number, rest: readonly number[]): boolean {
    return [...seen].some(([name, outcome]) => {
      const had = new Set(name.split('+'));
      return outcome === 'same' && !had.has(String(one)) && rest.every((other) => had.has(String(other)));
    });
  }

  function open(changes: readonly number[], needed: readonly number[] = []): Search {
    return {
      kind: 'within',
      changes: inOrder(changes),
      needed: inOrder(needed),
      limit: isSpent ? 'budget' : 'unresolved',
    };
  }
}

const inOrder = (changes: readonly number[]) => changes.toSorted((a, b) => a - b);

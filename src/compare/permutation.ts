/** Samples of one prompt from one side: a row each, its best tokens by falling nats. */
export interface Samples {
  readonly k: number;
  /** Rows x k. */
  readonly ids: Uint32Array;
  readonly nats: Float32Array;
}

/** Both sides of one prompt. */
export interface Sampled {
  readonly left: Samples;
  readonly right: Samples;
}

export interface Tested {
  /** Chance that one and the same model looks at least as different, if its samples can be exchanged. */
  readonly p: number;
  /** Mean difference over all prompts and tokens, and of each prompt alone. */
  readonly nats: number;
  readonly byPrompt: readonly number[];
  /** Nats that a sample lies from its own side's mean, over all prompts and tokens; of the side where they are more. */
  readonly spread: number;
}

/** Random ways to part the samples, beside the real one: enough to tell 1 in 1,000. */
export const PERMUTATIONS = 9_999;

/**
 * Two-sample permutation test on log-probabilities (arXiv 2512.03816): how far apart are the means of the two sides, over the
 * best tokens of every prompt, and how often is chance as far when the same samples are parted at random? Samples are parted
 * within their prompt alone. Exact, whatever their distribution, where they can be exchanged.
 *
 * @param seed the same gives the same
 */
export function permutationTest(all: readonly Sampled[], seed: number): Tested {
  const tables = all.map(tableOf);
  const random = generator(seed);
  const byPrompt = tables.map((table) => distanceOf(table, table.order, table.left));
  const real = mean(byPrompt);
  // What differs by the rounding of sums alone is as far.
  const far = real - 1e-9 * Math.max(1, Math.abs(real));
  const orders = tables.map(({ order }) => Uint32Array.from(order));
  let asFar = 0;
  for (let n = 0; n < PERMUTATIONS; n++) {
    let sum = 0;
    for (const [at, table] of tables.entries()) {
      const order = orders[at] ?? table.order;
      draw(order, table.left, random);
      sum += distanceOf(table, order, table.left);
    }
    if (sum / tables.length >= far) asFar++;
  }
  const spread = Math.max(
    mean(tables.map((table) => spreadOf(table, 0, table.left))),
    mean(tables.map((table) => spreadOf(table, table.left, table.order.length))),
  );
  return { p: (1 + asFar) / (1 + PERMUTATIONS), nats: real, byPrompt, spread };
}

/** In how many ways the samples can be parted; no p is below one of these. */
export const ways = (all: readonly Sampled[]): number =>
  all.reduce((product, { left, right }) => product * choose(rowsOf(left) + rowsOf(right), rowsOf(left)), 1);

export const rowsOf = ({ k, ids }: Samples) => (k === 0 ? 0 : ids.length / k);

/** Of one prompt: a row for each sample of both sides, a column for each token that any of them has among its best. */
interface Table {
  readonly columns: number;
  readonly values: Float64Array;
  /** Rows of the left side come first. */
  readonly order: Uint32Array;
  readonly left: number;
}

function tableOf({ left, right }: Sampled): Table {
  // As many as both sides have: more of one alone would differ by themselves.
  const k = Math.min(left.k, right.k);
  const rows = [...rowsIn(left, k), ...rowsIn(right, k)];
  const columns = new Map([...new Set(rows.flatMap((row) => [...row.keys()]))].map((id, at) => [id, at]));
  const values = new Float64Array(rows.length * columns.size);
  for (const [at, row] of rows.entries()) {
    // A token beyond the best is no more likely than the last of them.
    const least = Math.min(...row.values());
    for (const [id, column] of columns) values[at * columns.size + column] = row.get(id) ?? least;
  }
  return {
    ...{ columns: columns.size, values, left: rowsOf(left) },
    order: Uint32Array.from(rows, (_, at) => at),
  };
}

const rowsIn = (samples: Samples, k: number): Map<number, number>[] =>
  Array.from(
    { length: rowsOf(samples) },
    (_, row) =>
      new Map(
        Array.from({ length: k }, (_, at) => {
          const place = row * samples.k + at;
          return [samples.ids[place] ?? 0, samples.nats[place] ?? 0] as const;
        }),
      ),
  );

/** Mean over the tokens of how far apart the means of both sides are. */
function distanceOf({ columns, values }: Table, order: Uint32Array, left: number): number {
  const right = order.length - left;
  let sum = 0;
  for (let column = 0; column < columns; column++) {
    let [a, b] = [0, 0];
    for (let at = 0; at < order.length; at++) {
      const value = values[(order[at] ?? 0) * columns + column] ?? 0;
      if (at < left) a += value;
      else b += value;
    }
    sum += Math.abs(a / left - b / right);
  }
  return columns === 0 ? 0 : sum / columns;
}

/** Of the rows from one to another: how far a sample is from their mean, over the tokens. */
function spreadOf({ columns, values }: Table, from: number, to: number): number {
  const count = to - from;
  let sum = 0;
  for (let column = 0; column < columns; column++) {
    const given = Array.from({ length: count }, (_, at) => values[(from + at) * columns + column] ?? 0);
    const middle = mean(given);
    sum += mean(given.map((value) => Math.abs(value - middle)));
  }
  return columns === 0 ? 0 : sum / columns;
}

/** Puts as many of them first, at random: the first half of a shuffle. */
function draw(order: Uint32Array, count: number, random: () => number): void {
  for (let at = 0; at < count; at++) {
    const other = at + Math.floor(random() * (order.length - at));
    const [a, b] = [order[at] ?? 0, order[other] ?? 0];
    order[at] = b;
    order[other] = a;
  }
}

/** mulberry32: `verify` must draw the same. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const mean = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((sum, one) => sum + one, 0) / values.length;

function choose(n: number, k: number): number {
  let ways = 1;
  for (let at = 1; at <= k; at++) ways = (ways * (n - k + at)) / at;
  return Math.round(ways);
}

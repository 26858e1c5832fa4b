import { explain } from '../../src/explain/explain.ts';
import type { Case } from '../../src/explain/types.ts';
import { atMost, type Figure, median } from './figure.ts';

const RECORDS = 10_000;
const FIELDS = 60;
const REPEATS = 5;
/** Sizes that growth is taken over. */
const SIZES = [2_500, 5_000, 10_000, 20_000] as const;

/**
 * A fleet whose bits follow from two fields, among as many that do not: some of two values, some of ten, some of hundreds,
 * and one of each record's own.
 */
export function fleet(records: number, fields = FIELDS): Case[] {
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: records }, (_, at) => {
    const [sms, count] = [random(8), random(4)];
    const facts = new Map([
      ['SM count', `${100 + sms}`],
      ['GPU count', `${count}`],
      ['GPU name', `card ${sms * 3 + random(3)}`],
      ['host', `host ${at}`],
    ]);
    for (let field = facts.size; field < fields; field++)
      facts.set(`python package-${field}`, `1.${random([2, 3, 10, 40, 300][field % 5] ?? 2)}`);
    return {
      name: `run ${String(at).padStart(6, '0')}`,
      suite: 'fleet',
      facts,
      answers: new Map(
        ['sky', 'sea', 'sun'].map((prompt) => [
          prompt,
          { prompt, kind: 'generate', channels: new Map([['tokens', `${sms} ${count} ${prompt}`]]) },
        ]),
      ),
    };
  });
}

function seconds(records: number): number {
  const cases = fleet(records);
  const start = performance.now();
  const [family] = explain(cases).families;
  const took = (performance.now() - start) / 1000;
  const best = family?.groupings[0]?.explanation?.sets[0]?.classes.map(({ fields }) => fields.join());
  // A wrong answer is fast.
  if (best?.join() !== 'SM count,GPU count') throw new Error(`explained by ${best?.join()}`);
  return took;
}

export const explainSeconds: Figure = {
  ...atMost(2),
  meaning: `seconds to explain ${RECORDS} records of ${FIELDS} fields, records in memory`,
  async measure() {
    const all = Array.from({ length: REPEATS }, () => seconds(RECORDS));
    return { value: median(all), detail: all.map((one) => `${one.toFixed(2)} s`).join(', ') };
  },
};

export const explainGrowth: Figure = {
  ...atMost(1.1),
  meaning: 'growth of that with the number of records: the exponent over three doublings',
  async measure() {
    seconds(SIZES[0]);
    const all = SIZES.map((size) => median(Array.from({ length: REPEATS }, () => seconds(size))));
    const [first = 0, last = 0] = [all[0], all.at(-1)];
    return {
      value: Math.log(last / first) / Math.log(SIZES[3] / SIZES[0]),
      detail: SIZES.map((size, at) => `${size}: ${all[at]?.toFixed(3)} s`).join(', '),
    };
  },
};

import { alternate, atMost, type Figure, median, NOTHING } from './figure.ts';

const REPEATS = 7;

export const compareDrifted: Figure = {
  ...atMost(2),
  meaning:
    'comparing records of 1,000 prompts x 4,096 tokens with top 5, drifted in every prompt, over reading and digesting the same bytes; the worse of a generate and a force pass',
  async measure({ records }) {
    const made = await records();
    const ratios = [];
    const told = [];
    for (const kind of ['generate', 'force'] as const) {
      const which = { kind, drifted: true };
      const times = alternate(REPEATS, {
        nothing: NOTHING,
        digest: await made.digest(which),
        compare: made.compare(which),
      });
      const start = median(times.nothing.milliseconds);
      const [bare, ours] = [times.digest, times.compare].map(
        ({ milliseconds }) => median(milliseconds) - start,
      ) as [number, number];
      ratios.push(ours / bare);
      told.push(`${kind} ${ours.toFixed(0)} ms over ${bare.toFixed(0)} ms`);
    }
    return { value: Math.max(...ratios), detail: `${told.join(', ')}, beyond Node's own start` };
  },
};

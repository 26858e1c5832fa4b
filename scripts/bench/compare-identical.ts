import { alternate, atMost, type Figure, median, NOTHING } from './figure.ts';

const REPEATS = 15;

export const compareIdenticalMs: Figure = {
  ...atMost(50),
  meaning:
    "milliseconds beyond Node's own start to open and compare two such records of the same bits, program load included",
  async measure({ records }) {
    const times = alternate(REPEATS, {
      nothing: NOTHING,
      compare: (await records()).compare({ kind: 'generate', drifted: false }),
    });
    const [start, whole] = [median(times.nothing.milliseconds), median(times.compare.milliseconds)];
    const loads = times.compare.outputs.map(
      (output) => (JSON.parse(output) as { readonly loaded: number }).loaded,
    );
    return {
      value: whole - start,
      detail: `${whole.toFixed(0)} ms, where Node alone takes ${start.toFixed(0)} ms; the program is loaded after ${median(loads).toFixed(0)} ms`,
    };
  },
};

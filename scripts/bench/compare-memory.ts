import type { BigRecords, Which } from './big-records.ts';
import { alternate, atMost, type Figure, median } from './figure.ts';

const REPEATS = 5;
const DRIFTED: Which = { kind: 'generate', drifted: true };

export const compareMemoryMb: Figure = {
  ...atMost(256),
  meaning: 'peak resident memory of the drifted comparison, in MB (2^20 bytes)',
  async measure({ records }) {
    const peaks = peaksOf(await records(), DRIFTED);
    return { value: median(peaks), detail: `of ${peaks.map((peak) => peak.toFixed(0)).join(', ')}` };
  },
};

export const compareMemoryGrowth: Figure = {
  ...atMost(1.1),
  meaning: 'the same of 2,000 prompts over that of 1,000',
  async measure({ records }) {
    const made = await records();
    const [one, two] = [median(peaksOf(made, DRIFTED)), median(peaksOf(made, { ...DRIFTED, doubled: true }))];
    return { value: two / one, detail: `${two.toFixed(0)} MB over ${one.toFixed(0)} MB` };
  },
};

function peaksOf(records: BigRecords, which: Which): number[] {
  const { compare } = alternate(REPEATS, { compare: records.compare(which) });
  return compare.outputs.map(
    (output) => (JSON.parse(output) as { readonly kilobytes: number }).kilobytes / 1024,
  );
}

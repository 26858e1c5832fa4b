import { outcomeDigests } from '../../src/record/outcome.ts';
import type { RunRecord } from '../../src/record/schema.ts';
import { atMost, type Figure, median } from './figure.ts';

const TURNS = 2;

/** Both are of this code: what makes cold starts cheaper makes the figure worse. */
export const warmRefresh: Figure = {
  ...atMost(0.6),
  meaning:
    'wall time of a refresh of three engine starts, two of them forks of a warm process, over three cold ones',
  async measure({ demo }) {
    const suite = await demo();
    const times = { warm: [] as number[], cold: [] as number[] };
    const records = { warm: [] as RunRecord[], cold: [] as RunRecord[] };
    for (let turn = 0; turn < TURNS; turn++)
      for (const way of ['warm', 'cold'] as const) {
        const { seconds, report, record } = await suite.refresh(way === 'warm');
        const how = record.lifetimes.map(({ start }) => start?.how).join(', ');
        if (how !== (way === 'warm' ? 'cold, warm, warm' : 'cold, cold, cold'))
          throw new Error(`the ${way} refresh was of starts that were ${how}`);
        const restart = report.relations.find(({ relation }) => relation === 'restart');
        if (restart?.status !== 'held')
          throw new Error(`the ${way} refresh's restart was ${restart?.status}`);
        times[way].push(seconds);
        records[way].push(record);
      }
    const outcomes = new Set(Object.values(records).flat().flatMap(outcomeDigests));
    if (outcomes.size !== 1) throw new Error(`warm and cold starts gave ${outcomes.size} outcomes`);
    const [warm, cold] = [median(times.warm), median(times.cold)];
    const sides = `${warm.toFixed(1)} s over ${cold.toFixed(1)} s, the same bits in all ${TURNS * 6} starts`;
    return {
      value: warm / cold,
      detail: `${sides}; a later start: ${laterStart(records.warm)} warm, ${laterStart(records.cold)} cold`,
    };
  },
};

/** What the second and third start of refreshes took, in words. */
function laterStart(records: readonly RunRecord[]): string {
  const phases = records.flatMap(({ lifetimes }) =>
    lifetimes.slice(1).flatMap(({ phases: told }) => told ?? []),
  );
  const before = median(phases.map(({ open, import: imported, load }) => open + imported + load));
  return `${before.toFixed(1)} s and passes ${median(phases.map(({ passes }) => passes)).toFixed(1)} s`;
}

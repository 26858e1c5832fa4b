import { outcomeDigests } from '../../src/record/outcome.ts';
import { atMost, type Figure, median } from './figure.ts';

const TURNS = 2;

/** Both are of this code: what a start took before it imported beside its fingerprint is in docs/performance.md. */
export const warmRefresh: Figure = {
  ...atMost(0.6),
  meaning:
    'wall time of a refresh of three engine starts, two of them forks of a warm process, over three cold ones',
  async measure({ demo }) {
    const suite = await demo();
    const times = { warm: [] as number[], cold: [] as number[] };
    const outcomes = new Set<string>();
    for (let turn = 0; turn < TURNS; turn++)
      for (const way of ['warm', 'cold'] as const) {
        const { seconds, report, record } = await suite.refresh(way === 'warm');
        const how = record.lifetimes.map(({ start }) => start?.how).join(', ');
        if (how !== (way === 'warm' ? 'cold, warm, warm' : 'cold, cold, cold'))
          throw new Error(`the ${way} refresh was of starts that were ${how}`);
        const restart = report.relations.find(({ relation }) => relation === 'restart');
        if (restart?.status !== 'held')
          throw new Error(`the ${way} refresh's restart was ${restart?.status}`);
        for (const digest of outcomeDigests(record)) outcomes.add(digest);
        times[way].push(seconds);
      }
    if (outcomes.size !== 1) throw new Error(`warm and cold starts gave ${outcomes.size} outcomes`);
    const [warm, cold] = [median(times.warm), median(times.cold)];
    return {
      value: warm / cold,
      detail: `${warm.toFixed(1)} s over ${cold.toFixed(1)} s, the same bits in all ${TURNS * 6} starts`,
    };
  },
};

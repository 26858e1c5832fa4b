import { atMost, type Figure, median } from './figure.ts';

const REPEATS = 3;
/** Seconds that a check may take longer whatever the engine does: Node, fingerprint, two starts of Python, the report. */
const FIXED = 2;

export const overhead: Figure = {
  ...atMost(1.03),
  meaning:
    "wall time of a whole check, all passes, over a bare script that has the same Python's engine compute the same tokens, beyond a fixed 2 s",
  async measure({ demo }) {
    const suite = await demo();
    const times = { check: [] as number[], same: [] as number[], generate: [] as number[] };
    for (let i = 0; i < REPEATS; i++) {
      const { seconds, report } = await suite.check();
      if (report.conclusion !== 'reproduced') throw new Error(`the check ended as ${report.conclusion}`);
      times.check.push(seconds);
      times.same.push((await suite.bare('check')).seconds);
      times.generate.push((await suite.bare('generate')).seconds);
    }
    const [check, same, generate] = [times.check, times.same, times.generate].map(median) as [
      number,
      number,
      number,
    ];
    const beyond = (seconds: number) => seconds - FIXED;
    const told = (bare: number) =>
      `(${check.toFixed(1)} - ${FIXED}) s over (${bare.toFixed(1)} - ${FIXED}) s`;
    return {
      value: beyond(check) / beyond(same),
      detail: `${told(same)}; with the ${FIXED} s taken from the check alone ${(beyond(check) / same).toFixed(3)}; over a script that only generates ${told(generate)}: ${(beyond(check) / beyond(generate)).toFixed(3)}`,
    };
  },
};

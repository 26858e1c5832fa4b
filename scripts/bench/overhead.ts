import type { Demo } from './demo.ts';
import { atMost, type Bench, type Figure, median } from './figure.ts';

/** Seconds that a check may take longer whatever the engine does: Node, fingerprint, two starts of Python, the report. */
const FIXED = 2;

/** How much a check asks for, and how often it is taken: a long one takes minutes, and starts count little in it. */
interface Size {
  readonly meaning: string;
  readonly turns: number;
  readonly demo: (bench: Bench) => Promise<Demo>;
}

const at = ({ meaning, turns, demo }: Size): Figure => ({
  ...atMost(1.03),
  meaning: `wall time of a whole check of ${meaning}, all passes, over a bare script that has the same Python's engine compute the same tokens, beyond a fixed ${FIXED} s`,
  async measure(bench) {
    const suite = await demo(bench);
    const taken: Record<'check' | 'passes' | 'bare' | 'computing', number>[] = [];
    for (let turn = 0; turn < turns; turn++) {
      const { seconds, report, record } = await suite.check();
      if (report.conclusion !== 'reproduced') throw new Error(`the check ended as ${report.conclusion}`);
      const bare = await suite.bare('check');
      const passes = record.lifetimes[0]?.phases?.passes ?? Number.NaN;
      taken.push({ check: seconds, passes, bare: bare.seconds, computing: bare.engineSeconds });
    }
    const of = (name: keyof (typeof taken)[number]) => median(taken.map((turn) => turn[name]));
    const [check, passes, bare, computing] = [of('check'), of('passes'), of('bare'), of('computing')];
    const told = (ours: number, theirs: number) => `${ours.toFixed(1)} s over ${theirs.toFixed(1)} s`;
    return {
      value: (check - FIXED) / (bare - FIXED),
      detail: `${told(check, bare)} before the ${FIXED} s; passes ${told(passes, computing)}, start and end ${told(check - passes, bare - computing)}`,
    };
  },
});

export const overhead = at({
  meaning: "the demo's suite (4 prompts x 24 tokens, and a passage)",
  turns: 3,
  demo: async ({ demo }) => await demo(),
});

export const overheadLong = at({
  meaning: 'the same suite with 4 prompts x 512 tokens',
  turns: 1,
  demo: async ({ newDemo }) => await newDemo({ relations: ['baseline'], tokens: 512 }),
});

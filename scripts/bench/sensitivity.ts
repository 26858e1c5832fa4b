import { passSeconds } from './demo.ts';
import { atMost, type Figure } from './figure.ts';

const KINDS = ['force', 'score'] as const;

export const sensitivity: Figure = {
  ...atMost(1 / 20),
  meaning:
    "engine seconds of the demo's force and score passes, traces included, over those of generating 4 x 512 tokens, each text alone, which a text's hash needs",
  async measure({ demo }) {
    const suite = await demo();
    const { record } = await suite.check();
    const long = await suite.bare('long');
    if (long.tokens !== 2048) throw new Error(`${long.tokens} tokens were generated, not 2,048`);
    const seconds = KINDS.map((kind) => passSeconds(record, kind));
    const sum = seconds.reduce((a, b) => a + b, 0);
    const told = KINDS.map((kind, index) => `${kind} ${seconds[index]?.toFixed(2)} s`);
    return {
      value: sum / long.engineSeconds,
      detail: `${told.join(', ')} over ${long.engineSeconds.toFixed(1)} s`,
    };
  },
};

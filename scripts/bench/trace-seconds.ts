import { firstModule } from '../../src/words/groups.ts';
import { FLIPPED } from '../setup/flipped-model.ts';
import { passSeconds } from './demo.ts';
import { atMost, type Figure } from './figure.ts';

export const traceSeconds: Figure = {
  ...atMost(2),
  meaning:
    'engine seconds of the score pass whose trace names the module in which one bit of one weight was flipped',
  async measure({ demo }) {
    const { report, record } = await (await demo()).checkFlipped();
    const findings = report.relations.flatMap((relation) => relation.findings);
    const [earliest] = findings.filter(({ trace }) => trace !== null).sort(firstModule);
    const first = earliest?.trace?.first ?? 'none';
    return {
      value: first === FLIPPED.module ? passSeconds(record, 'score') : null,
      detail: `first module that differs: ${first}`,
    };
  },
};

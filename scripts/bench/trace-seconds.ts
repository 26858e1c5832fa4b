import { FLIPPED } from '../setup/flipped-model.ts';
import { passSeconds } from './demo.ts';
import { atMost, type Figure } from './figure.ts';

export const traceSeconds: Figure = {
  ...atMost(2),
  meaning:
    'engine seconds of the trace pass that names the module in which one bit of one weight was flipped',
  async measure({ demo }) {
    const { report, record } = await (await demo()).checkFlipped();
    const findings = report.relations.flatMap((relation) => relation.findings);
    const first = findings.find(({ trace }) => trace !== null)?.trace?.first ?? 'none';
    return {
      value: first === FLIPPED.module ? passSeconds(record, 'trace') : null,
      detail: `first module that differs: ${first}`,
    };
  },
};

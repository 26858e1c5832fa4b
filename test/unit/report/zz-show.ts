import { annotations } from '../../../src/report/annotations.ts';
import { summary } from '../../../src/report/summary.ts';
import { terminalLines } from '../../../src/report/terminal.ts';
import { body, modules, side } from '../support/records.ts';
import { reportOf } from '../support/reports.ts';

const many = (n: number, from = -1, at: number[] = []) => ({
  tokens: Array.from({ length: n }, (_, i) => i + 1),
  logprobs: Array.from({ length: n }, (_, i) => (at.includes(i) ? from + 0.01 : from)),
});
const BEFORE = {
  capital: body(many(40)),
  sky: body(many(40)),
  essay: body({ tokens: [30, 31, 32, 33] }),
  haiku: body(many(20)),
};
const NOW = {
  capital: body(many(40, -1, [12, 13, 30])),
  sky: body({
    ...many(40, -1, [5, 7]),
    tokens: many(40).tokens.map((t, i) => (i === 23 ? 99 : t)),
    text: 'other',
  }),
  essay: body({ tokens: [30, 31, 32, 33] }),
  haiku: body(many(20)),
};
const MODULES = { 'layers.0': 'a', 'layers.1': 'b', head: 'c' };
const scored = (s: number) => body({ ...many(128, -1, s === 0 ? [] : [3, 9, 77]), text: '' });
const lifetime = (now: typeof BEFORE, s: number, trace: Record<string, string>) => ({
  'generate-alone': now,
  'force-alone': { capital: now.capital },
  'score-alone': { capital: scored(s), sky: scored(0), text: scored(s) },
  'trace-alone': { trace: modules(trace) },
});
const starts = (one: ReturnType<typeof lifetime>) => ({
  'lifetime-1': { ...one, 'generate-again': one['generate-alone'] },
  'lifetime-2': one,
  'lifetime-3': one,
});
const report = await reportOf(
  side({ lifetimes: starts(lifetime(NOW, 1, { ...MODULES, 'layers.1': 'x', head: 'y' })), texts: ['text'] }),
  side({ lifetimes: starts(lifetime(BEFORE, 0, MODULES)), texts: ['text'] }),
);
const told = {
  ...report,
  changes: [
    { half: 'declared' as const, field: 'engine.version', before: '0.30.0', after: '0.31.1' },
    { half: 'ambient' as const, field: 'driver', before: '570.1', after: '580.2' },
  ],
};
console.log(summary(told));
console.log('==========');
console.log(terminalLines(told).join('\n'));
console.log('==========');
console.log(
  annotations(told)
    .map((a) => `${a.level} ${a.title}\n   ${a.message}`)
    .join('\n'),
);

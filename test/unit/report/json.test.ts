import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ZodType } from 'zod';
import { explain } from '../../../src/explain/explain.ts';
import type { Case } from '../../../src/explain/types.ts';
import { json } from '../../../src/inert.ts';
import type { Apart } from '../../../src/report/explained.ts';
import {
  CheckAnswer,
  ExplainAnswer,
  FingerprintAnswer,
  LogAnswer,
  PowerAnswer,
  ReportsAnswer,
  VerifyAnswer,
} from '../../../src/report/json.ts';
import { POWER_SCHEMA } from '../../../src/report/power.ts';
import type { Kind, Results } from '../../../src/surfaces/surface.ts';
import { tell } from '../../../src/tell/tell.ts';
import { log } from '../../../src/use-cases/history.ts';
import { explainedLegs } from '../../../src/use-cases/legs.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import { ASKS, Job } from '../support/job.ts';
import { body, FINGERPRINT } from '../support/records.ts';
import { checkReport } from '../support/reports.ts';

const APART: Apart = {
  suite: 'suite',
  sides: ['A', 'B'].map((group) => ({ group, record: group, hardwareClass: 'cpu-x', floorNats: null })),
  distance: {
    ...{ positions: 4, rmsNats: 0.25, largestNats: 0.5, argmaxChanges: 0 },
    ...{ crossEntropyNats: 0, normaliserOnly: false },
  },
};

const DRIFT = await checkReport({ capital: body() }, { capital: body({ logprobs: [-0.5, -1.75] }) });

/** What a program reads of a result, as it reads it. */
async function read<K extends Kind>(kind: K, value: Results[K]): Promise<unknown> {
  let told: unknown;
  await tell(kind, value, {
    json: (content) => {
      told = JSON.parse(json(content));
    },
  });
  return told;
}

const one = (name: string, facts: Readonly<Record<string, string>>, tokens: string): Case => ({
  ...{ name, suite: 'demo', facts: new Map(Object.entries(facts)), notes: ['worked out'] },
  answers: new Map([['sky', { prompt: 'sky', kind: 'generate', channels: new Map([['tokens', tokens]]) }]]),
});

/** Of what a surface gives a program, its schema. */
const TOLD: readonly (readonly [what: string, schema: ZodType, told: () => Promise<unknown>])[] = [
  ['a check', CheckAnswer, () => read('report', DRIFT)],
  [
    'several reports',
    ReportsAnswer,
    () =>
      read('merged', {
        reports: [DRIFT, { ...DRIFT, hardwareClass: 'cpu-x' }],
        ...{ conclusion: 'drift', verdict: 'fail', htmlPath: '/record/report.html' },
        explained: explainedLegs([
          { report: DRIFT, name: 'leg 1' },
          { report: { ...DRIFT, outcome: 'ab'.repeat(32) }, name: 'leg 2' },
        ]),
        across: {
          ...{ required: 'within 2x floor', status: 'broken', verdict: 'fail', line: 'x' },
          pairs: [{ suite: 'demo', status: 'broken', floors: 2.5, what: 'x' }],
        },
      }),
  ],
  [
    'one report alone',
    ReportsAnswer,
    () => read('merged', { reports: [DRIFT], conclusion: 'drift', verdict: 'fail', htmlPath: '/r.html' }),
  ],
  [
    'what explains records',
    ExplainAnswer,
    () =>
      read('explained', {
        explained: explain([
          one('a', { threads: '1', torch: '2.8', cpu: 'x', os: 'p' }, 'p'),
          one('b', { threads: '1', torch: '2.8', cpu: 'y', os: 'q' }, 'p'),
          one('c', { threads: '2', torch: '2.9', cpu: 'x', os: 'r' }, 'q'),
          one('d', { threads: '2', torch: '2.9', cpu: 'y', os: 's' }, 'r'),
        ]),
        apart: [APART],
        htmlPath: '/record/explanation.html',
      }),
  ],
  [
    'a history',
    LogAnswer,
    async () => {
      const job = new Job();
      await job.refreshed();
      await job.refreshed(() => ({ shift: 1 }), { reason: 'a new driver' });
      const told = await read('history', await log({ ...job.settings(), ...ASKS.log }, job.tools()));
      assert.equal(LogAnswer.parse(told).histories[0]?.baselines.length, 2);
      return told;
    },
  ],
  ['a suite without a baseline', LogAnswer, () => read('history', [])],
  [
    'a report that lies',
    VerifyAnswer,
    async () => {
      const job = new Job();
      await job.refreshed();
      const { context } = await job.checked();
      const path = `${context.recordPath}.report.json`;
      job.disk.files.set(path, (job.disk.files.get(path) ?? '').replace('"pass"', '"fail"'));
      const told = await read('verification', await verify({ reportPath: path }, job.tools()));
      assert.ok(VerifyAnswer.parse(told).disagreements.length > 0);
      return told;
    },
  ],
  [
    'a fingerprint',
    FingerprintAnswer,
    () => read('fingerprint', { hardwareClass: 'cpu-x', fingerprint: FINGERPRINT }),
  ],
  [
    'a power',
    PowerAnswer,
    () =>
      read('power', {
        ...{ schema: POWER_SCHEMA, suite: 'demo', hardwareClass: 'cpu-x' },
        real: { made: 1, caught: 1, caughtByText: 0 },
        equivalent: { made: 0, flagged: 0 },
        perturbations: [
          {
            ...{
              id: 'dtype',
              what: 'another dtype',
              equivalent: false,
              made: true,
              caught: true,
              by: ['decode'],
            },
            noticed: [{ by: 'decode', after: 3, engineSeconds: 0.5 }],
            ...{ rmsNats: 0.25, changed: null, note: '' },
          },
        ],
      }),
  ],
];

describe('what a program is given has its schema:', () => {
  for (const [what, schema, told] of TOLD)
    test(what, async () => {
      schema.parse(await told());
    });
});

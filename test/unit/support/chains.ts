import type { Link } from '../../../src/baseline/port.ts';
import type { History } from '../../../src/report/history.ts';
import { HOSTILE } from './hostile.ts';
import { PROVENANCE } from './reports.ts';

const CLASS = 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1';
const digest = (letter: string) => letter.repeat(64);

const linkOf = (letter: string, provenance: Partial<Link['provenance']>): Link => ({
  baseline: digest(letter),
  record: digest(letter === 'a' ? 'b' : 'a'),
  key: `deterministic-ml-v1/serving/${CLASS}/4211-1-${letter.repeat(16)}`,
  provenance: { ...PROVENANCE, ...provenance },
});

/** Four baselines: one compared with its forerunner, one of the same bits, one whose forerunner is gone, and the first. */
export const chain = (): History => ({
  suite: 'serving',
  hardwareClass: CLASS,
  baselines: [
    linkOf('4', {
      createdAt: '2026-11-20T09:14:00.000Z',
      actor: 'octocat',
      reason: 'vLLM 0.31 fuses the rotary embedding',
      pullRequest: 812,
      event: 'push',
    }),
    linkOf('3', { createdAt: '2026-10-02T07:00:00.000Z', reason: 'kept as it is', event: 'schedule' }),
    linkOf('2', {
      createdAt: '2026-09-14T12:30:00.000Z',
      reason: 'the Hopper attention kernels',
      image: 'vllm:2',
    }),
    linkOf('1', { createdAt: '2026-08-01T08:00:00.000Z', reason: 'first baseline', image: 'vllm:1' }),
  ],
  since: [
    {
      ...{ kind: 'compared', outcome: 'differs', prompts: 8, differ: 7 },
      changes: [
        { half: 'declared', field: 'engine.version', before: '0.30.0', after: '0.31.0' },
        { half: 'ambient', field: 'driver', before: '570.86.15', after: '575.51.03' },
      ],
      size: {
        distance: {
          ...{ positions: 4084, rmsNats: 0.037, largestNats: 0.31, argmaxChanges: 3 },
          ...{ crossEntropyNats: 0.001, normaliserOnly: false },
        },
        ...{ floorNats: 0.004, floorBy: 'noise', batchingNats: null, boundNats: null },
      },
    },
    { ...{ kind: 'compared', outcome: 'identical', prompts: 8, differ: 0 }, changes: [], size: null },
    { kind: 'unknown', why: 'the store no longer has the record of deterministic-ml-v1/serving/1' },
  ],
});

/** The same with whatever is free text as hostile and as long as it may be. */
export function hostileChain(): History {
  const texts = Object.values(HOSTILE);
  const text = (at: number) => texts[at % texts.length] ?? '';
  const { baselines, since = [], ...rest } = chain();
  return {
    ...rest,
    suite: text(0),
    hardwareClass: text(1),
    baselines: texts.map((one, at) => ({
      ...(baselines[at % baselines.length] ?? linkOf('5', {})),
      key: one,
      provenance: {
        ...PROVENANCE,
        ...{ actor: one, reason: `${one}${'x'.repeat(5000)}`, event: one, commit: one, ref: one, runId: one },
        ...{ runUrl: `javascript:${one}`, image: `${one}${at}`, tool: one },
      },
    })),
    since: since.map((one, at) =>
      one.kind === 'unknown'
        ? { ...one, why: text(at) }
        : {
            ...one,
            changes: [{ half: 'ambient', field: text(at), before: text(at + 1), after: text(at + 2) }],
          },
    ),
  };
}

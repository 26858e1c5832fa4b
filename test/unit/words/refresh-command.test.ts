import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refreshAllCommand, refreshCommand } from '../../../src/words/refresh-command.ts';
import { body } from '../support/records.ts';
import { checkReport, PROVENANCE } from '../support/reports.ts';

const { context } = await checkReport({ capital: body() }, { capital: body({ logprobs: [-0.5, -1.75] }) });

/** A leg whose baseline a workflow has stored. */
const leg = (workflow: string, { event = 'workflow_dispatch', runId = '42', own = 'check' } = {}) => ({
  context: {
    ...context,
    run: { ...context.run, workflow: own },
    baseline: {
      ...({ kind: 'found', key: 'k', store: 'cache', replaced: 0, proof: null } as const),
      provenance: { ...PROVENANCE, workflow, event, runId },
    },
  },
});
const NONE = { context: { ...context, baseline: { kind: 'not-asked' } as const } };
const run = (name: string) => `gh workflow run ${name} -f reason="why these bits are to be trusted"`;

for (const [what, one, named] of [
  ['the file of a workflow without a name', leg('.github/workflows/gpu-baselines.yml'), 'gpu-baselines.yml'],
  ['a name', leg('Refresh on H100'), '"Refresh on H100"'],
  ['what a push starts takes no reason', leg('Store accepted drift', { event: 'push' }), 'refresh.yml'],
  ['a name that a shell would read', leg('$(id)'), 'refresh.yml'],
  ['an option', leg('-rf'), 'refresh.yml'],
  ['no baseline', NONE, 'refresh.yml'],
] as const)
  test(`what refreshes by hand is named: ${what}`, () => {
    assert.equal(refreshCommand(one), run(named));
  });

const [one, other] = [leg('Every GPU'), leg('Every GPU', { runId: '41' })];
const own = (runId: string) => leg('Every GPU', { runId, own: 'Every GPU' });
for (const [what, legs, named] of [
  ['who has stored all in one run', [one, one], '"Every GPU"'],
  ['who has stored each in a run of its own', [one, other], 'matrix.yml'],
  ['who has stored each so, and measures them now', [own('42'), own('41')], '"Every GPU"'],
  ['two that differ', [one, leg('Another')], 'matrix.yml'],
  ['a leg without a baseline', [one, NONE], 'matrix.yml'],
] as const)
  test(`what refreshes all legs is named: ${what}`, () => {
    assert.equal(refreshAllCommand(legs), run(named));
  });

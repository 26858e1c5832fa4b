import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../src/compare/types.ts';
import { groupsOf } from '../../../src/words/groups.ts';
import { promptTable } from '../../../src/words/prompt-table.ts';
import { finding } from '../support/reports.ts';

const TRACE = {
  ...{ modules: 78, differing: 3, first: 'matmul float32 17x576x1536', firstIndex: 6 },
  ...{ onlyLeft: [], onlyRight: [], map: { parts: [], layers: [], omitted: 0 } },
};
const heads = (more: Partial<Finding>) =>
  promptTable(
    groupsOf([finding('matmul', { agreement: 'modules-differ', divergence: null, ...more })]),
    { relation: 'baseline', dtype: undefined },
    { strips: false, kinds: true },
  );

test('a probe has neither tokens nor log-probabilities that could be the same', () => {
  const table = heads({ textIdentical: null, modules: 78, trace: TRACE });
  assert.match(table, /^\| prompt \| agreement \| where \|\n/);
  assert.match(table, /first different call: matmul float32 17x576x1536 .*3 of 78 differ/);
});

test('what a model generated has both, beside other modules', () => {
  const table = heads({ textIdentical: true, modules: null });
  assert.match(table, /^\| prompt \| agreement \| hash of the text alone \| tokens \| decode bits \|/);
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Leftover } from '../../../src/job/tools.ts';
import { CleanAnswer } from '../../../src/report/answers.ts';
import { clean } from '../../../src/use-cases/clean.ts';

const NOW = Date.parse('2026-11-27T12:00:00Z');

/** Two models and a scratch folder, and what is removed of them. */
function machine() {
  const removed: string[] = [];
  const one = (path: string, day: string, bytes: number, error?: Error): Leftover => ({
    ...{ what: path === 'scratch' ? 'scratch folder' : 'model', path, bytes },
    usedAt: new Date(`${day}T12:00:00Z`),
    async remove() {
      if (error !== undefined) throw error;
      removed.push(path);
    },
  });
  const denied = Object.assign(new Error('no'), { code: 'EACCES' });
  const all = [
    one('new', '2026-11-26', 2.5e9),
    one('old', '2026-10-01', 1.5e9),
    one('scratch', '2026-09-01', 4e5),
    one('foreign', '2026-08-01', 1e6, denied),
  ];
  return { removed, tools: { open: { leftovers: async () => all } } };
}

test('without days all is shown, the oldest first, and nothing is deleted', async () => {
  const { removed, tools } = machine();
  const { verdict, lines } = await clean({}, tools, () => NOW);
  assert.deepEqual([verdict, removed], ['pass', []]);
  assert.deepEqual(lines.slice(1), [
    'kept: scratch folder, 0.4 MB, last used 2026-09-01: scratch',
    'kept: model, 1.5 GB, last used 2026-10-01: old',
    'kept: model, 2.5 GB, last used 2026-11-26: new',
    '4 folders, 4.0 GB. `deterministic-ml clean 30` deletes what was not used for 30 days.',
  ]);
});

test('what was not used for so many days is deleted, and what cannot be is told', async () => {
  const { removed, tools } = machine();
  const { verdict, lines, value } = await clean({ days: '30' }, tools, () => NOW);
  assert.deepEqual([verdict, removed], ['warn', ['scratch', 'old']]);
  assert.equal(lines[0], 'not removed (EACCES): model, 1.0 MB, last used 2026-08-01: foreign');
  assert.equal(
    lines.at(-1),
    'Removed 2 folders, 1.5 GB; kept 2 folders, 2.5 GB, of which 1 could not be removed.',
  );
  assert.equal(CleanAnswer.parse(value).folders.length, 4);
});

for (const days of ['0', '-1', '1.5', 'all', '', '99999'])
  test(`\`${days}\` is no number of days, and nothing is looked at`, async () => {
    const open = { leftovers: () => assert.fail('looked') };
    await assert.rejects(clean({ days }, { open }), { code: 'input-invalid' });
  });

import assert from 'node:assert/strict';
import { globSync } from 'node:fs';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { affected } from '../../scripts/changed.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const all = globSync(['test/**/*.test.ts', 'test/harness/test_*.py'], { cwd: root });
const reads = new Map<string, readonly string[]>();
const by = (...changed: readonly string[]) => affected(root, all, changed, reads);
const groupsOf = (tests: readonly string[]) => new Set(tests.map((test) => test.split('/')[1]));

describe('what `npm test -- --changed` runs', () => {
  test('of a changed module: whatever imports it, however far away, and whatever runs what is built of it', () => {
    const run = by('src/compare/ties.ts');
    for (const one of ['test/unit/compare/compare.test.ts', 'test/unit/use-cases/check.test.ts'])
      assert.ok(run.includes(one), one);
    assert.ok(all.filter((one) => one.startsWith('test/scripted/')).every((one) => run.includes(one)));
    assert.ok(!run.includes('test/unit/runtime/exit.test.ts'), 'that one never compares');
  });

  test('of a changed test: that test, and those that read all of them', () => {
    const run = by('test/unit/compare/distance.test.ts');
    assert.ok(run.includes('test/unit/compare/distance.test.ts'));
    assert.ok(run.length < 10, run.join(' '));
  });

  test('of a page: the tests that read it, and no engine', () => {
    const run = by('docs/troubleshooting.md');
    assert.ok(run.includes('test/unit/docs.test.ts'));
    assert.ok(!groupsOf(run).has('e2e'), run.join(' '));
  });

  test('of the harness: its own tests, and all that starts it', () => {
    const groups = groupsOf(by('docker/harness/deterministic_ml/harness/main.py'));
    for (const group of ['harness', 'scripted', 'e2e', 'contract']) assert.ok(groups.has(group), group);
  });

  test('of what decides how tests run: all of them; of what nobody reads: none', () => {
    assert.deepEqual(by('package-lock.json'), all);
    assert.deepEqual(by('.editorconfig-that-nobody-reads'), []);
  });
});

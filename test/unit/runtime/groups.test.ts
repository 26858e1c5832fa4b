import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Grouped, groupsBeside, groupsOf, roomFor, uuidHash } from '../../../src/runtime/groups.ts';

const CARDS = ['a', 'b', 'c', 'd'].map((letter) => `GPU-${letter.repeat(8)}-0000-0000-0000-000000000000`);
const [A = '', B = '', C = '', D = ''] = CARDS;

const asked = (change: Partial<Grouped>): Grouped => ({ gpus: 1, devices: [], cpuSets: [], ...change });
const beside = (change: Partial<Grouped>, known: readonly (string | undefined)[], ...used: string[]) =>
  groupsBeside(asked(change), known, used.map(uuidHash)).map(({ name, gpus, cpus }) => [name, ...gpus, cpus]);

test('a card is told apart by the hash that the harness tells of it', () => {
  // As docker/harness has it: sha256 of `gpu-…` in small letters, 16 hex digits.
  assert.equal(uuidHash('GPU-AAAAAAAA-0000-0000-0000-000000000000'), uuidHash(A));
  assert.equal(uuidHash(A), '5dff66a3edd9c4ba');
});

describe('beside an engine that uses its GPU, others have', () => {
  test('all cards that the driver shows but that one, whichever CUDA took', () => {
    assert.deepEqual(beside({}, CARDS, A), [
      ['GPU 1', B, undefined],
      ['GPU 2', C, undefined],
      ['GPU 3', D, undefined],
    ]);
    assert.deepEqual(
      beside({}, CARDS, C).map(([name]) => name),
      ['GPU 0', 'GPU 1', 'GPU 3'],
    );
  });

  test('as many as it has, and none where those do not suffice', () => {
    assert.deepEqual(beside({ gpus: 2 }, CARDS, A, B), [['GPUs 2, 3', C, D, undefined]]);
    assert.deepEqual(beside({ gpus: 3 }, CARDS, A, B, C), []);
  });

  test('of those alone that the runner may use, after the ones that the first has', () => {
    assert.deepEqual(beside({ devices: ['2', '0', A, B] }, CARDS, C), [
      ['GPU 0', '0', undefined],
      ['GPU 1', B, undefined],
    ]);
    assert.deepEqual(beside({ devices: ['0'] }, CARDS, A), []);
  });

  test('none that nobody can tell from the first: an index, where the driver shows no cards', () => {
    assert.deepEqual(beside({ devices: ['0', '1', B] }, [], A), [
      [`GPU ${uuidHash(B).slice(0, 8)}`, B, undefined],
    ]);
    assert.deepEqual(beside({}, [undefined, B], B), []);
  });
});

test('engines on the CPU have the sets that the runner names, and run alone without', () => {
  const none = { gpus: 'none', devices: ['0', '1'] } as const;
  assert.deepEqual(beside({ ...none, cpuSets: ['0-3', '4-7'] }, CARDS), [['CPUs 4-7', '4-7']]);
  assert.deepEqual(beside(none, CARDS), []);
});

test('there are engines for as many groups as there are, and one at least', () => {
  const count = (change: Partial<Grouped>, known: readonly (string | undefined)[] = CARDS) =>
    groupsOf(asked(change), known);
  assert.deepEqual([count({}), count({ gpus: 2 }), count({ gpus: 3 }), count({ gpus: 8 })], [4, 2, 1, 1]);
  assert.deepEqual([count({ devices: ['0', '1'] }), count({}, [undefined, undefined])], [2, 1]);
  assert.deepEqual([count({ gpus: 'none' }), count({ gpus: 'none', cpuSets: ['0', '1'] })], [1, 2]);
});

test('memory is shared out: 8 GiB for each engine, or what the suite says', () => {
  const GIB = 1024 ** 3;
  assert.deepEqual([roomFor(undefined, 40 * GIB), roomFor(undefined, 4 * GIB)], [4, 1]);
  assert.deepEqual([roomFor(18 * GIB, 40 * GIB), roomFor(64 * GIB, 40 * GIB)], [2, 1]);
});

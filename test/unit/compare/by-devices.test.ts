import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { byDevices } from '../../../src/compare/by-devices.ts';
import { compare } from '../../../src/compare/compare.ts';
import type { Devices } from '../../../src/record/devices.ts';
import { disagreeing } from '../../../src/report/by-devices.ts';
import { body, side } from '../support/records.ts';

const GPU = { name: 'NVIDIA H100', computeCapability: '9.0', smCount: 132, memoryBytes: 85_000_000_000 };
const gpu = (index: number): Devices => ({
  gpus: [{ index, ...GPU, uuidHash: `${index}`.repeat(16) }],
  cpus: null,
});
const cpus = (set: string): Devices => ({ gpus: [], cpus: set });

/** A lifetime: where it ran, and the token that it gave. */
type Case = readonly [Devices | undefined, number];

function ran(...all: readonly Case[]) {
  return side({
    lifetimes: Object.fromEntries(
      all.map(([, token], at) => [
        `lifetime-${at + 1}`,
        {
          'generate-alone': { a: body({ tokens: [token, token] }) },
          'score-alone': { a: body({ tokens: [token, token] }) },
        },
      ]),
    ),
    change: (record) => ({
      ...record,
      lifetimes: record.lifetimes.map((one, at) => {
        const [devices] = all[at] ?? [];
        return devices === undefined ? one : { ...one, devices };
      }),
    }),
  });
}

const told = (...all: readonly Case[]) => {
  const { record } = ran(...all);
  return disagreeing(record).map(({ title, message }) => `${title}: ${message}`);
};

describe('outcomes that go with the devices', () => {
  test('name the card that disagrees with its twins', () => {
    const [notice, ...more] = told([gpu(0), 1], [gpu(1), 2], [gpu(2), 1]);
    assert.deepEqual(more, []);
    assert.match(
      notice ?? '',
      /^Suspect GPU 1: lifetime-2 on GPU 1 gave other bits than lifetime-1 on GPU 0 and lifetime-3 on GPU 2, which all gave the same\. .*`gpu-devices`.*dcgmi/,
    );
  });

  test('name it too where it does not even agree with itself', () => {
    assert.match(
      told([gpu(0), 1], [gpu(1), 1], [gpu(2), 1], [gpu(1), 2])[0] ?? '',
      /^Suspect GPU 1: lifetime-4 on GPU 1 gave other bits than lifetime-1 on GPU 0 and lifetime-3 on GPU 2, which all gave the same, as did lifetime-2 on it\. /,
    );
  });

  test('of two blame neither', () => {
    assert.match(
      told([gpu(0), 1], [gpu(0), 1], [gpu(1), 2])[0] ?? '',
      /^Other devices, other bits: lifetime-1 and lifetime-2 on GPU 0 gave other bits than lifetime-3 on GPU 1, and each repeats itself\..* a third tells/,
    );
  });

  test('of CPUs are told as such', () => {
    assert.match(
      told([cpus('0-7'), 1], [cpus('8-15'), 2], [cpus('16-23'), 1])[0] ?? '',
      /^Suspect CPUs 8-15: .*`cpu-sets`/,
    );
  });

  test('say nothing where they do not', () => {
    const nothing: (readonly Case[])[] = [
      // All the same; all in one place; an engine that does not repeat, wherever it runs.
      [
        [gpu(0), 1],
        [gpu(1), 1],
        [gpu(2), 1],
      ],
      [
        [gpu(0), 1],
        [gpu(0), 2],
        [gpu(0), 1],
      ],
      [
        [gpu(0), 1],
        [gpu(0), 2],
        [gpu(1), 1],
        [gpu(1), 2],
      ],
      // One of which nobody knows where it ran.
      [
        [gpu(0), 1],
        [undefined, 2],
        [gpu(2), 1],
      ],
      [
        [gpu(0), 1],
        [{ gpus: [{ index: null, ...GPU, uuidHash: 'unknown' }], cpus: null }, 2],
        [gpu(2), 1],
      ],
    ];
    for (const all of nothing) assert.equal(byDevices(ran(...all).record), undefined);
  });

  test('of three that all differ blame none of them', () => {
    assert.equal(byDevices(ran([gpu(0), 1], [gpu(1), 2], [gpu(2), 3]).record)?.kind, 'each-its-own');
  });
});

describe('a restart', () => {
  const found = async (...all: readonly Case[]) => {
    const [relation] = await compare(ran(...all), undefined, [
      { relation: 'restart', requirement: 'identical' },
    ]);
    return [relation?.evidence, relation?.findings[0]?.reason];
  };

  test('on one card is told apart from one on another', async () => {
    assert.deepEqual(await found([gpu(0), 1], [gpu(0), 1]), [
      '2 engine starts, each in a process of its own, all on GPU 0',
      'lifetime-1 and lifetime-2, both on GPU 0',
    ]);
    assert.deepEqual(await found([gpu(0), 1], [gpu(1), 1]), [
      '2 engine starts, each in a process of its own, on GPU 0 and on GPU 1',
      'lifetime-1 on GPU 0 and lifetime-2 on GPU 1',
    ]);
    assert.deepEqual(await found([undefined, 1], [undefined, 1]), [
      '2 engine starts, each in a process of its own',
      'lifetime-1 and lifetime-2',
    ]);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { declaredChanges } from '../../../src/changes/declared.ts';
import type { Fingerprint } from '../../../src/fingerprint/schema.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import { makePlan } from '../../../src/run/plan.ts';
import type { LoadedSuite } from '../../../src/suite/loaded.ts';
import { FINGERPRINT, side } from '../support/records.ts';
import { loaded } from '../support/suites.ts';

const [OLD_IMAGE, NEW_IMAGE] = ['a', 'b'].map((digit) => `r/i@sha256:${digit.repeat(64)}`) as [
  string,
  string,
];
const [OLD_REVISION, NEW_REVISION] = ['c1'.repeat(20), 'd2'.repeat(20)] as const;

const suite = (engine = '', model = `{ id: o/m, revision: ${NEW_REVISION} }`): LoadedSuite =>
  loaded(
    `apiVersion: deterministic-ml/v1
name: suite
model: ${model}
engine: { name: vllm${engine} }
runtime: { image: "${NEW_IMAGE}" }
sampling: { max_tokens: 4 }
prompts: [{ id: capital, text: "The capital of France is" }]
`,
    [{ id: 'capital', text: 'The capital of France is' }],
  );

/** A record of what a suite plans, or what a test makes of it. */
function recordOf(
  of: LoadedSuite,
  {
    declared = {},
    ambient = {},
  }: {
    readonly declared?: Partial<Fingerprint['declared']>;
    readonly ambient?: Partial<Fingerprint['ambient']>;
  } = {},
): RunRecord {
  const plan = makePlan(of, 'check');
  const { id = '', revision = 'none' } = of.suite.model;
  const image = of.suite.runtime.image ?? 'none';
  return side({
    passes: { 'generate-1': {} },
    fingerprint: {
      declared: {
        ...FINGERPRINT.declared,
        image: { reference: image, digest: image.slice(-64), certainty: 'verified' },
        model: {
          label: id,
          revision,
          files: [{ path: 'a.safetensors', bytes: 1, sha256: revision.padEnd(64, '0') }],
        },
        environment: { ...plan.environment },
        ...declared,
      },
      ambient: { ...FINGERPRINT.ambient, runtime: 'docker', ...ambient },
    },
    change: (record) => ({
      ...record,
      lifetimes: record.lifetimes.map((one) => ({
        ...one,
        settings: { requested: z.record(z.string(), z.json()).parse(plan.args), dropped: [], effective: {} },
      })),
    }),
  }).record;
}

const found = (before: RunRecord, of: LoadedSuite, now = recordOf(of)) =>
  declaredChanges(before, now, of, SUITE_SCHEMA);

/** The suite with all of them put back. */
const back = ({ changes }: ReturnType<typeof found>, { suite: now }: LoadedSuite) =>
  changes.reduce((one, change) => change.putBack(one), now);

describe('what can be put back', () => {
  test('an image, with all that came along: one change, and the likeliest', () => {
    const now = suite(', args: { seed: 7 }');
    const before = recordOf(suite(), {
      declared: {
        image: { reference: OLD_IMAGE, digest: 'a'.repeat(64), certainty: 'verified' },
        libraries: { torch: '2.0.0' },
        engine: { name: 'vllm', version: '0.1.0' },
      },
    });
    const all = found(before, now);
    assert.deepEqual(
      all.changes.map(({ name, before: was, after }) => [name, was, after]),
      [
        ['runtime.image', OLD_IMAGE, NEW_IMAGE],
        ['engine.args.seed', '0', '7'],
      ],
    );
    assert.deepEqual(all.fixed, []);
    assert.equal(back(all, now).runtime.image, OLD_IMAGE);
    assert.equal(back(all, now).engine.args['seed'], 0);
    const environment = { ...before.fingerprint.declared.environment, LD_LIBRARY_PATH: '/old' };
    const set = recordOf(suite(), { declared: { ...before.fingerprint.declared, environment } });
    assert.deepEqual(found(set, now).fixed, [], 'what an image sets comes with it');
  });

  test('a commit of a model on the hub, its files with it', () => {
    const now = suite();
    const all = found(recordOf(suite('', `{ id: o/m, revision: ${OLD_REVISION} }`)), now);
    assert.deepEqual(
      all.changes.map(({ name, before, after }) => [name, before, after]),
      [['model', OLD_REVISION, NEW_REVISION]],
    );
    assert.deepEqual(back(all, now).model, { id: 'o/m', revision: OLD_REVISION });
  });

  test('variables: another value, one that is gone and one that is new', () => {
    const was = suite(', env: { OMP_NUM_THREADS: "2", MKL_CBWR: "AVX2" }');
    const now = suite(', env: { OMP_NUM_THREADS: "4", NVIDIA_TF32_OVERRIDE: "1" }');
    const all = found(recordOf(was), now);
    assert.equal(all.changes.length, 3);
    assert.deepEqual(back(all, now).engine.env, { OMP_NUM_THREADS: '2', MKL_CBWR: 'AVX2' });
  });

  test('arguments that choose numbers are looked at before others', () => {
    const now = suite(', args: { block_size: 32, kv_cache_dtype: fp8, swap_space: 1 }');
    assert.deepEqual(
      found(recordOf(suite()), now).changes.map(({ name }) => name.replace('engine.args.', '')),
      ['kv_cache_dtype', 'block_size', 'swap_space'],
    );
  });
});

describe('what cannot', () => {
  const whyOf = (all: ReturnType<typeof found>, name: string) => {
    assert.deepEqual(all.changes, []);
    return all.fixed.find((one) => one.name === name)?.why ?? assert.fail(`no ${name}`);
  };

  test('a variable that no suite may set, whoever set it: a baseline chooses no program', () => {
    const now = suite();
    const { environment } = recordOf(now).fingerprint.declared;
    for (const [name, value] of [
      ['LD_PRELOAD', 'evil'],
      ['VLLM_PLUGINS', 'evil'],
      ['OMP_NUM_THREADS', '/a/path'],
    ] as const) {
      const before = recordOf(now, { declared: { environment: { ...environment, [name]: value } } });
      assert.match(whyOf(found(before, now), `engine.env.${name}`), /a suite may not say/);
    }
  });

  test('a variable that the runner sets and the baseline’s did not', () => {
    const now = suite();
    const { environment } = recordOf(now).fingerprint.declared;
    const here = recordOf(now, { declared: { environment: { ...environment, OMP_NUM_THREADS: '2' } } });
    const before = recordOf(now, { declared: { environment } });
    assert.match(whyOf(found(before, now, here), 'engine.env.OMP_NUM_THREADS'), /is not the suite’s to say/);
  });

  test('a folder’s files: only their digests are known', () => {
    const now = suite('', '{ path: model }');
    const before = recordOf(now, {
      declared: {
        model: { label: 'model', revision: 'none', files: [{ path: 'a', bytes: 1, sha256: 'e'.repeat(64) }] },
      },
    });
    assert.match(whyOf(found(before, now), 'model'), /only digests/);
  });

  test('a package of the machine itself', () => {
    const now = suite();
    const before = recordOf(now, {
      declared: { libraries: { ...FINGERPRINT.declared.libraries, torch: '2.0.0' } },
    });
    assert.match(whyOf(found(before, now), 'libraries.torch'), /no setting/);
  });

  test('a default of this version that the baseline’s did not have', () => {
    const now = suite();
    const before = recordOf(now);
    const [first] = before.lifetimes;
    const { enforce_eager: _, ...requested } = first?.settings.requested ?? {};
    const without = {
      ...before,
      lifetimes: before.lifetimes.map((one) => ({ ...one, settings: { ...one.settings, requested } })),
    };
    assert.match(whyOf(found(without, now), 'engine.args.enforce_eager'), /is not the suite’s to say/);
  });

  test('a flag of a command line: of one that has another value, the argument wins', () => {
    const now = suite(', serve: "vllm serve o/m --max-num-seqs 8 --swap-space 4"');
    const told = (of: RunRecord, line: Readonly<Record<string, number>>): RunRecord => ({
      ...of,
      lifetimes: of.lifetimes.map((one) => ({
        ...one,
        settings: { ...one.settings, requested: { ...one.settings.requested, ...line } },
      })),
    });
    const all = found(
      told(recordOf(now), { max_num_seqs: 4 }),
      now,
      told(recordOf(now), { max_num_seqs: 8, swap_space: 4 }),
    );
    assert.deepEqual(
      all.changes.map(({ name }) => name),
      ['engine.args.max_num_seqs'],
    );
    assert.equal(back(all, now).engine.args['max_num_seqs'], 4);
    assert.match(all.fixed.find(({ name }) => name.endsWith('swap_space'))?.why ?? '', /suite’s to say/);
  });

  test('what the runner changed is none', () => {
    const now = suite();
    assert.deepEqual(found(recordOf(now, { ambient: { kernel: '5.0' } }), now), { changes: [], fixed: [] });
  });
});

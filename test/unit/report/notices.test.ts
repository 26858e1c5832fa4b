import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compareProbes } from '../../../src/compare/probes.ts';
import { coverageOfProbes } from '../../../src/report/coverage.ts';
import { daysBetween, type Ground, notices } from '../../../src/report/notices.ts';
import { body, side } from '../support/records.ts';
import { foundView, PROVEN, PROVENANCE } from '../support/reports.ts';

const RUN = side({ passes: { 'generate-1': {} } });
const GPU = {
  ...{ name: 'NVIDIA H100', uuidHash: 'unknown', computeCapability: '9.0', smCount: 132 },
  memoryBytes: 85_000_000_000,
};
const QUIET: Ground = {
  now: '2026-11-23T00:00:00.000Z',
  baseline: foundView(RUN),
  proof: PROVEN,
  replacedByChange: undefined,
  lostBaseline: undefined,
  standing: undefined,
  exposed: undefined,
  warnAfterDays: 90,
  rules: { kind: 'checkout' },
  acceptances: [],
  health: undefined,
  probes: undefined,
  relations: [],
  replaced: [],
  defaults: ['seed'],
  environment: {},
  record: RUN.record,
  before: RUN.record,
};
const titles = (change: Partial<Ground>) => notices({ ...QUIET, ...change }).map(({ title }) => title);

describe('a notice', () => {
  test('is not given where there is nothing to say', () => assert.deepEqual(titles({}), []));

  test('tells why engine starts that the suite wants warm were cold', () => {
    const unfit = 'its import left 1 threads behind: pool (libx.so)';
    const record = {
      ...RUN.record,
      lifetimes: RUN.record.lifetimes.map((one) => ({
        ...one,
        start: { how: 'cold', process: 3, unfit } as const,
      })),
    };
    const [notice, ...more] = notices({ ...QUIET, record });
    assert.equal(notice?.title, 'Engine starts were to be warm, and were cold');
    assert.match(
      notice?.message ?? '',
      /^lifetime-1.*: its import left 1 threads behind: pool \(libx\.so\)\./,
    );
    assert.deepEqual(more, []);
  });

  test('tells that nothing kept the engine from the job, and why', () => {
    const [notice, ...more] = notices({ ...QUIET, exposed: 'unshare failed' });
    assert.deepEqual(more, []);
    assert.equal(notice?.level, 'notice');
    assert.match(notice.message, /could read the job’s tokens and files: unshare failed/);
  });

  test('tells of GPUs that nothing computes on, where the engine says how many processes it has', () => {
    const on = (gpus: number, ranks?: number) => {
      const { fingerprint, lifetimes } = RUN.record;
      const ambient = { ...fingerprint.ambient, gpus: Array.from({ length: gpus }, () => GPU) };
      const record: Ground['record'] = {
        ...RUN.record,
        fingerprint: { ...fingerprint, ambient },
        lifetimes: lifetimes.map((one) => ({
          ...one,
          settings: { ...one.settings, effective: ranks === undefined ? {} : { ranks } },
        })),
      };
      return titles({ record, before: undefined });
    };
    const told = ['GPUs that nothing computes on'];
    assert.deepEqual([on(2, 1), on(4, 2)], [told, told]);
    assert.deepEqual([on(2, 2), on(1, 1), on(0, 3), on(2)], [[], [], [], []]);
  });

  test('tells which probes foretold a drift, which moved alone, and that none did', () => {
    const called = (calls: Readonly<Record<string, string>>, unavailable: string | null = null) => {
      const [first, ...rest] = RUN.record.lifetimes;
      assert.ok(first);
      const probes = { seconds: 1, unavailable, calls: { ...calls } };
      return { ...RUN.record, lifetimes: [{ ...first, probes }, ...rest] };
    };
    const [a, b] = ['a'.repeat(64), 'b'.repeat(64)];
    const then = { 'matmul bfloat16 1x2x2': a, 'matmul bfloat16 2x2x2': a, 'rope float32': a };
    const told = (
      status: 'held' | 'broken' | 'measured',
      now: Readonly<Record<string, string>>,
      before: Ground['before'] = called(then),
    ) =>
      notices({
        ...QUIET,
        relations: [{ relation: 'baseline', status, findings: [] }],
        probes: compareProbes(before, called(now)),
      }).map(({ title, message }) => `${title}: ${message}`);
    const moved = { ...then, 'matmul bfloat16 2x2x2': b };
    const which = /matmul \(1 of 2 calls, first `matmul bfloat16 2x2x2`\)\./;
    const [foretold = '', ...more] = told('broken', moved);
    assert.deepEqual(more, []);
    assert.match(foretold, /^Foretold by probes: /);
    assert.match(foretold, which);
    assert.doesNotMatch(foretold, /rope/);
    const [alone = ''] = told('held', moved);
    assert.match(alone, /^Probes alone moved: .* of the model did not move/);
    assert.match(alone, which);
    assert.match(told('broken', then)[0] ?? '', /^No probe foretold it: 3 calls of/);
    assert.deepEqual(told('held', then), []);
    // A baseline of before there were any: unmeasured by name, and no drift.
    assert.deepEqual(told('broken', moved, RUN.record), []);
    const unmeasured = (before: Parameters<typeof compareProbes>[0]) =>
      coverageOfProbes(compareProbes(before, called(moved))).map(({ exercised, by }) => [exercised, by]);
    assert.deepEqual(unmeasured(RUN.record), [[false, 'the baseline has none']]);
    assert.deepEqual(unmeasured(called({}, 'no device')), [
      [false, 'none could be called for the baseline: no device'],
    ]);
    assert.deepEqual(unmeasured(called(then)), [[true, '3 calls']]);
    assert.match(
      told('broken', { 'rope float32': b, 'rope float64': b })[0] ?? '',
      /rope \(1 of 1 calls, .* Not compared: 3 calls that only one of the two has\./,
    );
    assert.match(told('measured', moved)[0] ?? '', /^Probes moved: /);
  });

  test('tells of a baseline that is older than the suite wants, from the day after', () => {
    assert.deepEqual(titles({ warnAfterDays: 21 }), []);
    assert.deepEqual(titles({ warnAfterDays: 20 }), ['Old baseline']);
    assert.deepEqual(titles({ warnAfterDays: 20, baseline: { kind: 'not-asked' } }), []);
  });

  test('tells what was asked for and is not in force, and what we asked for apart', () => {
    const record = (requested: object, effective: object): Ground['record'] => ({
      ...RUN.record,
      // Of all starts alike: told once.
      lifetimes: [...RUN.record.lifetimes, ...RUN.record.lifetimes].map((one) => ({
        ...one,
        settings: { dropped: [], requested: { ...requested }, effective: { ...effective } },
      })),
    });
    const told = (one: Partial<Ground>) =>
      notices({ ...QUIET, ...one }).map(({ level, title, message }) => `${level} ${title}: ${message}`);
    const settings = record({ seed: 0, block_size: 16 }, { seed: 1, block_size: 128 });
    assert.deepEqual(told({ record: settings }), [
      'warning Asked for, not in force: `block_size` was asked for as `16`, and is `128` in the running engine.',
      'notice Deterministic defaults that are not in force: `seed` was asked for as `0`, and is `1` in the running engine.',
    ]);
    const effective = { 'environment.PYTHONHASHSEED': '7', 'environment.OMP_NUM_THREADS': '4' };
    assert.deepEqual(
      told({
        record: record({}, effective),
        environment: { PYTHONHASHSEED: '0', OMP_NUM_THREADS: '2' },
      }),
      [
        'warning Asked for, not in force: `OMP_NUM_THREADS` was asked for as `2`, and is `4` in the running engine.',
        'notice Deterministic defaults that are not in force: `PYTHONHASHSEED` was asked for as `0`, and is `7` in the running engine.',
      ],
    );
    assert.deepEqual(told({ record: record({ seed: 0 }, { seed: 0 }) }), []);
  });

  test('suspects the hardware where an eager engine on a GPU does not repeat itself', () => {
    const broken = [{ relation: 'rerun', status: 'broken', findings: [] }] as const;
    const on = (gpus: number, compiled: boolean, requested = {}): Ground['record'] => ({
      ...RUN.record,
      fingerprint: {
        ...RUN.record.fingerprint,
        ambient: { ...RUN.record.fingerprint.ambient, gpus: Array(gpus).fill(GPU) },
      },
      lifetimes: RUN.record.lifetimes.map((one) => ({
        ...one,
        settings: { ...one.settings, requested, effective: { enforce_eager: !compiled } },
      })),
    });
    assert.deepEqual(titles({ relations: broken, record: on(1, false) }), ['Suspect the hardware']);
    assert.deepEqual(
      titles({ relations: broken, record: on(1, false, { deterministic_algorithms: false }) }),
      ['Deterministic algorithms are off'],
      'what was asked for is no fault',
    );
    assert.deepEqual(titles({ relations: broken, record: on(1, true) }), [], 'compilation may choose');
    assert.deepEqual(titles({ relations: broken, record: on(0, false) }), [], 'no GPU');
    assert.deepEqual(
      titles({ relations: [{ relation: 'restart', status: 'broken', findings: [] }], record: on(1, false) }),
      [],
      'another process',
    );
  });

  test('tells each GPU of its health by level, and no mere facts', () => {
    const sign = (level: 'unhealthy' | 'warning' | 'note' | 'fact', gpu: string | null, reason: string) => ({
      ...{ sign: 'x', level, gpu, reason, remedy: 'Do so.', seen: 'before lifetime-1' },
    });
    const signs = [
      sign('unhealthy', 'GPU 0 (A)', 'is lost'),
      sign('unhealthy', 'GPU 0 (A)', 'is used'),
      sign('warning', 'GPU 1 (B)', 'is slow'),
      sign('note', null, 'Nobody knows'),
      sign('fact', 'GPU 1 (B)', 'is warm'),
    ];
    assert.deepEqual(
      notices({ ...QUIET, health: { state: 'unhealthy', signs } }).map(({ level, message }) => [
        level,
        message,
      ]),
      [
        ['warning', 'GPU 0 (A) is lost (before lifetime-1); is used (before lifetime-1). Do so.'],
        ['warning', 'GPU 1 (B) is slow (before lifetime-1). Do so.'],
        ['notice', 'Nobody knows (before lifetime-1). Do so.'],
      ],
    );
  });

  test('says what could not be proven, and which permission proves it', () => {
    const [notice] = notices({
      ...QUIET,
      proof: { kind: 'unproven', why: 'GitHub did not say.', remedy: 'Grant `actions: read`.' },
    });
    assert.equal(notice?.level, 'warning');
    assert.equal(notice?.message, 'GitHub did not say. Grant `actions: read`.');
  });

  test('names what a change wants of its own judge, and only that', () => {
    const base = {
      kind: 'base',
      ref: 'refs/heads/main',
      sha: 'c0ffee',
      path: 'determinism.yml',
      missing: false,
      asks: 3,
    } as const;
    const change = (field: string, inForce: boolean) => ({ field, before: 'fail', after: 'warn', inForce });
    assert.deepEqual(titles({ rules: { ...base, changes: [change('engine.args.dtype', true)] } }), []);
    const [notice] = notices({
      ...QUIET,
      rules: { ...base, changes: [change('policy.no-baseline', false), change('prompts.a.text', true)] },
    });
    assert.match(
      notice?.message ?? '',
      /refs\/heads\/main judges as it is now.*: policy\.no-baseline: fail → warn\.$/,
    );
    assert.deepEqual(titles({ rules: { ...base, missing: true, changes: [] } }), [
      'No suite on the base branch',
    ]);
  });

  test('shows a change that brings its own baseline, and whose it replaces', () => {
    const [notice] = notices({ ...QUIET, replacedByChange: { how: 'brought', before: PROVENANCE } });
    assert.match(notice?.message ?? '', /of 2026-11-01, by alice for “first baseline”/);
    assert.match(
      notices({ ...QUIET, replacedByChange: { how: 'brought', before: null } })[0]?.message ?? '',
      /has none/,
    );
  });

  test('shows a change that takes its baseline away', () => {
    assert.deepEqual(titles({ replacedByChange: { how: 'removed', before: PROVENANCE } }), [
      'This change takes its baseline away',
    ]);
  });

  test('tells of a change that chooses hardware without a baseline', () => {
    const rules = {
      kind: 'base',
      ...{ ref: 'refs/heads/main', sha: 'c0ffee', path: 'determinism.yml', missing: false, asks: 3 },
      changes: [{ field: 'runtime.gpus', before: '1', after: '8', inForce: true }],
    } as const;
    assert.deepEqual(titles({ rules }), []);
    const baseline = { kind: 'incomparable', otherClasses: ['a'], explanation: [] } as const;
    assert.deepEqual(titles({ rules, baseline }), ['This change alters what it runs on']);
  });

  test('names the prompts that are not compared any more, and those that are not compared yet', () => {
    const [before, now] = [
      { a: body(), b: body(), c: body() },
      { b: body(), c: body(), d: body() },
    ].map((bodies) => side({ passes: { 'generate-1': bodies } }).record);
    assert.ok(before && now);
    const changed = {
      ...now,
      suite: {
        ...now.suite,
        prompts: now.suite.prompts.map((one) => (one.id === 'c' ? { ...one, input: 'f'.repeat(64) } : one)),
      },
    };
    const told = notices({ ...QUIET, before, record: changed });
    assert.deepEqual(
      told.map(({ level, title }) => `${level}: ${title}`),
      ['warning: Less is compared than the baseline knows', 'notice: New in the suite'],
    );
    assert.match(told[0]?.message ?? '', /^2 of its 3 prompts and texts .*: a, c\.$/);
    assert.match(told[1]?.message ?? '', /does not know 1 of the suite’s prompts .*: d\.$/);
  });

  test('tells of an acceptance that goes back to an older baseline', () => {
    const record = 'ab'.repeat(32);
    const acceptances = [{ record, reason: 'vLLM 0.30', state: 'matched' }] as const;
    assert.deepEqual(titles({ acceptances }), []);
    assert.deepEqual(titles({ acceptances, replaced: [record] }), ['Back to an older baseline']);
  });

  test('tells a stale acceptance from one that has done its work, and is silent of the others', () => {
    const of = (state: 'matched' | 'baseline' | 'elsewhere' | 'stale') => ({
      record: 'ab'.repeat(32),
      reason: 'meant',
      state,
    });
    assert.deepEqual(
      notices({ ...QUIET, acceptances: [of('matched'), of('elsewhere'), of('baseline'), of('stale')] }).map(
        ({ level, title }) => `${level}: ${title}`,
      ),
      ['notice: Acceptance has done its work', 'warning: Stale acceptance'],
    );
  });
});

test('days are whole, and never below 0', () => {
  assert.equal(daysBetween('2026-11-22T00:00:01Z', '2026-11-23T00:00:00Z'), 0);
  assert.equal(daysBetween('2026-11-22T00:00:00Z', '2026-11-23T00:00:00Z'), 1);
  assert.equal(daysBetween('2026-11-24T00:00:00Z', '2026-11-23T00:00:00Z'), 0);
});

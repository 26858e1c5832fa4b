import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type BaselineMeta, parseMeta } from '../../../src/baseline/port.ts';
import { UserError } from '../../../src/errors.ts';
import { digestJson, sha256 } from '../../../src/record/digest.ts';
import type { OpenedRecord } from '../../../src/record/side.ts';
import type { Rules } from '../../../src/report/schema.ts';
import {
  digestsOf,
  type FoundTrusted,
  findTrusted,
  knownTokens,
  replacedByChange,
  type Trusted,
  view,
} from '../../../src/trust/baseline.ts';
import { Job, SUITE, TIP } from '../support/job.ts';
import { loaded, rejectedBy } from '../support/suites.ts';

const CLASS = 'cpu-genuineintel-x86-64-v4';
const QUERY = { suite: 'suite', hardwareClass: CLASS };

/** A job whose store holds one baseline. */
async function trusting(): Promise<Job> {
  const job = new Job();
  await job.refreshed();
  return job;
}

async function found(job: Job): Promise<Trusted> {
  await using owned = new AsyncDisposableStack();
  return await findTrusted(job.store, QUERY, job.disk, owned);
}

interface Kept {
  key: string;
  meta: BaselineMeta;
  record: OpenedRecord;
}

/** Changes what the store holds, as whoever may write to it could. */
async function forged(change: (kept: Kept) => Partial<Kept>): Promise<Job> {
  const job = await trusting();
  const before = job.store.baselines.get(CLASS);
  const { meta, record } = job.disk.folders.get(before?.folder ?? '') ?? {};
  assert.ok(before !== undefined && meta !== undefined && record !== undefined);
  const kept = { key: before.key, meta: parseMeta(meta), record };
  const after = { ...kept, ...change(kept) };
  job.disk.folders.set('forged', { record: after.record, meta: Buffer.from(JSON.stringify(after.meta)) });
  job.store.baselines.set(CLASS, { key: after.key, folder: 'forged' });
  return job;
}

describe('a baseline', () => {
  test('is what its key says, its own digest, its record and the proof that the store has', async () => {
    const job = await trusting();
    const kept = job.store.baselines.get(CLASS);
    const trusted = await found(job);
    assert.ok(trusted.kind === 'found');
    assert.equal(trusted.key, kept?.key);
    assert.equal(trusted.metaSha256, sha256(job.disk.folders.get(kept?.folder ?? '')?.meta ?? ''));
    assert.equal(trusted.side.sha256, trusted.meta.recordFile);
    assert.deepEqual(trusted.proof, job.store.proof);
    assert.equal(job.store.open, 0, 'what the store lent is given back');
    assert.deepEqual(digestsOf(trusted.side, trusted), {
      record: trusted.side.sha256,
      baselineRecord: trusted.side.sha256,
      baselineMeta: trusted.metaSha256,
    });
    assert.deepEqual(digestsOf(trusted.side, undefined).baselineMeta, null);
  });

  test('that nobody has is absent, or of other hardware', async () => {
    const job = new Job();
    assert.deepEqual(await found(job), { kind: 'absent', explanation: ['looked here'] });
    job.store.baselines.set('nvidia-h100-80gb-hbm3-cc9.0-sm132-x1', { key: 'a', folder: 'a' });
    assert.deepEqual(await found(job), {
      ...{ kind: 'incomparable', otherClasses: ['nvidia-h100-80gb-hbm3-cc9.0-sm132-x1'] },
      explanation: ['looked here'],
    });
  });

  const forgeries: readonly [string, (kept: Kept) => Partial<Kept>, RegExp][] = [
    [
      'that claims another outcome than it holds',
      ({ meta }) => ({ meta: { ...meta, record: digestJson('another') } }),
      /claims the outcome [0-9a-f]{64} but holds/,
    ],
    [
      'beside another record.json',
      ({ meta }) => ({ meta: { ...meta, recordFile: digestJson('another') } }),
      /names another record\.json/,
    ],
    [
      'under another outcome’s key',
      ({ key }) => ({ key: key.replace(/[0-9a-f]{16}$/, '0'.repeat(16)) }),
      /holds another outcome, [0-9a-f]{64}, than its key names/,
    ],
    ['under what is no key', () => ({ key: 'somewhere' }), /holds another outcome/],
    [
      'of another run than its key’s',
      ({ key }) => ({ key: key.replace('/101-1-', '/102-1-') }),
      /was made by run 101, attempt 1, and not by the one that its key names/,
    ],
    [
      'of another attempt than its key’s',
      ({ key }) => ({ key: key.replace('/101-1-', '/101-2-') }),
      /was made by run 101, attempt 1/,
    ],
    [
      'of another suite',
      ({ meta }) => ({ meta: { ...meta, suite: 'other' } }),
      /belongs to the suite `other`/,
    ],
    [
      'of other hardware',
      ({ meta }) => ({ meta: { ...meta, hardwareClass: 'cpu-other' } }),
      /belongs to the hardware class `cpu-other`/,
    ],
    [
      'whose record is of another suite',
      ({ record }) => ({
        record: { ...record, record: { ...record.record, suite: { ...record.record.suite, name: 'other' } } },
      }),
      /belongs to the suite `other`/,
    ],
    [
      'whose record is of other hardware',
      ({ record }) => ({ record: { ...record, record: { ...record.record, hardwareClass: 'cpu-other' } } }),
      /belongs to the hardware class `cpu-other`/,
    ],
    [
      'whose envelope knows outcomes that no lifetime gave',
      ({ meta }) => ({
        meta: { ...meta, envelope: { lifetimes: 4, digests: [...meta.envelope.digests, digestJson('new')] } },
      }),
      /has an envelope of other outcomes than its record holds/,
    ],
    [
      'made of a model that was changed on purpose',
      ({ record }) => ({
        record: {
          ...record,
          record: {
            ...record.record,
            lifetimes: record.record.lifetimes.map((one) => ({ ...one, perturbed: 'a bit' })),
          },
        },
      }),
      /was made of a model that was changed on purpose/,
    ],
    [
      'without the bits that its record names',
      ({ record }) => ({
        record: {
          ...record,
          readBody: async () => Promise.reject(new UserError('record-invalid', 'body is not there.', '')),
        },
      }),
      /is damaged: body is not there/,
    ],
  ];
  for (const [name, change, message] of forgeries)
    test(`${name} is refused`, async () => {
      const job = await forged(change);
      const error = await rejectedBy(found(job));
      assert.equal(error.code, 'baseline-invalid');
      assert.match(error.message, message);
      assert.match(error.hint, /gh cache delete .* refresh the baseline/s);
      assert.equal(job.store.open, 0);
    });

  test('that this version does not read is refused, and why is told', async () => {
    const job = await trusting();
    for (const [meta, message] of [
      [Buffer.from('{'), /cannot be read: .*JSON/],
      [Buffer.from('{"schema":"deterministic-ml/baseline/v0"}'), /cannot be read: .*schema/s],
    ] as const) {
      job.disk.folders.set('forged', { meta });
      job.store.baselines.set(CLASS, { key: 'a', folder: 'forged' });
      const error = await rejectedBy(found(job));
      assert.equal(error.code, 'baseline-invalid');
      assert.match(error.message, message);
      assert.ok(error.message.length < 2200, 'whatever a stranger wrote');
    }
  });

  test('in the repository is restored from git, not deleted from a cache', async () => {
    const job = new Job('files');
    job.store.baselines.set(CLASS, { key: 'a', folder: 'nowhere' });
    assert.match((await rejectedBy(found(job))).hint, /^Restore it from git/);
  });

  test('is shown with who made it, what it replaced and why it is to be believed', async () => {
    const job = await trusting();
    const trusted = await found(job);
    assert.ok(trusted.kind === 'found');
    const shown = view(trusted, job.store);
    assert.deepEqual(shown, {
      ...{ kind: 'found', key: trusted.key, store: 'cache', provenance: trusted.meta.provenance },
      ...{ replaced: 0, proof: 'the test says so' },
    });
    const unproven: FoundTrusted = {
      ...trusted,
      proof: { kind: 'unproven', why: 'Nobody knows.', remedy: '' },
    };
    const told = view(unproven, job.store);
    assert.equal(told.kind === 'found' && told.proof, null);
    assert.deepEqual(view({ kind: 'not-asked' }, job.store), { kind: 'not-asked' });
  });
});

describe('known tokens', () => {
  test('are those of each prompt that is still asked the same', async () => {
    const trusted = await found(await trusting());
    assert.ok(trusted.kind === 'found');
    const { prompts } = trusted.side.record.suite;
    const asked = prompts.map(({ id, input }) => ({ id, digest: input }));
    const known = await knownTokens(trusted.side, asked);
    assert.deepEqual([...known.keys()], ['capital', 'sky']);
    assert.equal(known.get('sky')?.length, 4);
    const changed = asked.map((one) => (one.id === 'sky' ? { ...one, digest: digestJson('new') } : one));
    assert.deepEqual(
      [...(await knownTokens(trusted.side, [...changed, { id: 'new', digest: 'x' }])).keys()],
      ['capital'],
    );
  });
});

describe('a baseline in files that a change brings', () => {
  const FILES = SUITE.concat('baseline: { store: files, path: baselines/ }\n');
  const PLACE = `baselines/suite/${CLASS}/baseline.json`;
  const JUDGED: Rules = {
    ...{
      kind: 'base',
      ref: 'refs/heads/main',
      sha: TIP,
      path: 'suite.yml',
      missing: false,
      asks: 3,
      changes: [],
    },
  };

  /** @param base text of the base branch's `baseline.json`; undefined where it has none */
  async function brought(
    base: string | undefined,
    { own = true, suite = FILES, rules = JUDGED }: { own?: boolean; suite?: string; rules?: Rules } = {},
  ) {
    const job = await trusting();
    const trusted: Trusted = own ? await found(job) : { kind: 'absent', explanation: [] };
    if (base !== undefined)
      job.base.set(
        PLACE,
        base === 'same' ? (job.disk.folders.get(keyOf(trusted))?.meta?.toString() ?? '') : base,
      );
    const inCheckout = suite === FILES;
    return await replacedByChange(trusted, loaded(suite, []), { inCheckout }, QUERY, rules, job.tools());
  }

  const keyOf = (trusted: Trusted) => (trusted.kind === 'found' ? trusted.folder : '');

  test('is none where the base branch has the very same, or neither has any', async () => {
    assert.equal(await brought('same'), undefined);
    assert.equal(await brought(undefined, { own: false }), undefined);
  });

  test('is new, replaces one, or takes one away: with who had made that', async () => {
    const job = await trusting();
    const [kept] = job.store.baselines.values();
    const old = JSON.parse(job.disk.folders.get(kept?.folder ?? '')?.meta?.toString() ?? '') as BaselineMeta;
    const text = JSON.stringify(old, null, 2);
    assert.deepEqual(await brought(undefined), { how: 'brought', before: null });
    assert.deepEqual(await brought(text), { how: 'brought', before: old.provenance });
    assert.deepEqual(await brought(text, { own: false }), { how: 'removed', before: old.provenance });
    assert.deepEqual(await brought('no JSON'), { how: 'brought', before: null });
    assert.deepEqual(await brought('{}', { own: false }), { how: 'removed', before: null });
  });

  test('is not looked for in a cache, where the checkout judges, or where nothing is compared', async () => {
    assert.equal(await brought('{}', { suite: SUITE }), undefined);
    assert.equal(await brought('{}', { rules: { kind: 'checkout' } }), undefined);
    const job = await trusting();
    assert.equal(
      await replacedByChange(
        { kind: 'not-asked' },
        loaded(FILES, []),
        { inCheckout: true },
        QUERY,
        JUDGED,
        job.tools(),
      ),
      undefined,
    );
  });
});

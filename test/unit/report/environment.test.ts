import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Software } from '../../../src/fingerprint/software.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { outcomeDigest } from '../../../src/record/outcome.ts';
import type { RunRecord } from '../../../src/record/schema.ts';
import { packSoftware } from '../../../src/record/software.ts';
import { differences } from '../../../src/report/environment.ts';
import { notices } from '../../../src/report/notices.ts';
import { body, side } from '../support/records.ts';
import { foundView } from '../support/reports.ts';

const BITS = { capital: body() };

const software = (list: Software) => {
  const { record } = side({ passes: { 'generate-alone': BITS } });
  const digest = sha256(packSoftware(list));
  return {
    ...record,
    software: new Map([[digest, list]]),
    lifetimes: record.lifetimes.map((one) => ({ ...one, software: digest })),
  };
};

describe('packages and shared objects', () => {
  const list: Software = {
    python: { torch: '2.13.0', xgrammar: '0.1.20' },
    objects: { 'libc.so.6': 'build-id:aa' },
  };

  test('that differ stand after what the suite asks for and before what is the runner’s', () => {
    const python = { torch: '2.14.0', xgrammar: '0.1.21' };
    const after = software({ python, objects: { 'libc.so.6': 'build-id:bb' } });
    const { declared, ambient } = after.fingerprint;
    const fingerprint = {
      declared: { ...declared, libraries: { ...declared.libraries, torch: '2.14.0' } },
      ambient: { ...ambient, kernel: '6.2' },
    };
    assert.deepEqual(changed(software(list), { ...after, fingerprint }), [
      // Once: the fingerprint tells it already.
      'libraries.torch: 2.13.0 -> 2.14.0',
      'packages.python.xgrammar: 0.1.20 -> 0.1.21',
      'shared objects: 1 loaded -> 1 loaded; 1 differ: libc.so.6',
      'kernel: 6.1 -> 6.2',
    ]);
  });

  test('are nothing to a record from before they were looked at', () => {
    const { record } = side({ passes: { 'generate-alone': BITS } });
    assert.deepEqual(changed(record, software(list)), []);
  });

  test('change neither what a record computed nor its hardware class', () => {
    const [one, other] = [software(list), software({ python: { torch: '0' } })];
    assert.equal(outcomeDigest(one), outcomeDigest(other));
    assert.equal(one.digest, other.digest);
    assert.equal(one.hardwareClass, other.hardwareClass);
  });
});

/** A run with or without the relation `prefix-cache`, whose engine was asked to have a cache or not to. */
function run(passes: readonly string[], caching: boolean): RunRecord {
  const { record } = side({ passes: Object.fromEntries(passes.map((name) => [name, BITS])) });
  const asked = { enable_prefix_caching: caching };
  return {
    ...record,
    lifetimes: record.lifetimes.map((one) => ({
      ...one,
      settings: { requested: asked, dropped: [], effective: asked },
    })),
  };
}
const WITH = ['generate-alone', 'generate-warm'];
const WITHOUT = ['generate-alone'];
const REFRESH = run(WITH, true);

const changed = (before: RunRecord, after: RunRecord) =>
  differences(before, after).changes.map(({ field, before: was, after: is }) => `${field}: ${was} -> ${is}`);

describe('an argument that follows from the relations', () => {
  test('is no change where the check asks for fewer than the refresh, or for more', () => {
    assert.deepEqual(changed(REFRESH, run(WITHOUT, false)), []);
    assert.deepEqual(changed(run(WITHOUT, false), REFRESH), []);
  });

  test('is one where the suite set it, on either side', () => {
    assert.deepEqual(changed(run(WITHOUT, true), run(WITHOUT, false)), [
      'engine.requested.enable_prefix_caching: true -> false',
    ]);
    assert.deepEqual(changed(REFRESH, run(WITH, false)), [
      'engine.requested.enable_prefix_caching: true -> false',
    ]);
    assert.deepEqual(changed(run(WITHOUT, false), run(WITHOUT, true)), [
      'engine.requested.enable_prefix_caching: false -> true',
    ]);
  });

  test('is one of an engine that nobody here knows', () => {
    const strange = ({ fingerprint, ...rest }: RunRecord): RunRecord => ({
      ...rest,
      fingerprint: {
        ...fingerprint,
        declared: { ...fingerprint.declared, engine: { name: 'elsewhere', version: '1' } },
      },
    });
    assert.equal(changed(strange(REFRESH), strange(run(WITHOUT, false))).length, 1);
  });

  test('is told beside a drift, which it may explain, and beside nothing else', () => {
    const { record } = side({ passes: { 'generate-alone': BITS } });
    const told = (status: 'held' | 'broken') =>
      notices({
        now: '2026-11-23T00:00:00.000Z',
        baseline: foundView({ record }),
        proof: undefined,
        replacedByChange: undefined,
        lostBaseline: undefined,
        standing: undefined,
        exposed: undefined,
        warnAfterDays: 1000,
        rules: { kind: 'checkout' },
        acceptances: [],
        health: undefined,
        probes: undefined,
        relations: [{ relation: 'baseline', status, findings: [] }],
        replaced: [],
        defaults: [],
        environment: {},
        record: run(WITHOUT, false),
        before: REFRESH,
      }).map(({ title, message }) => `${title}: ${message}`);
    assert.deepEqual(told('held'), []);
    const [only, ...more] = told('broken');
    assert.match(
      only ?? '',
      /^Other relations than at the refresh: .*`enable_prefix_caching` was true and is false/,
    );
    assert.deepEqual(more, []);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Finding } from '../../../src/compare/types.ts';
import { annotations } from '../../../src/report/annotations.ts';
import type { Report } from '../../../src/report/model.ts';
import { outputs } from '../../../src/report/outputs.ts';
import { summary } from '../../../src/report/summary.ts';
import { terminalLines } from '../../../src/report/terminal.ts';
import { drifted, verdictLine } from '../../../src/report/verdict.ts';
import { divergenceWords, nats } from '../../../src/report/words.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body, FINGERPRINT, result, side } from '../support/records.ts';
import { checkReport, PROVENANCE, reportOf } from '../support/reports.ts';

const BEFORE = {
  capital: body(),
  sky: body({ tokens: [20, 21, 22] }),
  essay: body({ tokens: [30, 31, 32, 33] }),
};
const REPRODUCED = await checkReport(BEFORE, BEFORE);
const DRIFT = await checkReport(BEFORE, {
  capital: body({ logprobs: [-0.5, -1.75] }),
  sky: body({ tokens: [20, 21, 25], text: 'other' }),
  essay: body({ tokens: [30, 31, 32, 33], promptTokens: [9] }),
});

function finding(prompt: string, more: Partial<Finding> = {}): Finding {
  return {
    prompt,
    agreement: 'tokens-differ',
    holds: false,
    textIdentical: false,
    divergence: { logprobStep: 1, tokenStep: 3, steps: 9, largestNats: 0.25, fork: null },
    reason: null,
    ...more,
  };
}

const withFindings = (findings: readonly Finding[]): Report => ({
  ...DRIFT,
  relations: [result('baseline', 'broken', { findings })],
});

describe('annotations', () => {
  test('of a run that reproduced: none', () => assert.deepEqual(annotations(REPRODUCED), []));

  test('stand on the line of each prompt that drifted, worst first, and say where and how much', () => {
    const found = annotations(DRIFT);
    assert.deepEqual(
      found.map(({ level, file, line, column, title }) => `${level} ${file}:${line}:${column} ${title}`),
      [
        'error determinism.yml:10:5 Drift: prompt essay',
        'error determinism.yml:9:5 Drift: prompt sky',
        'error determinism.yml:8:5 Drift: prompt capital',
      ],
    );
    assert.match(found[0]?.message ?? '', /^the prompt itself tokenises differently\./);
    assert.match(found[1]?.message ?? '', /^other tokens: .*tokens part at step 3/);
    assert.match(
      found[2]?.message ?? '',
      /^same tokens, other log-probability bits: bits part at step 2 of 2; largest difference 0\.250 nats\. A hash of the text saw nothing\./,
    );
  });

  test('name what changed in the environment', async () => {
    const report = await checkReport(BEFORE, { ...BEFORE, capital: body({ logprobs: [-1, -2] }) });
    assert.match(annotations(report)[0]?.message ?? '', /No recorded fact of the environment differs/);
    const changes = Array.from({ length: 7 }, (_, i) => ({
      half: 'declared' as const,
      field: `f${i}`,
      before: '1',
      after: '2',
    }));
    assert.match(
      annotations({ ...report, changes })[0]?.message ?? '',
      /Changed since the baseline: f0: 1 → 2; .*f4: 1 → 2; and 2 more\.$/,
    );
  });

  test('speak of a baseline only where there is one', async () => {
    const unstable = side({ passes: { 'generate-1': BEFORE, 'generate-2': { ...BEFORE, sky: body() } } });
    const report = await reportOf(unstable, undefined, { baseline: { kind: 'absent', explanation: [] } });
    assert.equal(report.conclusion, 'unstable');
    const [first] = annotations(report);
    assert.equal(first?.title, 'Unstable: prompt sky');
    assert.doesNotMatch(first?.message ?? '', /baseline/);
  });

  test('are ten at most with the one that fails the step, and the rest is counted', () => {
    const many = Array.from({ length: 25 }, (_, i) => finding(`p${i}`));
    const found = annotations(withFindings(many));
    assert.equal(found.length, 9);
    assert.equal(found.at(-1)?.message, '17 more differences: the job summary has them.');
    assert.equal(annotations(withFindings(many.slice(0, 9))).length, 9);
    assert.match(annotations(withFindings(many.slice(0, 9))).at(-1)?.title ?? '', /prompt p8/);
  });

  test('put what breaks earlier before what breaks later', () => {
    const at = (step: number) => ({
      logprobStep: null,
      tokenStep: step,
      steps: 9,
      largestNats: 0,
      fork: null,
    });
    const found = drifted(
      withFindings([
        finding('late', { divergence: at(8) }),
        finding('bits', { agreement: 'logprobs-differ' }),
        finding('early', { divergence: at(1) }),
        finding('input', { agreement: 'inputs-differ', divergence: null }),
        finding('fine', { agreement: 'identical', holds: true }),
      ]),
    );
    assert.deepEqual(
      found.map(({ prompt }) => prompt),
      ['input', 'early', 'late', 'bits'],
    );
  });

  test('of a run without a baseline: one, on the relations, which says what to do', async () => {
    const run = side({ passes: { 'generate-1': BEFORE, 'generate-2': BEFORE } });
    const report = await reportOf(run, undefined, {
      baseline: { kind: 'absent', explanation: ['nothing there'] },
    });
    const found = annotations(report);
    assert.equal(found.length, 1);
    assert.equal(found[0]?.line, 11);
    assert.match(found[0]?.title ?? '', /^No baseline: 3 prompts on cpu-/);
    assert.match(found[0]?.message ?? '', /refresh workflow on the default branch/);
  });

  test('of an unmeasured run: one, which names what is missing', async () => {
    const empty = { ...BEFORE, sky: body({ tokens: [], text: '' }) };
    const found = annotations(await checkReport(empty, empty));
    assert.equal(found.length, 1);
    assert.match(
      found[0]?.message ?? '',
      /rerun: sky: not a single token was generated\. baseline: sky: not a single/,
    );
  });

  test('take the level of the verdict', () => {
    const [warning] = annotations({ ...DRIFT, verdict: 'warn' });
    const [notice] = annotations({ ...DRIFT, verdict: 'pass' });
    assert.deepEqual([warning?.level, notice?.level], ['warning', 'notice']);
  });

  test('of a prompt that the suite no longer has stand on the relations', () => {
    assert.equal(annotations(withFindings([finding('gone')]))[0]?.line, 11);
  });
});

describe('the job summary', () => {
  test('has the verdict, the baseline, a row for each prompt and the environment', async () => {
    const text = summary(DRIFT);
    assert.match(text, /^## ❌ Drift: 3 of 3 prompts/);
    assert.match(text, /refreshed by alice for “first baseline” &#40;run 42, commit c0ffeec0ffee&#41;/);
    assert.match(text, /### rerun: held/);
    assert.match(text, /### baseline: broken/);
    assert.match(text, /\| <code>sky<\/code> \| ❗ other tokens \| .*tokens part at step 3.* \| differs \|/);
    assert.match(
      text,
      /\| <code>capital<\/code> \| ❗ same tokens, other log-probability bits \| .* \| same \|/,
    );
    assert.match(text, /0 of 3 identical\./);
    assert.match(text, /Deterministic defaults in force beside the suite’s own arguments: seed=0/);
  });

  test('puts what breaks a requirement before what only differs', () => {
    const text = summary(
      withFindings([
        finding('differs', { agreement: 'logprobs-differ', holds: true }),
        finding('says-nothing', { agreement: 'unmeasured', divergence: null, reason: 'NaN' }),
      ]),
    );
    assert.ok(text.indexOf('says&#45;nothing') < text.indexOf('differs<'));
  });

  test('of a run that reproduced says so', () => {
    assert.match(summary(REPRODUCED), /^## ✅ Reproduced: 3 prompts/);
    assert.match(summary(REPRODUCED), /3 of 3 identical\./);
    assert.match(summary(REPRODUCED), /No recorded fact of the environment differs/);
  });

  test('shows what changed, and whose change it is', async () => {
    const run = side({
      passes: { 'generate-1': BEFORE, 'generate-2': BEFORE },
      fingerprint: { ...FINGERPRINT, ambient: { ...FINGERPRINT.ambient, driver: '600.1' } },
    });
    const report = await reportOf(run, side({ passes: { 'generate-1': BEFORE } }));
    assert.match(summary(report), /\| runner \| <code>driver<\/code> \| none \| 600\.1 \|/);
  });

  for (const prompts of [10_000, 100_000])
    test(`of ${prompts} prompts stays under its budget, worst rows first, and counts the rest`, () => {
      const findings = [
        ...Array.from({ length: prompts - 1 }, (_, i) =>
          finding(`prompt-with-a-name-as-long-as-they-come-0123456789-0123456-${i}`, {
            agreement: 'identical',
            holds: true,
            divergence: null,
          }),
        ),
        finding('the-bad-one'),
      ];
      const text = summary(withFindings(findings));
      assert.ok(Buffer.byteLength(text) <= 1024 * 1024 - 64 * 1024);
      assert.match(text, /the&#45;bad&#45;one/);
      assert.match(text, /rows left out to fit/);
    });

  test('keeps its verdict even where nothing else fits', () => {
    const text = summary({
      ...DRIFT,
      defaults: Array.from({ length: 10 }, (_, i) => `d${i}`),
      runtime: 'x'.repeat(5e6),
    });
    assert.ok(Buffer.byteLength(text) <= 1024 * 1024);
    assert.match(text, /^## ❌ Drift/);
  });
});

describe('the terminal', () => {
  test('tells relation by relation, then the verdict and what to do', () => {
    const lines = terminalLines(DRIFT);
    assert.match(lines[0] ?? '', /^rerun: held; the engine's counters/);
    assert.ok(
      lines.some((line) =>
        /^ {2}sky {6}other tokens: .*tokens part at step 3.*\[hash of the text: differs\]$/.test(line),
      ),
    );
    assert.ok(lines.some((line) => /^ {2}capital {2}same tokens, .*\[hash of the text: same\]$/.test(line)));
    assert.match(lines.at(-2) ?? '', /^Drift: 3 of 3 prompts/);
    assert.match(lines.at(-1) ?? '', /If the change is meant/);
  });
});

describe('hostile text in every field', () => {
  for (const [name, text] of Object.entries(HOSTILE))
    test(name, async () => {
      const prompt = finding(text, { reason: text, divergence: null });
      const report: Report = {
        ...withFindings([prompt, finding('b', { agreement: 'unmeasured', reason: text })]),
        relations: [result('baseline', 'broken', { evidence: text, findings: [prompt] })],
        changes: [{ half: 'declared', field: text, before: text, after: text }],
        baseline: {
          kind: 'found',
          key: text,
          store: 'cache',
          provenance: {
            ...PROVENANCE,
            reason: text,
            actor: text,
            commit: text,
            runId: text,
            createdAt: text,
          },
        },
        runtime: text,
      };
      const clean = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
      for (const line of terminalLines(report)) assert.doesNotMatch(line, clean);
      for (const { title, message } of annotations(report)) {
        assert.doesNotMatch(title, clean);
        assert.doesNotMatch(message, clean);
        assert.ok(message.length <= 4096);
      }
      // Our own markup, taken away, leaves nothing that acts.
      const rest = summary(report)
        .replaceAll('\n', ' ')
        .replaceAll(/&(?:#\d+|amp|lt|gt);/g, '')
        .replaceAll(
          /<\/?code>|\*\*Next:\*\*|`gh workflow run <refresh workflow> -f reason="…"`|##+ |\| --- |/g,
          '',
        );
      assert.doesNotMatch(rest, /[\\`*_{}[\]#+!~^$@<>]|:\/\/|\bwww\./i);
      assert.doesNotMatch(rest, clean);
    });

  test('a long one is cut on every surface', () => {
    const text = '<@#'.repeat(1_000_000);
    const report: Report = {
      ...withFindings([finding('a', { reason: text, divergence: null })]),
      runtime: text,
    };
    assert.ok(summary(report).length < 100_000);
    assert.ok((annotations(report)[0]?.message.length ?? 0) <= 4096);
  });
});

describe('outputs', () => {
  test('of a drift', () => {
    assert.deepEqual(outputs(DRIFT), {
      conclusion: 'drift',
      verdict: 'fail',
      'drift-count': '3',
      'record-path': '/tmp/record',
      'record-digest': DRIFT.outcome,
      'baseline-key': 'deterministic-ml-v1/suite/cpu/42-1-abc',
      'hardware-class': 'cpu-genuineintel-x86-64-v4',
    });
  });

  test('count a prompt once, however many relations it broke', () => {
    const both = [
      result('rerun', 'broken', { findings: [finding('a')] }),
      result('baseline', 'broken', { findings: [finding('a'), finding('b', { textIdentical: true })] }),
    ];
    const report = { ...DRIFT, relations: both };
    assert.equal(outputs(report)['drift-count'], '2');
    assert.match(verdictLine(report), /^Drift: 2 of 3 prompts \(a hash of the text sees 1\) on cpu-/);
  });

  test('have no key without a baseline', () => {
    assert.equal(outputs({ ...DRIFT, baseline: { kind: 'absent', explanation: [] } })['baseline-key'], '');
  });
});

describe('words', () => {
  test('count steps from 1', () => {
    assert.equal(
      divergenceWords({ logprobStep: 0, tokenStep: 4, steps: 9, largestNats: 0.5, fork: null }),
      'bits part at step 1 of 9; largest difference 0.500 nats before the tokens part; tokens part at step 5',
    );
  });

  test('call a tie a tie', () => {
    const fork = { leftToken: 1, rightToken: 2, leftMarginNats: 0, rightMarginNats: 0.5 };
    assert.match(
      divergenceWords({ logprobStep: 2, tokenStep: 2, steps: 9, largestNats: 0, fork }),
      /^tokens part at step 3 \(an exact tie\)$/,
    );
  });

  for (const [value, text] of [
    [0, '0 nats'],
    [4.3, '4.30 nats'],
    [0.000018, '0.0000180 nats'],
    [123.456, '123 nats'],
    [-0.5, '-0.500 nats'],
    [1e-20, 'less than 0.000000000001 nats'],
  ] as const)
    test(`${value} is ${text}`, () => assert.equal(nats(value), text));
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Change } from '../../../src/fingerprint/diff.ts';
import type { Report, ReportedFinding } from '../../../src/report/schema.ts';
import { answerOf, promptLine } from '../../../src/words/answer.ts';
import { read } from '../../../src/words/reading.ts';
import { body } from '../support/records.ts';
import { checkReport, divergence, finding, relation } from '../support/reports.ts';

const SAME = await checkReport({ one: body() }, { one: body() });
const MODULE = 'model.layers.15.mlp.down_proj';
const trace = (first: string | null) => ({
  ...{
    modules: 335,
    differing: first === null ? 0 : 160,
    first,
    firstIndex: 175,
    onlyLeft: [],
    onlyRight: [],
    map: { parts: [], layers: [], omitted: 0 },
  },
});
const declared = (field: string, before: string, after: string): Change => ({
  ...{ half: 'declared', field, before, after },
});
const WEIGHTS = declared(
  'model.files.model.safetensors',
  `sha256:${'a'.repeat(64)}`,
  `sha256:${'b'.repeat(64)}`,
);

function drifted(
  changes: readonly Change[],
  findings: readonly ReportedFinding[],
  rmsNats: number | null = null,
): Report {
  const distance = {
    ...{ positions: 60, rmsNats: rmsNats ?? 0, largestNats: 0.01, argmaxChanges: 0, crossEntropyNats: 0 },
    normaliserOnly: false,
  };
  const size =
    rmsNats === null
      ? null
      : { distance, floorNats: 0.01, floorBy: 'batching' as const, batchingNats: 0.01, boundNats: null };
  return {
    ...SAME,
    conclusion: 'drift',
    changes: [...changes],
    relations: [relation('baseline', 'broken', { findings: [...findings], size })],
  };
}

describe('one sentence says', () => {
  test('what changed, where it shows first, how large it is and that no text did', () =>
    assert.equal(
      answerOf(
        drifted(
          [WEIGHTS, declared('model.label', 'here', 'there')],
          [finding('a', { textIdentical: true, trace: trace(MODULE) })],
          0.011,
        ),
      ),
      'Weights changed (model.safetensors): first at layers.15.mlp.down_proj, the size of rounding, no text changed',
    ));

  test('the values of a setting, and how many texts changed', () =>
    assert.equal(
      answerOf(
        drifted(
          [
            declared('engine.requested.dtype', 'float32', 'bfloat16'),
            declared('engine.effective.dtype', 'float32', 'bfloat16'),
          ],
          [finding('a'), finding('b', { textIdentical: true })],
          0.4,
        ),
      ),
      'Dtype changed (float32 → bfloat16): 40x the size of rounding, 1 of 2 texts changed',
    ));

  test('two causes by name, of more how many', () => {
    const image = declared('image.reference', 'a', 'b');
    const torch = declared('libraries.torch', '2.8', '2.9');
    const one = [finding('a', { textIdentical: null })];
    assert.equal(answerOf(drifted([image, torch], one)), 'Image and torch changed (a → b): other tokens');
    assert.match(answerOf(drifted([image, torch, WEIGHTS], one)), /^Image and 2 more changed/);
  });

  test('that nothing recorded changed, or only on the runner', () => {
    assert.equal(answerOf(drifted([], [finding('a')])), 'No recorded fact changed: 1 of 1 text changed');
    const driver: Change = { half: 'ambient', field: 'driver', before: '550.1', after: '580.2' };
    assert.match(answerOf(drifted([driver], [finding('a')])), /^Driver changed \(550\.1 → 580\.2\):/);
  });

  test('that no traced module differs, and no size where there is no scale', () =>
    assert.equal(
      answerOf(drifted([WEIGHTS], [finding('a', { modules: 335, textIdentical: true })])),
      'Weights changed (model.safetensors): no traced module differs, no text changed',
    ));

  const calls = (prompt: string, first: string, firstIndex: number) =>
    finding(prompt, {
      ...{ agreement: 'modules-differ', modules: 335, textIdentical: null },
      trace: { ...trace(first), firstIndex },
    });

  test('of calls how many differ, and the first as the suite names them: each prompt has calls of its own', () => {
    const report = drifted(
      [declared('environment.NVIDIA_TF32_OVERRIDE', '(absent)', '1')],
      [calls('matmul', 'matmul 2x576', 1), calls('attention', 'attention math', 0)],
    );
    assert.equal(
      answerOf(report),
      'NVIDIA_TF32_OVERRIDE changed (absent → 1): first at matmul 2x576, 320 of their 670 calls differ',
    );
    assert.match(read(report).line, /^Drift: 2 of \d+ prompts.* \(320 of their 670 calls differ\) on /);
  });

  test('in a title nothing of texts where a program has none, or a model gives vectors', () => {
    const line = (agreement: 'values-differ' | 'vector-differs') =>
      read(drifted([], [finding('a', { agreement, textIdentical: null })])).line;
    assert.match(line('values-differ'), /^Drift: 1 of \d+ prompts(?: and texts)? on /);
    assert.match(line('vector-differs'), / \(other vectors\) on /);
  });

  test('which relations do not hold, for how many prompts, and what it did to the texts', () => {
    const same = finding('b', { agreement: 'identical', holds: true, textIdentical: true });
    const report: Report = {
      ...drifted([], []),
      conclusion: 'relation-broken',
      relations: [
        relation('batch', 'broken', { findings: [finding('a'), same] }),
        relation('prefill', 'broken', { findings: [finding('b', { textIdentical: null })] }),
        relation('order', 'held', { findings: [same] }),
      ],
    };
    assert.equal(
      answerOf(report),
      'Does not hold: batch for 1 of 2 prompts, prefill for 1 of 1 prompt; 1 of 1 text changed',
    );
  });

  test('that an engine does not repeat itself, and what was asked of it otherwise, not what follows from it', () => {
    const unstable = (changes: readonly Change[]): Report => ({
      ...drifted(changes, []),
      conclusion: 'unstable',
      relations: [relation('rerun', 'broken', { findings: [finding('a', { textIdentical: true })] })],
    });
    assert.equal(answerOf(unstable([])), 'The engine does not repeat itself in 1 prompt, no text changed');
    assert.equal(
      answerOf(
        unstable([
          declared('engine.requested.deterministic_algorithms', 'true', 'false'),
          declared('engine.effective.cudnn_deterministic', 'true', 'false'),
        ]),
      ),
      'Deterministic_algorithms changed (true → false): the engine does not repeat itself in 1 prompt, no text changed',
    );
    assert.ok(answerOf(unstable([declared('x'.repeat(300), '1', '2')])).length <= 120);
  });

  test('which relations were not measured, and of one why', () => {
    const of = (...names: readonly string[]): Report => ({
      ...SAME,
      conclusion: 'unmeasured',
      relations: names.map((name) => relation(name, 'unmeasured', { evidence: 'probes have no cache' })),
    });
    assert.equal(answerOf(of('prefix-cache')), 'Not measured: prefix-cache: probes have no cache');
    assert.equal(answerOf(of('prefix-cache', 'prefill')), 'Not measured: prefix-cache, prefill');
  });

  test('nothing of a run that did not drift', () => assert.equal(answerOf(SAME), ''));

  test('no more than 120 characters, whatever names and values there are', () => {
    const long = 'x'.repeat(500);
    for (const changes of [[declared(long, long, long)], [declared(`model.files.${long}`, long, long)], []])
      for (const first of [null, long, MODULE]) {
        const text = answerOf(drifted(changes, [finding('a', { trace: trace(first) })], 0.4));
        assert.ok(text.length <= 120 && text.length > 20, text);
        assert.match(text, /1 of 1 text changed$/);
      }
  });
});

describe('the line of a prompt', () => {
  const lineOf = (...findings: ReportedFinding[]) => {
    const [first] = read(drifted([], findings)).drifted;
    assert.ok(first);
    return promptLine(first);
  };

  test('says how it differs, from where on, in which module first, and what its text says', () => {
    assert.equal(lineOf(finding('a')), 'other tokens; tokens part at step 4; another text');
    assert.equal(
      lineOf({
        ...finding('a', {
          kind: 'score',
          agreement: 'logprobs-differ',
          textIdentical: true,
          trace: trace(MODULE),
        }),
        divergence: divergence({ tokenStep: null, logprobSteps: 59, steps: 60 }),
      }),
      'same tokens, other log-probability bits; bits differ at 59 of 60 positions, first at 2; first module layers.15.mlp.down_proj; same text',
    );
  });

  test('has no more than 160 characters', () => {
    const reason = 'why '.repeat(500);
    assert.ok(lineOf(finding('a', { reason, trace: trace('m'.repeat(400)) })).length <= 160);
  });
});

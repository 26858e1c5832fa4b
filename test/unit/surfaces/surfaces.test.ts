import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Report, ReportedFinding, ReportedRelation } from '../../../src/report/schema.ts';
import { annotations } from '../../../src/surfaces/annotations.ts';
import { outputs } from '../../../src/surfaces/outputs.ts';
import { summary } from '../../../src/surfaces/summary.ts';
import { terminalLines } from '../../../src/surfaces/terminal.ts';
import { answerOf } from '../../../src/words/answer.ts';
import { read } from '../../../src/words/reading.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body, FINGERPRINT, modules, side } from '../support/records.ts';
import {
  checkReport,
  divergence,
  finding,
  keyOf,
  PROVENANCE,
  relation,
  reportOf,
} from '../support/reports.ts';

const BEFORE = {
  capital: body(),
  sky: body({ tokens: [20, 21, 22] }),
  essay: body({ tokens: [30, 31, 32, 33] }),
};
const NOW = {
  capital: body({ logprobs: [-0.5, -1.75] }),
  sky: body({ tokens: [20, 21, 25], text: 'other' }),
  essay: body({ tokens: [30, 31, 32, 33], promptTokens: [9] }),
};
const NO_MAP = { parts: [], layers: [], omitted: 0 };
const REPRODUCED = await checkReport(BEFORE, BEFORE);
const DRIFT = await checkReport(BEFORE, NOW);

const scored = (shift: number) =>
  body({ tokens: [1, 2, 3, 4], logprobs: [-1, -1 + shift, -1, -1 + shift], text: '' });
const lifetime = (now: typeof BEFORE, shift: number, trace: Readonly<Record<string, string>>) => ({
  'generate-alone': now,
  'force-alone': { capital: now.capital },
  'score-alone': {
    capital: { ...scored(shift), modules: modules(trace) },
    sky: scored(0),
    text: { ...scored(shift), modules: modules(trace) },
  },
});
const MODULES = { 'layers.0': 'a', 'layers.1': 'b', head: 'c' };

/** A check with all kinds of passes, three engine starts on either side. */
async function fullReport(now: typeof BEFORE, shift: number, trace = MODULES): Promise<Report> {
  const starts = (one: ReturnType<typeof lifetime>) => ({
    'lifetime-1': { ...one, 'generate-again': one['generate-alone'] },
    'lifetime-2': one,
    'lifetime-3': one,
  });
  const texts = ['text'];
  const trusted = side({ lifetimes: starts(lifetime(BEFORE, 0, MODULES)), texts });
  return await reportOf(side({ lifetimes: starts(lifetime(now, shift, trace)), texts }), trusted);
}
const FULL = await fullReport(NOW, 0.25, { ...MODULES, 'layers.1': 'x', head: 'y' });

const withRelations = (...relations: readonly ReportedRelation[]): Report => ({ ...DRIFT, relations });
const withFindings = (findings: readonly ReportedFinding[]): Report =>
  withRelations(relation('baseline', 'broken', { findings }));
const withBaseline = (report: Report, baseline: Report['context']['baseline']): Report => ({
  ...report,
  context: { ...report.context, baseline },
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
    assert.match(
      found[0]?.message ?? '',
      /^No recorded fact changed: 1 of 3 texts changed\. the prompt itself tokenises differently; same text\. /,
    );
    assert.equal(
      found[1]?.message,
      'other tokens; tokens part at step 3; another text. See #prompt-sky on the page.',
    );
    assert.equal(
      found[2]?.message,
      'same tokens, other log-probability bits; bits differ at 1 of 2 steps, first at 2; same text. See #prompt-capital on the page.',
    );
  });

  test('say once, with the worst prompt, what is common to all', () => {
    const [worst, ...others] = annotations(FULL).map(({ message }) => message);
    assert.ok(worst?.includes(answerOf(FULL)), worst);
    assert.match(worst ?? '', /All of it: https:\/\/github\.com\/\S+$/);
    for (const message of others) assert.ok(message.length <= 190, message);
  });

  test('are one for each prompt, whatever saw it, and name the first different module', () => {
    const found = annotations(FULL);
    assert.deepEqual(
      found.map(({ title }) => title),
      ['Drift: prompt essay', 'Drift: prompt sky', 'Drift: prompt capital', 'Drift: prompt text'],
    );
    assert.match(
      found[2]?.message ?? '',
      /; first module layers\.1; same text\. See #prompt-capital on the page\.$/,
    );
    assert.doesNotMatch(found[3]?.message ?? '', /same text|another text/);
  });

  test('say that no module differs', async () => {
    const found = annotations(await fullReport({ ...BEFORE, capital: NOW.capital }, 0));
    assert.match(found[0]?.message ?? '', /no traced module differs/);
    const inputs = annotations(await fullReport({ ...BEFORE, essay: NOW.essay }, 0));
    assert.doesNotMatch(inputs[0]?.message ?? '', /no traced module differs/);
  });

  test('of modules alone stand on the texts that were traced', async () => {
    const found = annotations(await fullReport(BEFORE, 0, { ...MODULES, head: 'x' }));
    assert.deepEqual(
      found.map(({ title, line }) => [title, line]),
      [
        ['Drift: prompt capital', 8],
        ['Drift: prompt text', 11],
      ],
    );
    assert.match(
      found[0]?.message ?? '',
      /^No recorded fact changed: first at head, no text changed\. modules compute something else; first module head; same text\. See #prompt-capital on the page\./,
    );
  });

  test('tell every relation that a prompt broke, by its name', () => {
    const [only, ...rest] = annotations(
      withRelations(
        relation('batch', 'broken', { findings: [finding('sky', { agreement: 'logprobs-differ' })] }),
        relation('baseline', 'broken', { findings: [finding('sky')] }),
      ),
    );
    assert.deepEqual(rest, []);
    assert.match(only?.message ?? '', /\. baseline: other tokens; .*batch: same tokens, other/);
  });

  test('name what changed in the environment', async () => {
    const report = await checkReport(BEFORE, { ...BEFORE, capital: body({ logprobs: [-1, -2] }) });
    assert.match(annotations(report)[0]?.message ?? '', /No recorded fact changed: no text changed\./);
    const changes = Array.from({ length: 7 }, (_, i) => ({
      half: 'declared' as const,
      field: `f${i}`,
      before: '1',
      after: '2',
    }));
    assert.match(
      annotations({ ...report, changes })[0]?.message ?? '',
      /Changed since the baseline: f0: 1 → 2; .*f4: 1 → 2; and 2 more\. All of it/,
    );
  });

  test('speak of a baseline only where there is one', async () => {
    const unstable = side({ passes: { 'generate-1': BEFORE, 'generate-2': { ...BEFORE, sky: body() } } });
    const report = await reportOf(unstable, undefined);
    assert.equal(report.conclusion, 'unstable');
    const [first] = annotations(report);
    assert.equal(first?.title, 'Unstable: prompt sky');
    assert.doesNotMatch(first?.message ?? '', /baseline/);
  });

  test('are ten at most with the one that fails the step, and the rest is counted', () => {
    const many = Array.from({ length: 25 }, (_, i) => finding(`p${i}`));
    const found = annotations(withFindings(many));
    assert.equal(found.length, 9);
    assert.equal(
      found.at(-1)?.message,
      '17 more prompts: the job summary has them, as far as they fit, and record.report.json all.',
    );
    assert.equal(annotations(withFindings(many.slice(0, 9))).length, 9);
    assert.match(annotations(withFindings(many.slice(0, 9))).at(-1)?.title ?? '', /prompt p8/);
  });

  test('put what breaks earlier before what breaks later', () => {
    const at = (tokenStep: number) => divergence({ logprobStep: null, logprobSteps: 0, tokenStep });
    const { drifted } = read(
      withFindings([
        { ...finding('late'), divergence: at(8) },
        finding('bits', { agreement: 'logprobs-differ' }),
        finding('modules', { agreement: 'modules-differ', kind: 'trace' }),
        { ...finding('early'), divergence: at(1) },
        finding('input', { agreement: 'inputs-differ', divergence: null }),
        finding('fine', { agreement: 'identical', holds: true }),
      ]),
    );
    assert.deepEqual(
      drifted.map(({ prompt }) => prompt),
      ['input', 'early', 'late', 'bits', 'modules'],
    );
  });

  test('of a run without a baseline: one, on the relations, which says what to do', async () => {
    const run = side({ passes: { 'generate-1': BEFORE, 'generate-2': BEFORE } });
    const found = annotations(await reportOf(run, undefined));
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

  test('of NaN say so', async () => {
    const broken = { ...BEFORE, sky: body({ tokens: [0], logprobs: [Number.NaN] }) };
    const same = await checkReport(broken, broken);
    assert.equal(same.conclusion, 'unmeasured');
    assert.match(
      annotations(same)[0]?.message ?? '',
      /sky: \d+ log-probabilities are NaN: the model is broken/,
    );
    const other = await checkReport(BEFORE, broken);
    assert.equal(other.conclusion, 'drift');
    assert.match(annotations(other)[0]?.message ?? '', /are NaN: the model is broken/);
    assert.match(summary(other), /are NaN: the model is broken/);
    assert.ok(terminalLines(other).some((line) => /are NaN: the model is broken/.test(line)));
  });

  test('take the level of the verdict', () => {
    const [warning] = annotations({ ...DRIFT, verdict: 'warn' });
    const [notice] = annotations({ ...DRIFT, verdict: 'pass' });
    assert.deepEqual([warning?.level, notice?.level], ['warning', 'notice']);
  });

  test('of a prompt that the suite no longer has stand on the relations', () => {
    assert.equal(annotations(withFindings([finding('gone')]))[0]?.line, 11);
    // Nor does a name that every object has stand anywhere.
    assert.equal(annotations(withFindings([finding('constructor')]))[0]?.line, 11);
  });
});

describe('the job summary', () => {
  test('has the verdict, the baseline, a row for each prompt and the environment', () => {
    const text = summary(DRIFT);
    assert.match(text, /^## ❌ Drift: 3 of 3 prompts/);
    assert.match(text, /refreshed by alice for “first baseline” &#40;run 42, commit c0ffeec0ffee&#41;/);
    assert.match(text, /\| rerun \| held \| identical \| 3 of 3 identical; Proof: the engine's counters/);
    assert.match(
      text,
      /\| baseline \| ❗ broken \| identical \| 0 of 3 identical; 1 with other prompt tokens; /,
    );
    assert.match(text, /### baseline: broken/);
    assert.match(
      text,
      /\| <code>sky<\/code> \| ❗ other tokens \| differs \| differ at step 3 \| same to step 2 \| .*tokens part at step 3/,
    );
    assert.match(
      text,
      /\| <code>capital<\/code> \| ❗ same tokens, other log-probability bits \| same \| same \| 1 of 2 differ \| generate <code>=&#126;<\/code> \|/,
    );
    assert.match(text, /0 of 3 identical\./);
    assert.match(text, /Deterministic defaults in force beside the suite’s own arguments: seed=0/);
  });

  test('has one row for each prompt, with a column for each kind of pass', () => {
    const text = summary(FULL);
    assert.match(
      text,
      /\| prompt \| agreement \| hash of the text alone \| tokens \| decode bits \| score bits \| along the steps \| where \|/,
    );
    const rows = text.split('\n').filter((line) => line.startsWith('| <code>capital'));
    // Of baseline alone: what is identical throughout has its row in the overview.
    assert.equal(rows.length, 1);
    assert.match(
      rows[0] ?? '',
      /\| same \| same \| 1 of 2 differ \| 2 of 4 differ \| \w+ <code>[^|]*<\/code> \| generate: .*force: .*score: /,
    );
    assert.match(
      text,
      /\| score: [^|]*first different module: layers\.1 &#40;2 of 3 differ; 1 ran before it and agree&#41;/,
    );
    assert.match(text, /\| <code>text<\/code> \| ❗ .* \| – \| – \| – \| 2 of 4 differ \|/);
  });

  test('leaves columns out that say nothing', () => {
    assert.match(
      summary(REPRODUCED),
      /\| prompt \| agreement \| hash of the text alone \| tokens \| decode bits \|\n/,
    );
  });

  test('says once that no module differs', async () => {
    const text = summary(await fullReport({ ...BEFORE, capital: NOW.capital }, 0));
    assert.equal(text.split('no module differs').length, 2);
  });

  test('says how large a drift is, and what that cannot decide', () => {
    const text = summary(FULL);
    assert.match(text, /- Size: 0\.\d+ nats, and no floor of rounding is known/);
    assert.match(text, /one flipped weight bit, fp16 for bf16/);
    assert.match(text, /Outside the envelope of honest repeats, which did not differ at all\./);
  });

  test('says what was exercised and what was not', () => {
    assert.match(summary(FULL), /- Exercised: prefill &#40;score: 36 positions&#41;, decode/);
    assert.match(summary(FULL), /- Not exercised, so a change there goes unseen: temperature, seed, /);
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
    assert.match(summary(REPRODUCED), /- The one engine start gave an outcome that the baseline knows/);
  });

  test('answers a reader of thirty seconds first: what, what to do, how much, where, does it matter', () => {
    const text = summary(FULL);
    const order = [
      '## ❌ Drift: ',
      '**Next:** If it is not meant, look at the changed facts',
      '- **Worst:** <code>essay</code>, the prompt itself tokenises differently',
      '- Size: ',
      '| relation | status | required | what was found |',
      'No recorded fact of the environment differs',
      '### If it is meant',
      '- Compared with the baseline of ',
      '### baseline: broken',
      '- Exercised: ',
      'Everything that was found: <code>record.report.json</code>, and as a page <code>record.report.html</code>.',
    ].map((part) => text.indexOf(part));
    assert.ok(!order.includes(-1), `${order}`);
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    // Once is enough.
    assert.equal(text.split('- Size: ').length, 2);
  });

  test('names the first different module beside the worst prompt', async () => {
    const now = { ...BEFORE, capital: NOW.capital };
    const text = summary(await fullReport(now, 0, { ...MODULES, 'layers.1': 'x' }));
    assert.match(
      text,
      /- \*\*Worst:\*\* <code>capital<\/code>, same tokens, .*\n- \*\*Trace:\*\* first different module: layers\.1 /,
    );
  });

  test('has what broke before what held, and the proof of what needs no section in the overview', () => {
    const text = summary(
      withRelations(
        relation('batch', 'measured', {
          requirement: 'measure',
          findings: [finding('a', { holds: true })],
          atRefresh: { identical: 4 },
        }),
        relation('order', 'unmeasured', { evidence: 'no request overlapped' }),
        relation('rerun', 'broken', { findings: [finding('a')] }),
        relation('baseline', 'held', {
          findings: [finding('a', { agreement: 'identical', holds: true, divergence: null })],
        }),
      ),
    );
    assert.match(
      text,
      /\| batch \| measured \| measure \| 0 of 1 identical; 1 with other tokens; at the refresh: 4 identical \|/,
    );
    assert.match(text, /\| order \| unmeasured \| identical \| Missing: no request overlapped \|/);
    assert.deepEqual(text.match(/(?<=### )\w+: \w+/g)?.slice(0, 4), [
      'rerun: broken',
      'batch: measured',
      'baseline: held',
    ]);
  });

  test('has the reason of an acceptance, as text', () => {
    const accepted = { record: 'ab'.repeat(32), reason: '**<b>x</b>** @octocat' };
    const text = summary({ ...DRIFT, accepted });
    assert.match(text, /^## ❌ Drift &#40;accepted&#41;: /);
    assert.match(
      text,
      /exactly this record, for “&#42;&#42;&lt;b&gt;x&lt;\/b&gt;&#42;&#42; &#64;&#8203;octocat”/,
    );
  });

  test('shows what changed, and whose change it is', async () => {
    const run = side({
      passes: { 'generate-1': BEFORE, 'generate-2': BEFORE },
      fingerprint: { ...FINGERPRINT, ambient: { ...FINGERPRINT.ambient, driver: '600.1' } },
    });
    const report = await reportOf(run, side({ passes: { 'generate-1': BEFORE } }));
    assert.match(summary(report), /\| runner \| <code>driver<\/code> \| none \| 600\.1 \|/);
  });

  test('counts identical prompts of a large suite, and lists those of a small one', () => {
    const identical = (count: number) =>
      Array.from({ length: count }, (_, i) =>
        finding(`same${i}`, { agreement: 'identical', holds: true, divergence: null, textIdentical: true }),
      );
    const large = summary(withFindings([...identical(5_000), finding('other')]));
    assert.match(large, /5000 of 5001 identical\./);
    assert.match(large, /<code>other/);
    assert.doesNotMatch(large, /<code>same/);
    assert.match(summary(withFindings([...identical(19), finding('other')])), /<code>same18/);
  });

  for (const prompts of [10_000, 30_000])
    test(`of ${prompts} drifted prompts stays under its budget, worst rows first, and counts the rest`, () => {
      const findings = [
        ...Array.from({ length: prompts - 1 }, (_, i) =>
          finding(`prompt-with-a-name-as-long-as-they-come-0123456789-0123456-${i}`, {
            agreement: 'logprobs-differ',
          }),
        ),
        finding('the-bad-one'),
      ];
      const report = withFindings(findings);
      const text = summary(report);
      assert.ok(Buffer.byteLength(text) <= 1024 * 1024 - 64 * 1024);
      assert.match(text, /the&#45;bad&#45;one/);
      assert.match(text, /rows left out to fit/);
      assert.ok(terminalLines(report).length > prompts);
      assert.equal(annotations(report).length, 9);
    });

  test('keeps its verdict even where nothing else fits', () => {
    const text = summary({
      ...DRIFT,
      changes: Array.from({ length: 9 }, (_, i) => ({
        half: 'ambient' as const,
        field: `f${i}`,
        before: '1',
        after: '2',
      })),
      context: { ...DRIFT.context, defaults: Array.from({ length: 10 }, (_, i) => `d${i}`) },
      relations: Array.from({ length: 3_000 }, () =>
        relation('baseline', 'broken', { evidence: 'x'.repeat(500) }),
      ),
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
        /^ {2}sky {6}other tokens; generate: .*tokens part at step 3.*\[hash of the text: differs\]$/.test(
          line,
        ),
      ),
    );
    assert.ok(lines.some((line) => /^ {2}capital {2}same tokens, .*\[hash of the text: same\]$/.test(line)));
    const verdict = lines.findIndex((line) => /^Drift: 3 of 3 prompts/.test(line));
    assert.equal(lines[verdict + 1], answerOf(DRIFT));
    assert.match(lines[verdict + 2] ?? '', /If it is, accept exactly this record/);
    assert.equal(lines.filter((line) => line === read(DRIFT).line).length, 1);
    assert.deepEqual(lines.slice(verdict + 4), [
      'deterministic-ml accept record.report.json --reason "why these bits are meant"',
      'It adds to determinism.yml what can also be added by hand (one more entry, if it has `accept` already):',
      'accept:',
      `  - record: ${DRIFT.outcome}`,
      `    hardware-class: ${DRIFT.hardwareClass}`,
      '    reason: "why these bits are meant"',
      'Or, once it is merged:',
      'gh workflow run refresh.yml -f reason="why these bits are to be trusted"',
      'Page: /tmp/record.report.html',
    ]);
  });

  test('has a line for each kind of pass where several have something to say', () => {
    const lines = terminalLines(FULL);
    const at = lines.findIndex((line) => /^ {2}capital .*same tokens/.test(line));
    assert.match(lines[at + 1] ?? '', /^ +generate: bits differ at step 2 of 2 only/);
    assert.match(lines[at + 2] ?? '', /^ +force: /);
    assert.match(
      lines[at + 3] ?? '',
      /^ +score: bits differ at 2 of 4 positions, first at position 2; distance/,
    );
  });

  test('tells what was exercised in two lines', () => {
    const lines = terminalLines(FULL);
    assert.ok(lines.some((line) => line.startsWith('Exercised: prefill (score: 36 positions), decode (')));
    assert.ok(lines.some((line) => line.startsWith('Not exercised: temperature, seed, top_p')));
  });
});

test('the verdict line is the same on each surface', () => {
  for (const report of [REPRODUCED, DRIFT, FULL]) {
    const line = read(report).line;
    assert.ok(terminalLines(report).includes(line));
    assert.ok(
      summary(report).startsWith(`## ${report.verdict === 'pass' ? '✅' : '❌'} ${line.slice(0, 5)}`),
    );
  }
});

describe('hostile text in every field', () => {
  for (const [name, text] of Object.entries(HOSTILE))
    test(name, () => {
      const side = {
        token: 1,
        text,
        marginNats: 0.5,
        marginSteps: 1,
        tie: 'near' as const,
        top: [{ id: 1, text, nats: -1 }],
      };
      const prompt = {
        ...finding(text, { reason: text }),
        divergence: divergence({ fork: { left: side, right: side } }),
      };
      const traced = finding(text, {
        kind: 'trace',
        agreement: 'modules-differ',
        divergence: null,
        textIdentical: null,
        trace: {
          modules: 3,
          differing: 1,
          first: text,
          firstIndex: 0,
          onlyLeft: [text],
          onlyRight: [text],
          map: NO_MAP,
        },
        reason: text,
      });
      const distance = {
        positions: 1,
        rmsNats: 0.5,
        largestNats: 0.5,
        argmaxChanges: 0,
        crossEntropyNats: 0,
        normaliserOnly: true,
      };
      const hostile: Report = {
        ...withRelations(
          relation('baseline', 'broken', {
            evidence: text,
            findings: [prompt, traced, finding('b', { agreement: 'unmeasured', reason: text })],
            size: {
              distance,
              floorNats: 0.5,
              floorBy: 'batching' as const,
              batchingNats: 0.5,
              boundNats: 0.5,
            },
          }),
          relation('batch', 'unmeasured', { evidence: text }),
        ),
        changes: [{ half: 'declared', field: text, before: text, after: text }],
        coverage: [
          { what: 'score', exercised: false, by: text },
          { what: 'force', exercised: true, by: text },
        ],
        yardstick: [{ id: text, what: text, rmsNats: 0.1 }],
        environment: {
          ...DRIFT.environment,
          settings: { requested: { seed: text }, dropped: [text], effective: { dtype: text } },
        },
        context: {
          ...DRIFT.context,
          runtime: text,
          notices: [{ level: 'warning', title: text, message: text }],
          rules: {
            kind: 'base',
            ref: text,
            sha: text,
            path: text,
            missing: true,
            asks: null,
            changes: [{ field: text, before: text, after: text, inForce: false }],
          },
          baseline: {
            kind: 'found',
            replaced: 3,
            proof: text,
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
        },
      };
      const told: Report[] = [
        hostile,
        withBaseline(hostile, { kind: 'not-stored', reason: text }),
        { ...withBaseline(hostile, { kind: 'absent', explanation: [text] }), conclusion: 'unmeasured' },
        // Without a prompt that drifted, the trace and what was not measured have their say.
        { ...hostile, relations: [relation('baseline', 'broken', { findings: [traced] })] },
        {
          ...hostile,
          conclusion: 'unmeasured',
          relations: [
            relation('baseline', 'unmeasured', {
              findings: [finding(text, { agreement: 'unmeasured', reason: text })],
            }),
          ],
        },
      ];
      const clean = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
      for (const report of told) {
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
            /<\/?code>|\*\*(?:Next|Worst|Trace):\*\*|```(?:yaml|console) .*?```|> ⚠️ \*\*|\*\* |##+ |\| --- |/g,
            '',
          );
        assert.doesNotMatch(rest, /[\\`*_{}[\]#+!~^$@<>]|:\/\/|\bwww\./i);
        assert.doesNotMatch(rest, clean);
      }
    });

  test('a long one is cut on every surface', () => {
    const text = '<@#'.repeat(1_000_000);
    const long = { token: 1, text, marginNats: null, marginSteps: null, tie: 'unknown' as const, top: [] };
    const first = {
      modules: 3,
      differing: 1,
      first: text,
      firstIndex: 0,
      onlyLeft: [text],
      onlyRight: [],
      map: NO_MAP,
    };
    const report: Report = {
      ...withFindings([
        { ...finding('a', { reason: text }), divergence: divergence({ fork: { left: long, right: long } }) },
        finding(text, { kind: 'trace', agreement: 'modules-differ', divergence: null, trace: first }),
      ]),
      coverage: [{ what: 'score', exercised: false, by: text }],
      context: { ...DRIFT.context, runtime: text },
    };
    assert.ok(summary(report).length < 100_000);
    assert.ok((annotations(report)[0]?.message.length ?? 0) <= 4096);
    for (const line of terminalLines(report)) assert.ok(line.length < 2_000);
  });
});

describe('outputs', () => {
  test('of a drift', () => {
    assert.deepEqual(outputs(DRIFT), {
      conclusion: 'drift',
      verdict: 'fail',
      'drift-count': '3',
      accepted: 'false',
      'record-path': '/tmp/record',
      'report-path': '/tmp/record.report.json',
      'html-path': '/tmp/record.report.html',
      'record-digest': DRIFT.outcome,
      'baseline-key': keyOf(side({ passes: { 'generate-1': BEFORE } })),
      'hardware-class': 'cpu-genuineintel-x86-64-v4',
    });
  });

  test('count a prompt once, however many relations it broke', () => {
    const report = withRelations(
      relation('rerun', 'broken', { findings: [finding('a')] }),
      relation('baseline', 'broken', { findings: [finding('a'), finding('b', { textIdentical: true })] }),
    );
    assert.equal(outputs(report)['drift-count'], '2');
    assert.match(read(report).line, /^Drift: 2 of 3 prompts \(1 of 2 texts changed\) on cpu-/);
  });

  test('count prompts, not passes', () => {
    assert.equal(outputs(FULL)['drift-count'], '4');
    assert.match(read(FULL).line, /^Drift: 4 of 4 prompts and texts \(1 of 3 texts changed\)/);
    const trace = withFindings([
      finding('a', { kind: 'trace', agreement: 'modules-differ', textIdentical: null }),
    ]);
    assert.equal(outputs(trace)['drift-count'], '1');
    assert.match(read(trace).line, /^Drift: 1 of 3 prompts \(other values in modules\) on cpu-/);
    const score = withFindings([
      finding('a', { kind: 'score', agreement: 'logprobs-differ', textIdentical: null }),
    ]);
    assert.match(read(score).line, /^Drift: 1 of 3 prompts \(other log-probabilities\)/);
  });

  test('have no key without a baseline', () => {
    assert.equal(outputs(withBaseline(DRIFT, { kind: 'absent', explanation: [] }))['baseline-key'], '');
  });
});

describe('the worst comes first', () => {
  const DISTANCE = {
    ...{ positions: 9, rmsNats: 0.001, largestNats: 0.001, argmaxChanges: 0 },
    ...{ crossEntropyNats: 0, normaliserOnly: false },
  };
  const bits = (prompt: string, largestNats: number, logprobStep = 0) => ({
    ...finding(prompt, { agreement: 'logprobs-differ', textIdentical: true }),
    divergence: divergence({ logprobStep, tokenStep: null, largestNats }),
  });
  const tokens = (prompt: string, tokenStep: number) => ({
    ...finding(prompt),
    divergence: divergence({ tokenStep, largestNats: 0 }),
  });
  test('other tokens before other bits, the earlier before the later, the larger before the smaller', () => {
    const findings = [bits('small', 0.001), tokens('late', 9), bits('large', 0.5, 7), tokens('early', 2)];
    const report = { ...DRIFT, relations: [relation('baseline', 'broken', { findings })] };
    assert.deepEqual(
      read(report).drifted.map(({ prompt }) => prompt),
      ['early', 'late', 'large', 'small'],
    );
  });

  test('a difference of any candidate counts, not only of the token that was taken', () => {
    const far = { ...bits('far', 0.001), distance: { ...DISTANCE, largestNats: 0.9 } };
    const report = {
      ...DRIFT,
      relations: [relation('baseline', 'broken', { findings: [bits('near', 0.5), far] })],
    };
    assert.equal(read(report).drifted[0]?.prompt, 'far');
  });

  test('what is no number is worse than any', () => {
    const nan = { ...bits('nan', 0), divergence: divergence({ tokenStep: null, largestNats: 'NaN' }) };
    const report = {
      ...DRIFT,
      relations: [relation('baseline', 'broken', { findings: [bits('far', 1e9), nan] })],
    };
    assert.equal(read(report).drifted[0]?.prompt, 'nan');
  });
});

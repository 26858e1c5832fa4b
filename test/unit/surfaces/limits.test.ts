import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { actionsConsole } from '../../../src/front/console.ts';
import { markdown, visible, within } from '../../../src/inert.ts';
import type { Notice, Report, ReportedFinding } from '../../../src/report/schema.ts';
import { annotations } from '../../../src/surfaces/annotations.ts';
import { MAX_SUMMARY_BYTES, summary } from '../../../src/surfaces/summary.ts';
import { terminalLines } from '../../../src/surfaces/terminal.ts';
import { addSummary, fitted } from '../../../src/tell/job-summary.ts';
import { pageOfRun, tellNotices } from '../../../src/tell/step.ts';
import { tell } from '../../../src/tell/tell.ts';
import { read } from '../../../src/words/reading.ts';
import { STRIP_LEGEND } from '../../../src/words/strip.ts';
import { runnerCommands } from '../../e2e/support/commands.ts';
import { folderOfProcess } from '../../support/folders.ts';
import { HOSTILE } from '../support/hostile.ts';
import { body } from '../support/records.ts';
import { checkReport, divergence, finding, PROVENANCE, relation } from '../support/reports.ts';

/*
 * What the job's page, its annotations and its log hold at most: each of them at its limit and one past it, and with
 * texts that want to act, or to be endless, in every field that comes from outside.
 */

const DRIFT = await checkReport(
  { capital: body(), sky: body({ tokens: [20, 21, 22] }) },
  { capital: body({ logprobs: [-0.5, -1.75] }), sky: body({ tokens: [20, 21, 25], text: 'other' }) },
);

const MIB = 1024 * 1024;
const BREAKS = ['\n', '\r', '\r\n', '\u000b', '\u000c', '\u001c', '\u0085', '\u2028', '\u2029'];

const TEXTS: Readonly<Record<string, string>> = {
  ...HOSTILE,
  'a line of 2 MB': 'x'.repeat(2_000_000),
  '250 kB that must all be escaped': '\u202e@a|::error::##[error]b~~'.repeat(10_000),
  'a command after every kind of line break': BREAKS.map((one) => `a${one}::error::x`).join(''),
  'our own marker': '<!-- deterministic-ml v1 {"suite":"x"} -->',
  'the end of a CDATA section': 'a ]]> b',
  'surrogates the wrong way round': 'a\udc00\ud800b\ud83d',
  'overrides of the direction': '\u202eabc\u202c\u202d\u2067\u2069\u200f',
  'colours of a terminal': '\u001b[31mred\u001b[0m\u009b2J\u001b]8;;http://x.y\u0007l\u001b]8;;\u0007',
  'a summary of its own': '\n\n## ✅ Reproduced: 3 prompts\n\n```yaml\naccept:\n```',
};

/** One line of printable characters. */
const UNCLEAN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
/** What is left of an escape that was cut. */
const HALF = /\\(?:u(?:\{[\da-f]*)?)?… \(cut: /;

const bytes = (text: string) => Buffer.byteLength(text);

/** A drift with the text in all that a model, a container, a pull request or a stranger's report can give. */
function hostile(text: string, more: Partial<Report> = {}): Report {
  const token = { id: 1, text };
  const top = [{ ...token, nats: -1 }];
  const side = { token: 1, text, marginNats: 0.5, marginSteps: 1, tie: 'near' as const, top };
  const told = divergence({
    fork: { left: side, right: side },
    parting: { token, left: { nats: -1, top }, right: { nats: -2, top } },
    passage: { from: 0, left: [token], right: [token] },
  });
  const traced: ReportedFinding = {
    ...finding(text, { kind: 'trace', agreement: 'modules-differ', divergence: null, textIdentical: null }),
    trace: {
      ...{ modules: 3, differing: 1, first: text, firstIndex: 0, onlyLeft: [text], onlyRight: [text] },
      map: { parts: [text], layers: [{ name: text, cells: 'x' }], omitted: 0 },
    },
    reason: text,
  };
  return {
    ...DRIFT,
    accepted: { record: 'ab'.repeat(32), reason: text },
    relations: [
      relation('rerun', 'held', { evidence: text }),
      relation('batch', 'unmeasured', { evidence: text }),
      relation('baseline', 'broken', {
        evidence: text,
        findings: [{ ...finding(text, { reason: text }), divergence: told }, traced],
      }),
    ],
    changes: [{ half: 'declared', field: text, before: text, after: text }],
    coverage: [{ what: text, exercised: false, by: text }],
    yardstick: [{ id: text, what: text, rmsNats: 0.1 }],
    environment: {
      ...DRIFT.environment,
      settings: { requested: { seed: text }, dropped: [text], effective: { dtype: text } },
    },
    context: {
      ...DRIFT.context,
      run: { ...DRIFT.context.run, workflow: text, event: text, ref: text, commit: text, id: text },
      runtime: text,
      logPath: text,
      reportPath: `/tmp/${text}`,
      htmlPath: `/tmp/${text}`,
      notices: [
        { level: 'warning', title: text, message: text },
        { level: 'notice', title: text, message: text },
      ],
      rules: {
        ...{ kind: 'base', ref: text, sha: text, path: text, missing: false, asks: 3 },
        changes: [{ field: text, before: text, after: text, inForce: true }],
      },
      baseline: {
        ...{ kind: 'found', key: text, store: text, replaced: 1, proof: text },
        provenance: { ...PROVENANCE, actor: text, reason: text, ref: text, commit: text, runUrl: text },
      },
    },
    ...more,
  };
}

/** Ten times what any of them takes, and much less than where time grows with the square of the size. */
const MAX_CPU_SECONDS = 10;

/** By this process's own time: a machine under load takes no more of it. */
function inNoTime<T>(work: () => T): T {
  const before = process.cpuUsage();
  const made = work();
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  assert.ok(seconds < MAX_CPU_SECONDS, `${seconds} CPU seconds`);
  return made;
}

const folder = folderOfProcess();
const file = (name: string) => join(folder, name);

/** What a step leaves behind that does this: its log, as the runner reads it, and its summary. */
async function step(work: () => unknown): Promise<{ readonly log: string; readonly summary: string }> {
  const names = { GITHUB_STEP_SUMMARY: file('summary'), GITHUB_OUTPUT: file('output') };
  const before = { ...process.env };
  for (const [name, path] of Object.entries(names)) {
    process.env[name] = path;
    writeFileSync(path, '');
  }
  const { write } = process.stdout;
  let log = '';
  process.stdout.write = (part: string | Uint8Array) => {
    // The test runner's own messages are no strings.
    if (typeof part !== 'string') return write.call(process.stdout, part);
    log += part;
    return true;
  };
  try {
    await work();
  } finally {
    process.stdout.write = write;
    for (const name of Object.keys(names)) {
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
    }
  }
  return { log, summary: readFileSync(names.GITHUB_STEP_SUMMARY, 'utf8') };
}

/** Of Markdown, our own is taken away; what is left must be text. */
function assertInert(text: string): void {
  const rest = text
    .replaceAll('\n>\n', '\n')
    .replaceAll('\n', ' ')
    .replaceAll(/&(?:#\d+|amp|lt|gt);/g, '')
    .replaceAll(/<\/?code>|\*\*(?:Next|Worst|Trace):\*\*|> (?:⚠️|ℹ️) \*\*|\*\* |##+ |\| --- |> ✂️/g, '');
  assert.doesNotMatch(rest, /[\\`*_{}[\]#+!~^$@<>]|:\/\/|\bwww\./i);
  assert.doesNotMatch(rest, UNCLEAN);
}

describe('a hostile text in every field', () => {
  for (const [name, text] of Object.entries(TEXTS)) {
    const isLong = text.length > 100_000;

    test(`${name}: the summary shows it and does nothing else`, () => {
      const shown = summary(hostile(text));
      assert.ok(bytes(shown) <= MAX_SUMMARY_BYTES, `${bytes(shown)} bytes`);
      assertInert(shown);
      for (const raw of ['<!--', ']]>', '\n## ✅', '~~']) assert.ok(!shown.includes(raw), raw);
      if (isLong)
        assert.match(shown, /… &#40;cut: \d+ characters in all&#41;|… \(cut: \d+ characters in all\)/);
      // As a prompt's name, as a cell and as the reason that was given.
      else assert.ok(shown.split(markdown(text)).length > 10, shown);
    });

    test(`${name}: no annotation acts, and each says what the report says`, async () => {
      const report = hostile(text);
      const told = annotations(report);
      assert.deepEqual(
        told.map(({ level }) => level),
        ['error', 'warning', 'notice'],
      );
      for (const { title, message } of told) {
        assert.ok(title.length <= 250 && message.length <= 4000, `${title.length} ${message.length}`);
        for (const part of [title, message]) {
          assert.doesNotMatch(part, UNCLEAN);
          assert.doesNotMatch(part, HALF);
          if (isLong) assert.match(part, /… \(cut: \d+ characters in all\)/);
          else assert.ok(part.includes(visible(text)), part);
        }
      }
      const { log } = await step(() => tell('report', report, pageOfRun()));
      const commands = runnerCommands(log);
      assert.deepEqual(
        commands.map(({ command, properties, data }) => [command, properties['title'], data]),
        told.map(({ level, title, message }) => [level, title, message]),
      );
    });

    test(`${name}: no line of the log acts`, () => {
      const report = hostile(text);
      const lines = terminalLines(report);
      for (const line of lines) {
        assert.ok(line.length <= 1900, `${line.length} characters`);
        assert.doesNotMatch(line, UNCLEAN);
        assert.doesNotMatch(line, HALF);
      }
      assert.equal(lines.filter((line) => line === read(report).line).length, 1);
      assert.ok(lines.at(-1)?.startsWith('Page: /tmp/'));
      if (isLong) assert.ok(lines.filter((line) => line.includes('(cut: ')).length > 5);
      else assert.ok(lines.filter((line) => line.includes(visible(text))).length > 8, lines.join('\n'));
      let log = '';
      const console = actionsConsole({
        write: (part) => {
          log += part;
        },
        now: () => 0,
      });
      for (const line of lines) console.info(line);
      assert.deepEqual(runnerCommands(log), []);
      assert.equal(log.split('\n').length, lines.length + 1);
    });
  }

  test('the classes of hardware that a store has, and a name of the page’s, are text too', () => {
    const text = '<b>**x**</b> @octocat';
    const report = hostile(text, { conclusion: 'incomparable' });
    const { context } = report;
    const baseline = { kind: 'incomparable' as const, otherClasses: [text], explanation: [text] };
    assertInert(summary({ ...report, context: { ...context, baseline } }));
  });
});

/** Prompts that drifted, the last one worst. */
const prompts = (count: number, more: Partial<ReportedFinding> = {}): ReportedFinding[] =>
  Array.from({ length: count }, (_, i) => ({
    ...finding(`prompt-${i}`, { agreement: i === count - 1 ? 'tokens-differ' : 'logprobs-differ' }),
    ...more,
  }));

const notices = (count: number, level: Notice['level'], message = 'm'): Notice[] =>
  Array.from({ length: count }, (_, i) => ({ level, title: `${level} ${i}`, message }));

function drifted(findings: readonly ReportedFinding[], context: Partial<Report['context']> = {}): Report {
  return {
    ...DRIFT,
    relations: [relation('baseline', 'broken', { findings })],
    context: { ...DRIFT.context, ...context },
  };
}

describe('the job summary', () => {
  test('is whole at exactly its limit, and one byte past it says what it left out', () => {
    const build = (count: number, pad: number) =>
      drifted(prompts(count), { notices: notices(1, 'warning', 'm'.repeat(pad)) });
    const of = (report: Report) => bytes(summary(report, Number.POSITIVE_INFINITY));
    const row = (of(build(3_000, 1)) - of(build(2_000, 1))) / 1_000;
    let count = Math.floor((MAX_SUMMARY_BYTES - of(build(0, 1))) / row) + 50;
    // The largest that fits: halved down to, since each try is a whole summary.
    for (let fits = 0; count - fits > 0; ) {
      const half = fits + Math.ceil((count - fits) / 2);
      if (of(build(half, 1)) > MAX_SUMMARY_BYTES) count = half - 1;
      else fits = half;
    }
    const pad = 1 + MAX_SUMMARY_BYTES - of(build(count, 1));
    assert.ok(pad < 2_000 && count > 2_000, `${pad} ${count}`);
    const whole = summary(build(count, pad));
    assert.equal(bytes(whole), MAX_SUMMARY_BYTES);
    assert.ok(whole.includes(`<code>prompt&#45;0</code>`));
    assert.doesNotMatch(whole, /left out|Left out/);
    const cut = summary(build(count, pad + 1));
    assert.ok(bytes(cut) < MAX_SUMMARY_BYTES);
    assert.match(cut, new RegExp(`Left out: ${count - 2_000} rows\\. `));
    assert.match(cut, new RegExp(`0 of ${count} identical; ${count - 2_000} rows left out to fit\\.`));
    // What is worst is not what is cut.
    assert.ok(cut.includes(`<code>prompt&#45;${count - 1}</code>`));
  });

  test('goes down step by step, fits on each, and says on each what is missing and where it is', () => {
    const change = { field: 'f', before: '1', after: '2' };
    const report: Report = {
      ...drifted(prompts(2_600), {
        notices: notices(120, 'notice'),
        rules: {
          ...{ kind: 'base', ref: 'main', sha: 'a', path: 's.yml', missing: false, asks: 3 },
          changes: [{ ...change, inForce: true }],
        },
      }),
      changes: [{ ...change, half: 'ambient' }],
    };
    const steps: string[] = [];
    for (let max = Number.POSITIVE_INFINITY; ; ) {
      const text = summary(report, max);
      const size = bytes(text);
      assert.ok(size <= max);
      // At exactly its size it is the same, one byte below it is the next.
      assert.equal(summary(report, size), text);
      assert.ok(text.startsWith('## ❌ Drift: 2600 of 2 prompts'), text.slice(0, 100));
      const left = /Left out: (.*?)\. Everything that was found: (.*)\.\n/.exec(text);
      steps.push(left?.[1] ?? '');
      if (left === null) {
        assert.equal(text.split('\n').length, 2);
        break;
      }
      assert.match(
        left[2] ?? '',
        /^<code>record\.report\.json<\/code>, .* <code>record\.report\.html<\/code>$/,
      );
      assert.match(text, /\*\*Next:\*\* If it is not meant, look/);
      const [strips, kinds, facts] = [/\| along the steps \|/, /\| where \|/, /### Environment/].map((part) =>
        part.test(text),
      );
      const isIn = (what: string) => left[1]?.includes(what) ?? false;
      const isLast = isIn('all but the verdict');
      assert.equal(strips, !isIn('the strips along the steps') && !isLast);
      assert.equal(text.split(markdown(STRIP_LEGEND)).length - 1, strips ? 1 : 0);
      assert.equal(kinds, !isIn('what each kind of pass saw') && !isLast);
      assert.equal(facts, !isIn('what changed in the environment') && !isLast);
      const hidden = Number(/(\d+) notices/.exec(left[1] ?? '')?.[1] ?? 120);
      assert.equal(text.split('> ℹ️ ').length - 1, 120 - hidden);
      max = size - 1;
    }
    const [strips, kinds] = ['the strips along the steps', 'what each kind of pass saw'];
    const facts = 'what changed in the environment, what changed in the suite';
    assert.deepEqual(steps, [
      '20 notices',
      '600 rows, 20 notices',
      '2100 rows, 20 notices',
      `2100 rows, ${strips}, 20 notices`,
      `2100 rows, ${strips}, ${kinds}, 20 notices`,
      `2500 rows, ${strips}, ${kinds}, ${facts}, 20 notices`,
      `2590 rows, ${strips}, ${kinds}, ${facts}, 110 notices`,
      `2600 rows, ${strips}, ${kinds}, ${facts}, 110 notices, what was exercised`,
      'all but the verdict',
      '',
    ]);
  });

  for (const [what, report] of Object.entries<Report>({
    '10,000 prompts in each of seven relations': {
      ...DRIFT,
      relations: (['rerun', 'restart', 'batch', 'order', 'prefix-cache', 'prefill', 'baseline'] as const).map(
        (name) => relation(name, 'broken', { findings: prompts(10_000) }),
      ),
    },
    'long texts in 1,000 prompts': drifted(prompts(1_000, { reason: '<|@'.repeat(2_000) })),
    '2,000 relations of much evidence': {
      ...DRIFT,
      relations: Array.from({ length: 2_000 }, () =>
        relation('batch', 'measured', { evidence: '@'.repeat(1_000), findings: prompts(3) }),
      ),
    },
    '10,000 notices': drifted(prompts(3), { notices: notices(10_000, 'warning', '@'.repeat(3_000)) }),
    '100,000 changed facts': {
      ...drifted(prompts(3)),
      changes: Array.from({ length: 100_000 }, (_, i) => ({
        ...{ half: 'ambient' as const, field: `f${i}`, before: '|'.repeat(500), after: '' },
      })),
    },
    'a store with 100,000 lines to say': drifted(prompts(3), {
      baseline: { kind: 'absent', explanation: Array.from({ length: 100_000 }, () => '@'.repeat(3_000)) },
    }),
  }))
    test(`of ${what} fits, says so, and takes no time that grows faster than they do`, () => {
      const text = inNoTime(() => summary(report));
      assert.ok(bytes(text) <= MAX_SUMMARY_BYTES, `${bytes(text)}`);
      assert.match(text, /^## ❌ Drift: /);
      assert.match(text, /Left out: |more facts left out/);
      assert.match(text, /<code>record\.report\.json<\/code>/);
    });

  test('never tells of strips where none is shown', () => {
    const inputs = finding('a', { agreement: 'inputs-differ', divergence: null });
    assert.ok(!summary(drifted([inputs])).includes(markdown(STRIP_LEGEND)));
    assert.ok(summary(drifted([finding('a')])).includes(markdown(STRIP_LEGEND)));
  });

  test('shows a strip that strikes nothing through', () => {
    assert.match(summary(drifted([finding('a')])), /\| generate <code>=&#126;&#126;x\.\.\.\.\.<\/code> \|/);
  });

  test('leaves room for an error that comes after it, in the same file', async () => {
    const { summary: shown } = await step(async () => {
      await tell('report', drifted(prompts(6_000)), pageOfRun());
      await addSummary(`# An error\n${'é\n'.repeat(MIB)}`);
    });
    assert.ok(bytes(shown) <= MIB, `${bytes(shown)}`);
    assert.ok(MIB - MAX_SUMMARY_BYTES >= 60_000);
    assert.match(shown, /^## ❌ Drift: /);
    assert.match(shown, /\n# An error\n/);
    assert.match(shown, /\n✂️ A job summary holds no more: .*\n$/);
  });

  test('of several jobs has the verdict of all first, and in its table nothing acts', async () => {
    for (const text of ['| <b> @x', '# ~~x~~', 'a\n::error::b']) {
      const one = hostile(text);
      const legs = [{ ...one, suite: { ...one.suite, name: text } }, DRIFT];
      const { log, summary: shown } = await step(() =>
        tell(
          'merged',
          { reports: legs, conclusion: 'drift', verdict: 'fail', htmlPath: `/tmp/${text}` },
          pageOfRun(),
        ),
      );
      assert.match(shown, /^## ❌ Drift/);
      assertInert(shown);
      assert.ok(shown.includes(`<code>${markdown(text)}</code>`));
      assert.deepEqual(runnerCommands(log), []);
      assert.match(readFileSync(file('output'), 'utf8'), /^conclusion<<(\S+)\ndrift\n\1\nverdict<</);
    }
  });

  test('of other steps, an endless one too, is cut where a line ends, in bytes', () => {
    const text = `${'é'.repeat(100)}\n`.repeat(6_000);
    assert.ok(bytes(text) > MIB);
    assert.equal(fitted(text, bytes(text)), text);
    const cut = fitted(text, bytes(text) - 1);
    assert.ok(bytes(cut) <= bytes(text) - 1);
    assert.match(cut, /é\n\n✂️ A job summary holds no more: this was cut, of 1206000 bytes in all\.\n$/);
    assert.doesNotMatch(cut, /\ufffd/);
    assert.match(fitted('é'.repeat(MIB), MIB), /^\n✂️ /);
    assert.equal(fitted('é'.repeat(100), 10), '');
  });
});

describe('annotations', () => {
  const LEVEL = { fail: 'error', warn: 'warning', pass: 'notice' } as const;
  for (const verdict of ['fail', 'warn', 'pass'] as const)
    for (const count of [0, 1, 8, 9, 10, 11, 1_000])
      for (const noted of [0, 1, 3, 4, 9, 10, 50])
        test(`of ${count} prompts, ${verdict}, and ${noted} notices of each kind: nine of a kind, all counted`, () => {
          const report = drifted(prompts(count), {
            notices: [...notices(noted, 'warning'), ...notices(noted, 'notice')],
          });
          const found = annotations({ ...report, verdict });
          const level = LEVEL[verdict];
          for (const one of ['error', 'warning', 'notice'] as const) {
            const shown = found.filter((annotation) => annotation.level === one);
            // Without a prompt that drifted there is one for the whole run, unless it passes.
            const told = one !== level ? 0 : count === 0 && verdict !== 'pass' ? 1 : count;
            const all = told + (one === 'error' ? 0 : noted);
            assert.ok(shown.length <= 9);
            assert.equal(shown.length, Math.min(9, all));
            const last = shown.at(-1);
            if (all <= 9) assert.doesNotMatch(last?.title ?? '', /\d more$/);
            else {
              assert.equal(last?.title, `${all - 8} more`);
              const counts = [...(last?.message ?? '').matchAll(/(\d+) more (?:prompt|notice)s?\b/g)];
              assert.equal(
                counts.reduce((sum, [, n]) => sum + Number(n), 0),
                all - 8,
              );
              assert.match(last?.message ?? '', /record\.report\.json/);
            }
            // Nobody may believe a comparison because many prompts hide that it proves nothing.
            const notes = shown.filter(({ title }) => /^(?:warning|notice) \d/.test(title)).length;
            assert.ok(one === 'error' || notes >= Math.min(noted, 3), `${notes} of ${noted}`);
            if (told > 0 && count > 0) assert.equal(shown[0]?.title, `Drift: prompt prompt-${count - 1}`);
          }
        });

  for (const over of [0, 1])
    test(`have a title of 250 characters and a message of 4000 at most: ${over} past it`, () => {
      const id = 'p'.repeat(250 - 'Drift: prompt '.length + over);
      const notice = {
        level: 'notice' as const,
        title: 't'.repeat(250 + over),
        message: 'm'.repeat(4_000 + over),
      };
      const [drift, told] = annotations(drifted([finding(id)], { notices: [notice] }));
      assert.ok(drift && told);
      for (const [text, max] of [
        [drift.title, 250],
        [told.title, 250],
        [told.message, 4_000],
      ] as const) {
        assert.equal(text.length, max);
        assert.equal(/… \(cut: \d+ characters in all\)$/.test(text), over === 1);
      }
    });

  test('are cut in no escape and in no pair, and say so, wherever the cut falls', () => {
    for (const long of ['\u202e', '\u{e0041}', '🌍', '\n', '\\', '\ud800'])
      for (let pad = 0; pad < 40; pad++)
        for (const times of [20, 500]) {
          const text = `${'a'.repeat(pad)}${long.repeat(times)}`;
          const shown = within(text, 100);
          if (shown === visible(text)) continue;
          assert.ok(shown.length <= 100, `${shown.length}`);
          assert.match(shown, new RegExp(`… \\(cut: ${text.length} characters in all\\)$`));
          // Of backslashes in the text itself any number may stand there.
          if (long !== '\\') assert.doesNotMatch(shown, HALF);
          assert.doesNotMatch(shown, /\p{Cs}/u);
          assert.ok(visible(text).startsWith(shown.slice(0, shown.indexOf('…'))), shown);
        }
    assert.equal(within('a'.repeat(100), 100), 'a'.repeat(100));
    assert.match(within('a'.repeat(101), 100), /^a{70}… \(cut: 101 characters in all\)$/);
  });

  test('reach the runner as they are, with every character that it escapes', async () => {
    const text = '100 %, a:b, 50%0A%25 c;d]';
    const report = drifted([finding(text, { reason: text })]);
    const { log } = await step(() => tell('report', report, pageOfRun()));
    const [command] = runnerCommands(log);
    const [told] = annotations(report);
    assert.equal(command?.properties['title'], told?.title);
    assert.equal(command?.data, told?.message);
    assert.ok(told?.message.includes(text));
  });

  test('of 40,000 prompts and of a suite’s line for each take no time', () => {
    const findings = prompts(40_000);
    const places = {
      ...DRIFT.context.places,
      prompts: findings.map(({ prompt }, i) => ({ id: prompt, line: i + 1, column: 1 })),
    };
    const [worst] = inNoTime(() => annotations(drifted(findings, { places })));
    assert.equal(worst?.line, 40_000);
  });

  test('that come after them go to the log where the runner would drop them', async () => {
    const { log } = await step(() => tellNotices(notices(15, 'notice', '::error::x\n::error::y')));
    const commands = runnerCommands(log);
    assert.ok(commands.length <= 10);
    assert.ok(commands.every(({ command }) => command === 'notice'));
    for (let i = 0; i < 15; i++) assert.ok(log.includes(`notice ${i}`));
  });
});

describe('the terminal', () => {
  test('cuts a line at 1900 characters, and says so', () => {
    const lineOf = (length: number) => {
      const evidence = 'e'.repeat(length - 'batch: held; '.length);
      return terminalLines({ ...DRIFT, relations: [relation('batch', 'held', { evidence })] })[0] ?? '';
    };
    assert.match(lineOf(1_900), /^batch: held; e+$/);
    assert.equal(lineOf(1_900).length, 1_900);
    assert.equal(lineOf(1_901).length, 1_900);
    assert.match(lineOf(1_901), /e… \(cut: 1901 characters in all\)$/);
  });

  test('draws the strip of a prompt that drifted, no wider than a terminal, and says once what it means', () => {
    const [first] = prompts(1);
    assert.ok(first?.divergence);
    const strip = `${'='.repeat(40)}~${'='.repeat(22)}x`;
    const wide = { ...first, divergence: { ...first.divergence, strip } };
    const lines = terminalLines(drifted([wide, finding('same', { agreement: 'identical', holds: true })]));
    const at = lines.indexOf(`    generate  ${strip}`);
    assert.match(lines[at - 1] ?? '', /^ {2}prompt-0 .*tokens part/);
    assert.ok((lines[at]?.length ?? 0) < 80);
    assert.equal(lines.filter((line) => line.includes(STRIP_LEGEND)).length, 1);
    assert.equal(lines.filter((line) => /^ {4}\w+ +[=~x.]+$/.test(line)).length, 1);
  });

  test('draws no more strips than one looks at, and none and no legend where nothing is to be drawn', () => {
    const drawn = (lines: readonly string[]) =>
      lines.filter((line) => /^ {4}\w+ +[=~x.]+$/.test(line)).length;
    assert.equal(drawn(terminalLines(drifted(prompts(20)))), 20);
    assert.equal(drawn(terminalLines(drifted(prompts(21)))), 20);
    const inputs = finding('a', { agreement: 'inputs-differ', divergence: null });
    assert.ok(!terminalLines(drifted([inputs])).some((line) => line.includes(STRIP_LEGEND)));
  });

  for (const mode of ['check', 'refresh'] as const)
    test(`names the page last, in mode ${mode}`, () => {
      const lines = terminalLines(drifted(prompts(2), { mode, htmlPath: '/tmp/a\u202e\n::error::.html' }));
      assert.equal(lines.at(-1), 'Page: /tmp/a\\u{202e}\\n::error::.html');
    });

  test('of 40,000 prompts takes no time', () => {
    const report = drifted(prompts(40_000));
    const lines = inNoTime(() => terminalLines(report));
    assert.ok(lines.length > 40_000);
  });
});

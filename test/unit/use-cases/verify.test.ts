import assert from 'node:assert/strict';
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { openRecord, writeBaselineMeta } from '../../../src/disk/record-folder.ts';
import { writeReport } from '../../../src/disk/report-file.ts';
import { records, reports } from '../../../src/front/wiring.ts';
import { sha256 } from '../../../src/record/digest.ts';
import type { Side } from '../../../src/record/side.ts';
import { packSoftware } from '../../../src/record/software.ts';
import { type Evidence, reportDigest } from '../../../src/report/make.ts';
import { reportPathOf } from '../../../src/report/paths.ts';
import type { Report } from '../../../src/report/schema.ts';
import { verify } from '../../../src/use-cases/verify.ts';
import { temporaryFolder } from '../support/folder.ts';
import { body, modules, side } from '../support/records.ts';
import {
  foundView,
  keyOf,
  metaOf,
  PROVENANCE,
  reportOf,
  writeBaseline,
  writeRun,
} from '../support/reports.ts';
import { rejectedBy } from '../support/suites.ts';

const BEFORE = { capital: body(), sky: body({ tokens: [20, 21, 22] }) };
const NOW = { capital: body({ logprobs: [-0.5, -1.75] }), sky: body({ tokens: [20, 21, 25], text: 'x' }) };

const lifetime = (bits: typeof BEFORE, module: string) => ({
  'generate-alone': bits,
  'generate-again': bits,
  'force-alone': bits,
  'score-alone': { ...bits, text: bits.capital },
  'trace-alone': { trace: modules({ a: '1', b: module }) },
});
const TRUSTED = side({ lifetimes: { 'lifetime-1': lifetime(BEFORE, '2') }, texts: ['text'] });
const RUN = side({ lifetimes: { 'lifetime-1': lifetime(NOW, '3') }, texts: ['text'] });

interface Left extends AsyncDisposable {
  readonly folder: string;
  readonly record: string;
  readonly report: string;
}

/** What a run leaves on disk. */
async function ran(run: Side, trusted: Side | undefined, change: Partial<Evidence> = {}): Promise<Left> {
  const folder = await temporaryFolder();
  const record = join(folder.path, 'record');
  const now = await writeRun(record, run);
  const before = trusted === undefined ? undefined : await writeBaseline(`${record}.baseline`, trusted);
  const report = await reportOf(now, before, {
    recordPath: record,
    digests: {
      record: now.sha256,
      baselineRecord: before?.sha256 ?? null,
      baselineMeta: before === undefined ? null : await digestOf(join(`${record}.baseline`, 'baseline.json')),
    },
    ...change,
  });
  await writeReport(reportPathOf(record), report);
  return {
    folder: folder.path,
    record,
    report: reportPathOf(record),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const digestOf = async (path: string) => sha256(await readFile(path));
const check = ({ report }: Left) => verify({ reportPath: report }, { reports, records });
const pathsOf = (found: Awaited<ReturnType<typeof verify>>) => found.disagreements.map(({ path }) => path);

/** Changes a file as text. */
async function edit(path: string, change: (text: string) => string): Promise<void> {
  const text = await readFile(path, 'utf8');
  const changed = change(text);
  assert.notEqual(changed, text, `nothing to change in ${path}`);
  await writeFile(path, changed);
}

/** Changes a report and gives it the digest that belongs to it then. */
async function forge({ report }: Left, change: (report: Report) => Report): Promise<void> {
  const changed = change(JSON.parse(await readFile(report, 'utf8')) as Report);
  await writeFile(report, JSON.stringify({ ...changed, sha256: reportDigest(changed) }));
}

async function flipBit(path: string, at: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  await writeFile(path, bytes);
}

describe('an honest report agrees', () => {
  for (const [name, run, trusted] of [
    ['of a drift', RUN, TRUSTED],
    ['of a reproduction', TRUSTED, TRUSTED],
    ['without a baseline', RUN, undefined],
  ] as const)
    test(name, async () => {
      await using left = await ran(run, trusted);
      const found = await check(left);
      assert.deepEqual(found.disagreements, []);
      assert.equal(found.agrees, true);
      assert.ok(found.checked.bodies > 5);
      assert.equal(found.checked.files, trusted === undefined ? 1 : 3);
      assert.equal(found.checked.relations, 2);
      assert.match(found.lines.at(-1) ?? '', /^The report agrees/);
    });

  test('of other packages, which it looks up in both records', async () => {
    const withPackage = (of: Side, version: string): Side => {
      const list = { python: { xgrammar: version } };
      const software = sha256(packSoftware(list));
      const { record } = of;
      const lifetimes = record.lifetimes.map((one) => ({ ...one, software }));
      return { ...of, record: { ...record, lifetimes, software: new Map([[software, list]]) } };
    };
    await using left = await ran(withPackage(RUN, '0.1.21'), withPackage(TRUSTED, '0.1.20'));
    assert.deepEqual((await check(left)).disagreements, []);
    await forge(left, (report) => {
      assert.deepEqual(
        report.changes.map(({ field, before, after }) => [field, before, after]),
        [['packages.python.xgrammar', '0.1.20', '0.1.21']],
      );
      return { ...report, changes: [] };
    });
    assert.deepEqual(pathsOf(await check(left)), ['changes[0]']);
    const name = sha256(packSoftware({ python: { xgrammar: '0.1.21' } }));
    await flipBit(join(left.record, 'bodies', name), 5);
    assert.ok(pathsOf(await check(left)).includes('digests.record'));
  });

  test('of a refresh, whose record is the new baseline', async () => {
    const now = { 'lifetime-1': lifetime(NOW, '3') };
    const run = side({ lifetimes: now, texts: ['text'] });
    await using left = await ran(run, TRUSTED, {
      mode: 'refresh',
      claims: [
        { relation: 'rerun', requirement: 'identical' },
        { relation: 'baseline', requirement: 'measure' },
      ],
      baseline: {
        kind: 'stored',
        inCheckout: false,
        key: keyOf(run),
        store: 'cache',
        provenance: PROVENANCE,
        replaced: null,
      },
    });
    await writeBaselineMeta(left.record, metaOf(await openRecord(left.record)));
    const found = await check(left);
    assert.deepEqual(found.disagreements, []);
    await edit(join(left.record, 'baseline.json'), (text) => text.replace('alice', 'mallory'));
    assert.deepEqual(pathsOf(await check(left)), ['context.baseline.provenance.actor']);
  });

  test('wherever its folders were brought', async () => {
    await using left = await ran(RUN, TRUSTED);
    const [record, baseline] = [join(left.folder, 'a'), join(left.folder, 'b')];
    await rename(left.record, record);
    await rename(`${left.record}.baseline`, baseline);
    const found = await verify(
      { reportPath: left.report, recordPath: record, baselinePath: baseline },
      { reports, records },
    );
    assert.deepEqual(found.disagreements, []);
  });
});

describe('one change is found:', () => {
  const places: Readonly<Record<string, { change(left: Left): Promise<void>; path: RegExp }>> = {
    'a bit of record.json that changes nothing else': {
      change: ({ record }) => edit(join(record, 'record.json'), (text) => text.replace(/\n$/, ' ')),
      path: /^digests\.record$/,
    },
    'a digit in record.json': {
      change: ({ record }) =>
        edit(join(record, 'record.json'), (text) => text.replace(/"seconds": 1.5/, '"seconds": 2.5')),
      path: /^digests\.record$|^work\.seconds$/,
    },
    'record.json cut short': {
      change: ({ record }) => edit(join(record, 'record.json'), (text) => text.slice(0, -9)),
      path: /^digests\.record$/,
    },
    'a bit in a body of the record': {
      change: async ({ record }) => flipBit(await firstBody(record), 60),
      path: /^record\.bodies$|^relations$/,
    },
    'a body that is gone': {
      change: async ({ record }) => rm(await firstBody(record)),
      path: /^record\.bodies$|^relations$/,
    },
    'a bit in a body of the baseline': {
      change: async ({ record }) => flipBit(await firstBody(`${record}.baseline`), 60),
      path: /^baselineRecord\.bodies$|^relations$/,
    },
    "the baseline's record.json": {
      change: ({ record }) =>
        edit(join(`${record}.baseline`, 'record.json'), (text) => text.replace('"cores": 4', '"cores": 8')),
      path: /^digests\.baselineRecord$|^baseline\.recordFile$|^changes\[0\]$/,
    },
    'baseline.json': {
      change: ({ record }) =>
        edit(join(`${record}.baseline`, 'baseline.json'), (text) =>
          text.replace('first baseline', 'another'),
        ),
      path: /^digests\.baselineMeta$|^context\.baseline\.provenance\.reason$/,
    },
    'baseline.json is no JSON': {
      change: ({ record }) => edit(join(`${record}.baseline`, 'baseline.json'), (text) => text.slice(1)),
      path: /^digests\.baselineMeta$/,
    },
    'a word of the report': {
      change: ({ report }) => edit(report, (text) => text.replace('"verdict":"fail"', '"verdict":"pass"')),
      path: /^sha256$|^verdict$/,
    },
    'a forged verdict, with a digest that fits': {
      change: (left) => forge(left, (report) => ({ ...report, verdict: 'pass', conclusion: 'reproduced' })),
      path: /^verdict$|^conclusion$/,
    },
    'a forged finding': {
      change: (left) =>
        forge(left, (report) => ({
          ...report,
          relations: report.relations.map((one) => ({
            ...one,
            findings: one.findings.map((finding) => ({ ...finding, holds: true })),
          })),
        })),
      path: /^relations\[1\]\.findings\[\d+\]\.holds$/,
    },
    'a forged coverage': {
      change: (left) =>
        forge(left, (report) => ({
          ...report,
          coverage: report.coverage.map((one) => ({ ...one, exercised: true })),
        })),
      path: /^coverage\[\d+\]\.exercised$/,
    },
    'other claims than were judged by': {
      change: (left) =>
        forge(left, (report) => ({
          ...report,
          asked: { ...report.asked, claims: [{ relation: 'baseline', requirement: 'measure' }] },
        })),
      path: /^relations|^conclusion$|^verdict$|^acceptable$/,
    },
    'a forged provenance': {
      change: (left) =>
        forge(left, (report) => ({
          ...report,
          context: {
            ...report.context,
            baseline: { ...foundView(TRUSTED), provenance: { ...PROVENANCE, actor: 'mallory' } } as never,
          },
        })),
      path: /^context\.baseline\.provenance\.actor$/,
    },
    'a forged key': {
      change: (left) =>
        forge(left, (report) => ({
          ...report,
          context: { ...report.context, baseline: { ...foundView(RUN) } },
        })),
      path: /^context\.baseline\.key\.record$/,
    },
    'a baseline that the report denies': {
      change: (left) =>
        forge(left, (report) => ({
          ...report,
          context: { ...report.context, baseline: { kind: 'absent', explanation: [] } },
        })),
      path: /^context\.baseline\.kind$|^conclusion$|^verdict$|^acceptable$/,
    },
  };
  for (const [name, { change, path }] of Object.entries(places))
    test(name, async () => {
      await using left = await ran(RUN, TRUSTED);
      await change(left);
      const found = await check(left);
      assert.equal(found.agrees, false);
      assert.ok(found.disagreements.length > 0);
      for (const one of pathsOf(found)) assert.match(one, path);
      assert.match(found.lines.at(-1) ?? '', /DISAGREES/);
    });

  test("each bit of a body's first 200, one after the other", async () => {
    await using left = await ran(RUN, TRUSTED);
    const path = await firstBody(left.record);
    const { length } = await readFile(path);
    for (let at = 0; at < Math.min(length, 200); at += 7) {
      await flipBit(path, at);
      assert.equal((await check(left)).agrees, false, `byte ${at}`);
      await flipBit(path, at);
    }
    assert.equal((await check(left)).agrees, true);
  });

  test('a record and its bodies made to fit one another, but not the report', async () => {
    await using left = await ran(RUN, TRUSTED);
    await rm(left.record, { recursive: true });
    await writeRun(left.record, TRUSTED);
    const found = await check(left);
    assert.ok(pathsOf(found).includes('digests.record'));
    assert.ok(pathsOf(found).includes('conclusion'));
  });
});

describe('what is shown', () => {
  test('is inert and cut', async () => {
    await using left = await ran(RUN, TRUSTED);
    await forge(left, (report) => ({
      ...report,
      relations: report.relations.map((one) => ({
        ...one,
        evidence: `\u001b[2J::error::${'x'.repeat(5_000)}`,
      })),
    }));
    const { lines } = await check(left);
    for (const line of lines) {
      assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
      assert.ok(line.length < 1_000);
    }
    assert.match(lines[0] ?? '', /^relations\[0\]\.evidence: the report says "\\u001b\[2J::error::x+… \(/);
  });

  test('is not more than a reader takes in', async () => {
    await using left = await ran(RUN, TRUSTED);
    await forge(left, (report) => ({
      ...report,
      changes: Array.from({ length: 1_000 }, () => ({
        ...{ half: 'ambient' as const, field: 'a', before: 'b', after: 'c' },
      })),
    }));
    const { disagreements } = await check(left);
    assert.equal(disagreements.length, 101);
    assert.match(disagreements.at(-1)?.reported ?? '', /^\d+ more$/);
  });
});

describe('known issues', () => {
  const thread = 'pytorch/pytorch#45422';
  const claimed = [{ thread, relations: ['batch' as const], matched: ['it'], open: [] }];

  test('are found anew with the same list', async () => {
    await using left = await ran(RUN, TRUSTED);
    await forge(left, (report) => ({ ...report, knownIssues: { ...report.knownIssues, alike: claimed } }));
    assert.ok(pathsOf(await check(left)).some((path) => path.startsWith('knownIssues.alike')));
  });

  test('of another list are a note of its time, and all else is still checked', async () => {
    await using left = await ran(RUN, TRUSTED);
    const another = { list: sha256('another list'), alike: claimed };
    await forge(left, (report) => ({ ...report, knownIssues: another }));
    assert.equal((await check(left)).agrees, true);
    await forge(left, (report) => ({ ...report, knownIssues: another, verdict: 'pass' }));
    assert.deepEqual(pathsOf(await check(left)), ['verdict']);
  });
});

describe('an error, not a disagreement, is', () => {
  test('a report that is none', async () => {
    await using left = await ran(RUN, TRUSTED);
    await writeFile(left.report, '{}');
    assert.equal((await rejectedBy(check(left))).code, 'report-invalid');
  });

  test('a record or a baseline that is not there', async () => {
    await using left = await ran(RUN, TRUSTED);
    await rename(`${left.record}.baseline`, join(left.folder, 'elsewhere'));
    const noBaseline = await rejectedBy(check(left));
    assert.equal(noBaseline.code, 'input-invalid');
    assert.match(noBaseline.message, /made from a baseline/);
    await rename(left.record, join(left.folder, 'gone'));
    assert.match((await rejectedBy(check(left))).message, /made from a record/);
  });

  test('a report of another name whose record nobody named', async () => {
    await using left = await ran(RUN, TRUSTED);
    const other = join(left.folder, 'report.json');
    await rename(left.report, other);
    assert.equal(
      (await rejectedBy(verify({ reportPath: other }, { reports, records }))).code,
      'input-invalid',
    );
  });
});

async function firstBody(folder: string): Promise<string> {
  const { record } = await openRecord(folder);
  const [first] = record.observations;
  assert.ok(first);
  assert.ok((await readdir(join(folder, 'bodies'))).includes(first.body));
  return join(folder, 'bodies', first.body);
}

describe('a record without a report', () => {
  const verifyRecord = (left: Left) => verify({ reportPath: left.record }, { reports, records });

  test('is whole where its bodies give its digests, and nobody takes that for a verdict', async () => {
    await using left = await ran(RUN, undefined);
    const { agrees, checked, lines } = await verifyRecord(left);
    assert.deepEqual([agrees, checked.files, checked.relations], [true, 1, 0]);
    assert.ok(checked.bodies > 3);
    assert.match(
      lines.join('\n'),
      /Not checked: that an engine computed it; no report was named\.\nThe record is whole\./,
    );
  });

  test('is not where any of them has other bytes', async () => {
    const { folder, ...left } = await ran(RUN, undefined);
    await using _left = left;
    const bodies = join(left.record, 'bodies');
    for (const name of await readdir(bodies)) {
      const bytes = await readFile(join(bodies, name));
      await writeFile(join(bodies, name), Buffer.concat([bytes, Buffer.of(0)]));
      const { agrees, lines } = await verifyRecord({ folder, ...left });
      assert.equal(agrees, false, name);
      assert.match(lines.at(-1) ?? '', /NOT/);
      await writeFile(join(bodies, name), bytes);
    }
  });
});

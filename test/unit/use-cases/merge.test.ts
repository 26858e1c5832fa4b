import assert from 'node:assert/strict';
import { mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import { reports as onDisk, records as recordsOnDisk } from '../../../src/front/wiring.ts';
import type { Situation } from '../../../src/job/situation.ts';
import type { OpenedRecord } from '../../../src/record/side.ts';
import { reportDigest } from '../../../src/report/make.ts';
import type { Merged } from '../../../src/report/merged.ts';
import type { Report } from '../../../src/report/schema.ts';
import { junit } from '../../../src/surfaces/junit.ts';
import { problemsOfMerged } from '../../../src/surfaces/problems.ts';
import { headlineOf } from '../../../src/tell/headline.ts';
import { mergeReports } from '../../../src/use-cases/merge.ts';
import { commonLines, legTable, mergedLine, mergedLines } from '../../../src/words/merged.ts';
import { temporaryFolder } from '../../support/runtimes.ts';
import { tried } from '../../support/tried.ts';
import { body, side } from '../support/records.ts';
import { checkReport } from '../support/reports.ts';

const BITS = { capital: body() };
const SAME = await checkReport(BITS, BITS);
const DRIFT = await checkReport(BITS, { capital: body({ logprobs: [-0.5, -1.75] }) });

/** The same of another machine, signed anew. */
function on(hardwareClass: string, report: Report): Report {
  const other = { ...report, hardwareClass };
  return { ...other, sha256: reportDigest(other) };
}

const RUN = { id: '77', attempt: '1' } as const;

const situation = (event: string): Situation => ({
  door: event === 'cli' ? 'terminal' : 'action',
  event,
  ref: 'refs/heads/main',
  commit: '',
  defaultBranch: 'main',
  base: undefined,
  fork: false,
  subject:
    event === 'workflow_run'
      ? {
          ...{ kind: 'workflow-run', run: RUN, head: '', conclusion: 'success' },
          ...{ pullRequests: [], from: undefined },
        }
      : { kind: 'none' },
});

const quiet = {
  info: () => {},
  progress: () => {},
  section: <T>(_: string, work: () => Promise<T>) => work(),
};

interface Way {
  readonly expected?: number;
  readonly event?: string;
  /** What this job is of. */
  readonly run?: { readonly id: string; readonly attempt: string };
  readonly signal?: AbortSignal;
  readonly acrossClasses?: string;
  /** Records beside the reports, by the report's name. */
  readonly records?: Readonly<Record<string, OpenedRecord>>;
  /** Before they are looked for. */
  readonly spoil?: (folder: string) => Promise<void>;
}

/** Merges files of a folder, as a download leaves them. */
async function merge(
  files: Readonly<Record<string, Report | string>>,
  {
    expected = 1,
    event = 'pull_request',
    run = RUN,
    signal = new AbortController().signal,
    spoil,
    acrossClasses,
    records: beside = {},
  }: Way = {},
): Promise<Merged & { readonly page: string }> {
  await using folder = await temporaryFolder();
  const reports = join(folder.path, 'reports');
  for (const [name, content] of Object.entries(files)) {
    const path = join(reports, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  }
  await spoil?.(reports);
  const recordIn = (place: string) => beside[place.slice(reports.length + 1)];
  const merged = await mergeReports(
    {
      situation: situation(event),
      recordPath: join(folder.path, 'record'),
      job: { repository: 'acme/models', run: run.id, attempt: run.attempt, runner: '' },
      reports,
      expected,
      acrossClasses,
    },
    {
      ...{ console: quiet, signal, reports: onDisk },
      records: {
        ...recordsOnDisk,
        missing: async (place) => (recordIn(place) === undefined ? 'ENOENT' : undefined),
        open: async (place) => recordIn(place) ?? assert.fail(place),
      },
    },
  );
  return { ...merged, page: await readFile(merged.htmlPath, 'utf8') };
}

async function refused(...asked: Parameters<typeof merge>): Promise<UserError> {
  const error = await merge(...asked).then(
    () => assert.fail('it was accepted'),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof UserError, String(error));
  return error;
}

describe('reports of several jobs', () => {
  test('are found wherever the download put them, and shown worst first, each class by itself', async () => {
    const merged = await merge(
      {
        'determinism-report-l4/a.report.json': on('cuda-l4', SAME),
        'determinism-report-h100/deep/er/b.report.json': on('cuda-h100', DRIFT),
        'determinism-report-a100/c.report.json': on('cuda-a100', SAME),
        'determinism-report-a100/c.report.html': '<p>no report</p>',
      },
      { expected: 3 },
    );
    assert.deepEqual(
      merged.reports.map(({ hardwareClass }) => hardwareClass),
      ['cuda-h100', 'cuda-a100', 'cuda-l4'],
    );
    assert.deepEqual([merged.conclusion, merged.verdict], ['drift', 'fail']);
    for (const hardwareClass of ['cuda-h100', 'cuda-a100', 'cuda-l4'])
      assert.match(merged.page, new RegExp(hardwareClass));
  });

  test('that all pass, pass', async () => {
    const { conclusion, verdict } = await merge({ 'a.report.json': SAME });
    assert.deepEqual([conclusion, verdict], ['reproduced', 'pass']);
  });

  test('come after another workflow too, and on no event that a stranger’s comment starts', async () => {
    assert.equal((await merge({ 'a.report.json': SAME }, { event: 'workflow_run' })).verdict, 'pass');
    for (const event of ['issue_comment', 'pull_request_target', ''])
      assert.equal((await refused({ 'a.report.json': SAME }, { event })).code, 'event-refused');
  });
});

describe('what is not there is not green:', () => {
  test('a leg that left none', async () => {
    const { code, message, hint } = await refused({ 'a.report.json': SAME }, { expected: 3 });
    assert.equal(code, 'reports-missing');
    assert.match(message, /holds 1 of 3 reports/);
    assert.match(hint, /ended in an error leaves no report/);
  });

  test('no folder, an empty one, one without reports', async () => {
    assert.match((await refused({})).message, /holds 0 of 1 reports/);
    assert.match((await refused({ 'notes.txt': 'x' })).message, /holds 0 of 1/);
  });

  tried(
    'report that is a link',
    'links among the reports that a job downloads',
    'no link is followed: it is no report, and what is missing is not green',
    async () => {
      const spoil = async (folder: string) => {
        await symlink(join(folder, 'a.report.json'), join(folder, 'b.report.json'));
        await symlink('/', join(folder, 'root'));
      };
      assert.match(
        (await refused({ 'a.report.json': SAME }, { expected: 2, spoil })).message,
        /holds 1 of 2/,
      );
    },
  );
});

describe('what another run left is not this one’s:', () => {
  for (const [what, way] of [
    ['another attempt', { run: { id: '77', attempt: '2' } }],
    ['another run', { run: { id: '78', attempt: '1' } }],
  ] as const)
    test(what, async () => {
      const { code, message, hint } = await refused({ 'a.report.json': SAME }, way);
      assert.equal(code, 'report-invalid');
      assert.match(message, /comes from run 77, attempt 1, and not from run 7[78], attempt [12]/);
      assert.match(hint, /Run all jobs .* again \(not only the failed ones\)/);
      assert.equal((await merge({ 'a.report.json': SAME }, { ...way, event: 'cli' })).verdict, 'pass');
    });

  test('one leg twice does not stand for two', async () => {
    const { code, message } = await refused(
      { 'a.report.json': SAME, 'copy/a.report.json': SAME },
      { expected: 2 },
    );
    assert.equal(code, 'report-invalid');
    assert.match(message, /the same report twice/);
  });

  test('a stranger’s run has few suites, since each has a comment', async () => {
    const suites = Object.fromEntries(
      Array.from({ length: 5 }, (_, i) => [
        `${i}.report.json`,
        signed({ suite: { ...SAME.suite, name: `s${i}` } }, SAME),
      ]),
    );
    assert.match((await refused(suites, { event: 'workflow_run' })).message, /more than 4 suites/);
    assert.equal((await merge(suites)).reports.length, 5);
  });
});

test('a job that is cancelled stops reading', async () => {
  const signal = AbortSignal.abort(new Error('cancelled'));
  await assert.rejects(merge({ 'a.report.json': SAME }, { signal }), /cancelled/);
});

describe('what a stranger wrote is refused whole:', () => {
  const cases: readonly [string, Report | string, RegExp][] = [
    ['no JSON', '{', /is no JSON/],
    [
      'another schema',
      { ...SAME, schema: 'deterministic-ml/report/v2' } as unknown as Report,
      /is no report/,
    ],
    [
      'a verdict that was changed afterwards',
      { ...DRIFT, verdict: 'pass', conclusion: 'reproduced' },
      /its digest/,
    ],
    ['a word more', { ...SAME, extra: 1 } as unknown as Report, /is no report/],
    ['a link that is a script', withUrl('javascript:alert(1)'), /is no report/],
  ];
  for (const [what, content, says] of cases)
    test(what, async () => {
      const { code, message } = await refused({ 'good.report.json': SAME, 'bad.report.json': content });
      assert.equal(code, 'report-invalid');
      assert.match(message, says);
    });

  test('one that is too large is not read', async () => {
    const spoil = (folder: string) => truncate(join(folder, 'a.report.json'), 65 * 1024 * 1024);
    const { code, message } = await refused({ 'a.report.json': SAME }, { spoil });
    assert.equal(code, 'report-invalid');
    assert.match(message, /larger than/);
  });

  test('more than can be shown', async () => {
    const many = Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`${i}.report.json`, '{}']));
    assert.match((await refused(many)).message, /holds 257 reports; 256 can be shown/);
  });
});

function signed(more: Partial<Report>, report = DRIFT): Report {
  const other = { ...report, ...more };
  return { ...other, sha256: reportDigest(other) };
}

function withUrl(url: string): Report {
  const other = { ...SAME, context: { ...SAME.context, run: { ...SAME.context.run, url } } };
  return { ...other, sha256: reportDigest(other) };
}

describe('legs that must be near each other', () => {
  const long = (shift: number) =>
    body({
      tokens: Array.from({ length: 128 }, (_, at) => at),
      logprobs: Array.from({ length: 128 }, (_, at) => (at % 2 === 0 ? -1 : -1 + shift)),
    });
  const legOf = (hardwareClass: string, shift: number) => {
    const { record, ...ways } = side({
      passes: { 'score-alone': { text: long(shift) }, 'score-noise': { text: long(shift + 0.1) } },
      texts: ['text'],
    });
    const opened: OpenedRecord = {
      record: { ...record, hardwareClass },
      ...ways,
      sha256: SAME.digests.record,
    };
    const outcome = hardwareClass === 'cuda-a100' ? 'ab'.repeat(32) : SAME.outcome;
    return { report: signed({ hardwareClass, outcome }, SAME), opened };
  };
  async function legs(shift: number, way: Way = {}) {
    const [h100, a100] = [legOf('cuda-h100', 0), legOf('cuda-a100', shift)];
    return await merge(
      { 'h/a.report.json': h100.report, 'a/b.report.json': a100.report },
      {
        ...{ expected: 2, acrossClasses: 'within 2x floor' },
        records: { 'h/a': h100.opened, 'a/b': a100.opened },
        ...way,
      },
    );
  }

  test('pass within so many floors, and fail beyond them though each holds to its own baseline', async () => {
    const near = await legs(0.15);
    assert.deepEqual([near.across?.status, near.verdict, near.conclusion], ['held', 'pass', 'reproduced']);
    const far = await legs(0.5);
    assert.deepEqual([far.across?.status, far.verdict], ['broken', 'fail']);
    const says =
      /Across classes, within 2x floor: broken: cuda-a100 \(A\) against cuda-h100 \(B\): 5x the floor/;
    assert.match(far.page, says);
    assert.match(far.page, /class="verdict v-fail"/);
    const { verdict, line } = headlineOf('merged', far);
    assert.equal(verdict, 'fail');
    assert.match(line ?? '', says);
    const [problem] = problemsOfMerged(far);
    assert.deepEqual([problem?.rule, problem?.level], [{ kind: 'across-classes', name: 'broken' }, 'error']);
    assert.deepEqual(problemsOfMerged(near), []);
    const documented = await junit.merged?.document?.(far);
    assert.match(documented?.text() ?? '', /<testsuite name="across classes"[^>]* failures="1"/);
  });

  test('are unmeasured without a record, and refused with another one', async () => {
    const without = await legs(0.15, { records: {} });
    assert.deepEqual([without.across?.status, without.verdict], ['unmeasured', 'fail']);
    assert.match(without.across?.line ?? '', /no record of A is there/);
    const opened = { ...legOf('cuda-h100', 0).opened, sha256: 'cd'.repeat(32) };
    await assert.rejects(
      legs(0.15, { records: { 'h/a': opened } }),
      /is of another record than lies beside it/,
    );
  });
});

describe('the words for several', () => {
  const three = [on('b', DRIFT), on('a', SAME), on('c', SAME)];
  test('count the worst first', () => {
    assert.equal(mergedLine(three), 'Drift: 1 of 3 legs; 2 reproduced');
    assert.equal(mergedLine([SAME, on('b', SAME)]), 'Reproduced: 2 of 2 legs');
  });

  /** A drift beside these changes, on one class of hardware. */
  const beside = (hardwareClass: string, ...changes: Report['changes']) =>
    signed({ changes }, on(hardwareClass, DRIFT));
  const IMAGE = {
    half: 'declared',
    field: 'image.digest',
    before: 'sha256:aaaa',
    after: 'sha256:bbbb',
  } as const;
  const DRIVER = { half: 'ambient', field: 'driver', before: '550', after: '570' } as const;

  test('begin with the one change that stands beside all drifts, and end with the one command', async () => {
    const legs = [beside('a', IMAGE), beside('b', IMAGE, DRIVER), on('c', SAME), beside('d', IMAGE)];
    const line = mergedLine([legs[0], legs[1], legs[3], legs[2]].flatMap((one) => one ?? []));
    assert.equal(
      line,
      'Drift: 3 of 4 legs, all beside the same change: image changed (sha256:aaaa → sha256:bbbb); 1 reproduced',
    );
    const merged = await merge(Object.fromEntries(legs.map((one, at) => [`${at}/a.report.json`, one])));
    const command = 'gh workflow run refresh.yml -f reason="why these bits are to be trusted"';
    const lines = mergedLines(merged);
    assert.deepEqual(lines.slice(-4, -2), [
      line,
      'What stands beside all 3 drifts: image changed (sha256:aaaa → sha256:bbbb). If they are meant, one run makes new baselines of all legs, or of none, once it is merged:',
    ]);
    assert.equal(lines.at(-2), command);
    assert.ok(merged.page.includes('gh workflow run refresh.yml'));
    assert.equal(merged.page.split('image changed').length, 4, 'in the tab, in the title and once below it');
  });

  test('claim no common change where the values or the legs differ, and offer nothing for one drift', () => {
    const other = { ...IMAGE, after: 'sha256:cccc' };
    const apart = [beside('a', IMAGE), beside('b', other)];
    assert.equal(mergedLine(apart), 'Drift: 2 of 2 legs');
    assert.match(commonLines(apart)[0] ?? '', /^No recorded change stands beside all 2 drifts\. /);
    assert.deepEqual(commonLines(three), []);
    const accepted = { ...beside('b', IMAGE), accepted: { record: 'a'.repeat(64), reason: 'meant' } };
    assert.deepEqual(commonLines([beside('a', IMAGE), accepted]), []);
  });

  test('are the verdict line where there is one', () => {
    assert.match(mergedLine([DRIFT]), /^Drift: 1 of 1 prompts/);
  });

  test('name each class and the page', () => {
    const lines = mergedLines({ reports: three, htmlPath: '/tmp/x\u001b[2J.html' });
    assert.equal(lines.length, 5);
    assert.match(lines[0] ?? '', /Drift: .* on b/);
    assert.equal(lines.at(-1), 'Page: /tmp/x\\u{1b}[2J.html');
    const rows = legTable(three, 256).split('\n');
    assert.equal(rows.length, 5);
    assert.match(rows[2] ?? '', /^\| <code>b<\/code> \| ❌ Drift/);
    assert.match(legTable(three, 2), /1 leg more left out to fit\.$/);
  });

  test('name the suite where there are several', () => {
    const other = { ...SAME, suite: { ...SAME.suite, name: 'other' } };
    assert.match(legTable([SAME, other], 256), /^\| suite \| .*\n.*\n\| suite \| .*\n\| other \|/);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseMeta } from '../../../src/baseline/port.ts';
import { UserError } from '../../../src/errors.ts';
import type { IsIn } from '../../../src/github/port.ts';
import type { Situation } from '../../../src/job/situation.ts';
import { placeOf } from '../../../src/trust/ancestry.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refusalOf } from '../../../src/words/accept.ts';
import type { Computes } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

describe('the place of a commit among those of the baselines', () => {
  /** Commits of a branch, oldest first; a head may have only some of them. */
  const asked = (has: Readonly<Record<string, readonly string[]>>) => {
    const questions: string[] = [];
    const isIn = async (commit: string, head: string): Promise<IsIn> => {
      questions.push(`${commit} in ${head}`);
      const own = has[head];
      return own === undefined
        ? { kind: 'unknown', why: '404: Not Found' }
        : { kind: own.includes(commit) ? 'yes' : 'no' };
    };
    return { questions, isIn };
  };
  const main = ['a', 'b', 'c', 'd'];

  test('is the newest that it has, and nobody is asked about itself', async () => {
    const { questions, isIn } = asked({ main, head: ['a', 'b'], tip: main });
    assert.deepEqual(await placeOf(['d'], { head: 'd', branch: 'main' }, isIn), { kind: 'after', index: 0 });
    assert.deepEqual(questions, []);
    const all = ['d', 'c', 'b', 'a'];
    assert.deepEqual(await placeOf(all, { head: 'tip', branch: 'main' }, isIn), { kind: 'after', index: 0 });
    assert.deepEqual(questions, ['d in tip'], 'where nothing is lacking, one question is all');
    assert.deepEqual(await placeOf(all, { head: 'head', branch: 'main' }, isIn), { kind: 'after', index: 2 });
    assert.deepEqual(questions.slice(1), ['d in head', 'd in main', 'c in head', 'b in head']);
  });

  test('is the first where it is older than all, and unknown where the branch was written anew', async () => {
    const { isIn } = asked({ main, head: [], anew: ['x'] });
    const [commits, head] = [['d', 'c'], 'head'];
    assert.deepEqual(await placeOf(commits, { head, branch: 'main' }, isIn), { kind: 'first', index: 1 });
    for (const branch of ['anew', 'gone']) {
      const place = await placeOf(commits, { head, branch }, isIn);
      assert.match(
        place.kind === 'unknown' ? place.why : '',
        /does not have the newest baseline’s commit d any more/,
      );
    }
    const unseen = await placeOf(commits, { head: 'unseen', branch: 'main' }, isIn);
    assert.match(unseen.kind === 'unknown' ? unseen.why : '', /GitHub does not tell .* \(404: Not Found\)/);
  });

  test('is beyond those that are worth a question, or that a baseline remembers', async () => {
    const many = Array.from({ length: 40 }, (_, at) => `c${at}`);
    const { questions, isIn } = asked({ main: many, head: ['c30'] });
    assert.deepEqual(await placeOf(many, { head: 'head', branch: 'main' }, isIn), { kind: 'beyond' });
    assert.equal(questions.length, 21);
    const full = Array.from({ length: 101 }, (_, at) => (at < 50 ? 'd' : 'c'));
    assert.deepEqual(await placeOf(full, { head: 'none', branch: 'main' }, asked({ main, none: [] }).isIn), {
      kind: 'beyond',
    });
  });
});

const [M1, M2, M3, M4] = ['1', '2', '3', '4'].map((digit) => digit.repeat(40)) as [
  string,
  string,
  string,
  string,
];
const OTHER: Computes = { shift: 1, nats: -0.5 };
/** What main merged in M3: it brings other bits. */
const MERGED = SUITE.replace('{ name: vllm }', '{ name: vllm, args: { dtype: float32 } }');

/** A default branch that had a baseline at M1, and accepted other bits in M3. */
async function accepted(): Promise<Job> {
  const job = new Job();
  job.main = [M1, M2, M3, M4];
  await job.refreshed(undefined, { commit: M1, reason: 'first one' });
  job.suite = MERGED;
  await job.refreshed(() => OTHER, { commit: M3, reason: 'float32 is meant' });
  return job;
}

/** A check of that commit, with what it has of the suite. */
async function checked(job: Job, commit: string, computes: Computes, more: Partial<Situation> = {}) {
  job.suite = job.main.indexOf(commit) < 2 ? SUITE : MERGED;
  return await check(
    { ...job.settings('push', { commit, ...more }), ...ASKS.check },
    job.tools({ computes: () => computes }),
  );
}

const keys = ({ store }: Job) => store.saved.map(({ key }) => key);
const told = ({
  context,
}: {
  context: { notices: readonly { title: string; message: string; level: string }[] };
}) => context.notices.map(({ level, title, message }) => `${level} ${title}: ${message}`).join('\n');

describe('a check of a commit that lacks what was accepted', () => {
  test('is held to the baseline that its ancestors had, and says what it lacks', async () => {
    const job = await accepted();
    const report = await checked(job, M2, {});
    assert.deepEqual([report.conclusion, report.verdict], ['reproduced', 'pass']);
    const { baseline } = report.context;
    assert.ok(baseline.kind === 'found');
    assert.deepEqual([baseline.key, baseline.newer], keys(job));
    assert.match(
      told(report),
      /^notice This commit lacks an accepted change: main accepted “float32 is meant” in 3333333 \(\d{4}-\d\d-\d\d, alice\), and this commit lacks it: .* Merge main/,
    );
    assert.equal(job.store.open, 0);
  });

  test('still drifts where it computes neither, and no acceptance is offered that would not outlive the merge', async () => {
    const job = await accepted();
    const report = await checked(job, M2, { nats: -0.75 });
    assert.deepEqual([report.conclusion, report.verdict], ['drift', 'fail']);
    assert.match(refusalOf(report)?.message ?? '', /lacks a change that was accepted meanwhile/);
  });

  test('is red, measured against nothing, where that baseline is gone, whatever the policy', async () => {
    const job = await accepted();
    job.disk.folders.delete(keys(job)[0] ?? '');
    const lax = (suite: string) => suite.concat('policy: { no-baseline: warn, incomparable: warn }\n');
    job.suite = lax(SUITE);
    const report = await check(
      { ...job.settings('push', { commit: M2 }), ...ASKS.check },
      job.tools({ computes: () => ({}) }),
    );
    assert.deepEqual([report.conclusion, report.verdict], ['no-baseline', 'fail']);
    assert.match(
      told(report),
      /^warning The baseline of this commit is not kept any more: main accepted .* Merge main\./,
    );
    assert.doesNotMatch(told(report), /The baseline was lost/);
    const { baseline } = report.context;
    assert.match(
      baseline.kind === 'absent' ? baseline.explanation.join(' ') : '',
      /is of 3{40}, which .* looked here/,
    );
  });

  test('looks at what is checked out, where that is another commit than the event’s', async () => {
    const job = await accepted();
    job.checkedOut = M2;
    const report = await checked(job, M2, {}, { commit: M4 });
    assert.match(told(report), /lacks an accepted change/);
  });

  test('has the newest where it has its commit, and asks once', async () => {
    const job = await accepted();
    assert.equal((await checked(job, M4, OTHER)).conclusion, 'reproduced');
    assert.equal((await checked(job, M4, {})).conclusion, 'drift');
    assert.deepEqual(job.compared, ['3333 in 4444', '3333 in 4444']);
    assert.equal((await checked(job, M3, OTHER)).conclusion, 'reproduced');
    assert.equal(job.compared.length, 2, 'the very commit needs no question');
  });

  test('has the newest where nothing else was accepted since, or nothing that a commit brings', async () => {
    const job = new Job();
    job.main = [M1, M2, M3, M4];
    await job.refreshed(undefined, { commit: M1 });
    await job.refreshed(undefined, { commit: M3, storeUnchanged: true });
    const same = await checked(job, M2, {});
    assert.deepEqual([same.conclusion, told(same)], ['reproduced', '']);
    job.suite = SUITE;
    await job.refreshed(() => OTHER, { commit: M4, reason: 'a new driver' });
    const driver = await checked(job, M2, OTHER);
    assert.equal(driver.conclusion, 'reproduced', 'the driver is new for old commits too');
    assert.equal(told(driver), '');
    const drift = await checked(job, M2, {});
    assert.equal(drift.conclusion, 'drift');
    assert.match(told(drift), /The baseline is of a later commit: It is of “a new driver” in 4444444/);
  });

  test('older than the first baseline is held to that, and a drift says that it is younger', async () => {
    const job = new Job();
    job.main = [M1, M2, M3, M4];
    await job.refreshed(undefined, { commit: M3 });
    assert.equal(told(await checked(job, M1, {})), '');
    const drift = await checked(job, M1, OTHER);
    assert.equal(drift.conclusion, 'drift');
    assert.match(told(drift), /^notice The baseline is of a later commit: .* in 3333333 /);
  });

  test('on a branch that was written anew, or of which GitHub does not tell, is held to the newest', async () => {
    const job = await accepted();
    job.main = [M1, M2];
    const anew = await checked(job, M2, {});
    assert.equal(anew.conclusion, 'drift');
    assert.match(
      told(anew),
      /^warning Whether this commit has every accepted change is unknown: main does not have .* 3{40} any more/,
    );
    job.history = { kind: 'unknown', why: '404: Not Found' };
    assert.match(
      told(await checked(job, M2, {})),
      /GitHub does not tell whether it has 3{40} \(404: Not Found\)/,
    );
    assert.equal(told(await checked(job, M2, OTHER)), '', 'what reproduces the newest lacks nothing');
  });

  test('ends in an error where GitHub is down', async () => {
    const job = await accepted();
    const outage = new UserError('github-unavailable', 'GitHub did not answer.', '');
    job.history = outage;
    assert.equal(await rejectedBy(checked(job, M2, {})), outage);
    assert.deepEqual([job.engine.running, job.store.open], [0, 0]);
  });

  test('refuses an older baseline that is not what the newest has replaced', async () => {
    const job = await accepted();
    const [older = ''] = keys(job);
    const { meta = '', ...rest } = job.disk.folders.get(older) ?? {};
    const forged = { ...parseMeta(meta.toString()), yardstick: [{ id: 'x', what: 'x', rmsNats: 1 }] };
    job.disk.folders.set(older, { ...rest, meta: Buffer.from(JSON.stringify(forged)) });
    const error = await rejectedBy(checked(job, M2, {}));
    assert.equal(error.code, 'baseline-invalid');
    assert.match(error.message, /is not the one that the newest, .*, says it has replaced/);
  });

  test('asks nobody on a terminal, or about files of the checkout', async () => {
    const job = await accepted();
    job.history = new Error('GitHub was asked');
    assert.equal((await checked(job, M2, OTHER, { door: 'terminal' })).conclusion, 'reproduced');
    job.suite = SUITE.concat('baseline: { store: files }\n');
    const report = await check(
      { ...job.settings('push', { commit: M2 }), ...ASKS.check },
      job.tools({ computes: () => OTHER }),
    );
    assert.equal(report.conclusion, 'reproduced');
  });
});

describe('a branch that keeps baselines of its own', () => {
  const [R1, R2] = ['a', 'b'].map((digit) => digit.repeat(40)) as [string, string];
  const OWN = SUITE.concat('baseline: { branches: [release/*] }\n');
  const REF = 'refs/heads/release/1';

  /** Left main after M1, which main's newest baseline does not know. */
  async function released(): Promise<Job> {
    const job = await accepted();
    for (const commit of [R1, R2]) job.elsewhere.set(commit, [M1, R1, R2]);
    job.base.set('suite.yml', OWN);
    job.suite = OWN;
    return job;
  }

  test('begins with what it has of main’s, and replaces nobody’s newer one unseen', async () => {
    const job = await released();
    const [first = '', newest = ''] = keys(job);
    await job.refreshed(undefined, { ref: REF, commit: R1, storeUnchanged: true });
    assert.deepEqual(job.trusting, [REF]);
    const [, , own] = job.store.saved;
    assert.equal(own?.replaces, newest);
    const { chain, provenance } = parseMeta(job.disk.folders.get(own?.key ?? '')?.meta ?? '');
    assert.deepEqual([provenance.ref, chain.map(({ key }) => key)], [REF, [first]]);
  });

  test('has no drift of what main accepted, before its first one', async () => {
    const job = await released();
    const change = {
      ...job.settings('pull_request', { base: REF, ref: 'refs/pull/7/merge', commit: R2 }),
      ...ASKS.check,
    };
    const report = await check(change, job.tools());
    assert.equal(report.conclusion, 'reproduced');
    assert.match(
      told(report),
      /^notice The baseline is another branch’s: release\/1 has no baseline of its own, and the newest of main is of “float32 is meant” in 3333333/,
    );
    assert.equal(report.context.baseline.kind === 'found' && report.context.baseline.newer, undefined);
    job.disk.folders.delete(keys(job)[0] ?? '');
    const gone = await check(change, job.tools());
    assert.deepEqual([gone.conclusion, gone.verdict], ['no-baseline', 'fail']);
    assert.match(told(gone), /^warning The branch has no baseline: .* Refresh the baseline on release\/1;/);
  });
});

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { execa } from 'execa';
import type { BaselineMeta } from '../../src/baseline/port.ts';
import { type ActRepository, actRepository, FORKED, type JobResult } from '../e2e/support/act.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { ANYWHERE, copied, type SuiteOptions, suite, writeTinyModel } from '../e2e/support/suites.ts';
import type { Put } from '../support/cache-server.ts';
import { SHAS } from '../support/events.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/*
 * The example workflows, on a runner whose engine does as it is told: each at what only it decides. What a step makes of
 * baselines and acceptances is in trust.test.ts and acceptance.test.ts.
 */

const OTHER = -0.5;
const DIES_ON_L4 = 'import os\nif os.environ.get("LC_LEVEL") == "l4": os.abort()';

const cached = (options: SuiteOptions = {}): string =>
  suite({ ...options, baseline: { store: 'cache', ...options.baseline } });

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

interface Way extends AsyncDisposable {
  readonly repo: ActRepository;
}

async function way(options: SuiteOptions = {}): Promise<Way> {
  await using owned = new AsyncDisposableStack();
  const { path: folder } = owned.use(await temporaryFolder());
  const repo = owned.use(await actRepository({ folder, action: action.path }));
  await writeTinyModel(join(folder, 'repository/model'));
  await repo.write('determinism.yml', cached(options));
  await repo.merge();
  const kept = owned.move();
  return { repo, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** What a job concluded, and whether it was green. */
const told = ({ outputs, succeeded }: JobResult) =>
  `${outputs['conclusion']}${outputs['accepted'] === 'true' ? ' (accepted)' : ''}, ${succeeded ? 'green' : 'red'}`;

async function metaOf({ record }: JobResult): Promise<BaselineMeta> {
  return JSON.parse(await readFile(join(record, 'baseline.json'), 'utf8'));
}

/** What refresh.yml stored. */
let seed: Put | undefined;

test('trust has a name, a reason and a run behind it: from the first refresh to the accepted drift', {
  timeout: 10 * 60_000,
}, async (t) => {
  await using made = await way();
  const { repo } = made;
  const change = async (options: SuiteOptions) => {
    await repo.write('determinism.yml', cached(options));
    return await repo.pullRequest(t.signal);
  };
  const says = (job: JobResult, pattern: RegExp) => assert.match(job.log.join('\n'), pattern);

  const first = await repo.onMain('workflow_dispatch', 'refresh.yml', {
    ...{ inputs: { reason: 'vLLM 0.30' }, signal: t.signal },
  });
  assert.equal(told(first), 'reproduced, green', first.log.join('\n'));
  const { provenance } = await metaOf(first);
  assert.deepEqual(
    [provenance.actor, provenance.reason, provenance.event, provenance.ref, provenance.runId],
    ['octocat', 'vLLM 0.30', 'workflow_dispatch', 'refs/heads/main', first.runId],
  );
  [seed] = repo.cache.entries;

  const drifted = await change({ args: { logprob: OTHER } });
  assert.equal(told(drifted), 'drift, red', drifted.log.join('\n'));
  says(drifted, /refreshed by octocat for “vLLM 0\.30” \(run \d+, commit [0-9a-f]{12}\)/);
  says(drifted, /Its place is proven: /);
  const accept = copied(drifted.log.join('\n'));

  await repo.write('determinism.yml', cached({ args: { logprob: OTHER }, accept }));
  await repo.merge();
  const stored = await repo.onMain('push', 'accept.yml', { signal: t.signal });
  assert.equal(told(stored), 'drift (accepted), green', stored.log.join('\n'));
  const now = await metaOf(stored);
  assert.equal(now.provenance.reason, 'why these bits are meant');
  assert.equal(now.provenance.pullRequest, 7);
  assert.deepEqual(
    now.chain.map(({ record }) => record),
    [(await metaOf(first)).record],
  );

  const again = await change({ args: { logprob: OTHER } });
  assert.equal(told(again), 'reproduced, green', again.log.join('\n'));
  says(again, /pull request #7/);

  const warm = await repo.onMain('schedule', 'keep-warm.yml', { signal: t.signal });
  assert.equal(warm.succeeded, true, warm.log.join('\n'));
  says(
    warm,
    /2 baselines, newest first\n\* .*“why these bits are meant” \(push, pull request #7.*\n.*\n {2}.*“vLLM 0\.30”/,
  );
  const { stdout } = await execa(process.execPath, [
    ...[join(action.path, 'dist/cli.js'), 'log'],
    ...['--baseline-path', `${again.record}.baseline`],
  ]);
  assert.match(stdout, /2 baselines, newest first/);
});

test('three legs: a baseline for each hardware class, one comment, one page', {
  timeout: 10 * 60_000,
}, async (t) => {
  await using made = await way(ANYWHERE);
  const { repo } = made;
  const { comments } = repo.github;
  const legsOf = (jobs: ReadonlyMap<string, JobResult>) =>
    [...jobs].filter(([name]) => / on (l4|a100|h100)/.test(name)).map(([, job]) => job);
  const check = async (options: SuiteOptions, flags: readonly string[] = []) => {
    await repo.write('determinism.yml', cached({ ...ANYWHERE, ...options }));
    const { jobs } = await repo.pullRequestJobs(t.signal, 'matrix.yml', flags);
    const report = jobs.get('Same model, same bits');
    assert.ok(report !== undefined, [...jobs.keys()].join(', '));
    return { legs: legsOf(jobs), report };
  };

  const { jobs } = await repo.onMainJobs('workflow_dispatch', 'matrix.yml', {
    ...{ inputs: { reason: 'first on all' }, signal: t.signal },
  });
  assert.deepEqual(legsOf(jobs).map(told), Array(3).fill('reproduced, green'), [...jobs.keys()].join(', '));
  assert.equal(new Set(legsOf(jobs).map(({ outputs }) => outputs['hardware-class'])).size, 3);
  const stored = jobs.get('All new baselines, or none');
  assert.match(stored?.log.join('\n') ?? '', /Stored 3 baselines of 3 refreshes, for “first on all”/);
  const keys = repo.cache.entries.map(({ key }) => key);
  assert.equal(new Set(keys.map((key) => key.split('/')[2])).size, 3);

  const { legs, report } = await check({ args: { logprob: OTHER } });
  assert.deepEqual(legs.map(told), Array(3).fill('drift, red'));
  assert.equal(told(report), 'drift, red', report.log.join('\n'));
  assert.equal(comments.length, 1, 'one for all of them');
  const [comment] = comments;
  assert.equal(comment?.pullRequest, 7);
  const page = await readFile(report.outputs['html-path'] ?? '', 'utf8');
  for (const { outputs } of legs) {
    const hardwareClass = outputs['hardware-class'] ?? '?';
    assert.ok(comment?.body.includes(hardwareClass), 'the comment names each class');
    assert.ok(page.includes(hardwareClass), 'the page too');
    assert.ok(report.summary.replaceAll('&#45;', '-').includes(hardwareClass), 'and the summary');
  }
  assert.match(comment?.body ?? '', /Drift: 3 of 3 legs, all beside the same change: logprob changed/);
  assert.match(comment?.body ?? '', /gh workflow run "Determinism on every GPU" -f reason=/);
  assert.deepEqual(
    legs.flatMap(({ annotations }) => annotations.filter(({ title = '' }) => title.startsWith('No '))),
    [],
    'no leg asks for a right that only the last job has',
  );

  const well = await check({});
  assert.deepEqual(well.legs.map(told), Array(3).fill('reproduced, green'), well.report.log.join('\n'));
  assert.equal(told(well.report), 'reproduced, green', well.report.log.join('\n'));
  assert.equal(comments.length, 1);
  assert.match(comments[0]?.body ?? '', /[Rr]esolved/);

  // An engine that dies leaves no report: another one must not stand for it.
  const two = ['--matrix', 'gpu:l4', '--matrix', 'gpu:h100'];
  const died = await check({ args: { on_load: DIES_ON_L4 } }, two);
  assert.equal(died.report.succeeded, false, died.report.log.join('\n'));
  const said = died.report.annotations.map(({ message }) => message).join('\n');
  assert.match(said, /holds 1 of 3 reports/, died.report.log.join('\n'));

  // Of a fleet, whose list is given as it is started, legs may be missing.
  await repo.merge();
  const fleet = await repo.onMainJobs('workflow_dispatch', 'fleet.yml', {
    ...{ signal: t.signal, inputs: { gpus: '["l4", "a100", "h100"]', 'at-least': '2' } },
  });
  assert.equal(fleet.jobs.size, 4, [...fleet.jobs.keys()].join(', '));
  const merged = fleet.jobs.get('Who computed the same');
  assert.ok(merged !== undefined, [...fleet.jobs.keys()].join(', '));
  assert.equal(told(merged), 'reproduced, green', merged.log.join('\n'));
  assert.match(merged.log.join('\n'), /of 2 legs all computed the same bits/);
});

test('a fork’s pair: the one without rights measures, the one with rights posts, whatever the report claims', {
  timeout: 10 * 60_000,
}, async (t) => {
  await using made = await way();
  const { repo } = made;
  const { comments, checkRuns } = repo.github;
  assert.ok(seed !== undefined, 'the first test stored it');
  repo.cache.put(seed);
  await repo.write('determinism.yml', cached({ args: { logprob: OTHER } }));
  const measured = await repo.pullRequest(t.signal, 'fork-check.yml');
  assert.equal(told(measured), 'drift, red', measured.log.join('\n'));
  assert.deepEqual([comments.length, checkRuns.length], [0, 0]);

  const posted = await repo.afterRun(measured.runId, 'fork-report.yml', { signal: t.signal });
  assert.equal(posted.succeeded, true, posted.log.join('\n'));
  assert.deepEqual(
    comments.map(({ pullRequest }) => pullRequest),
    [FORKED.number],
    posted.log.join('\n'),
  );
  assert.match(comments[0]?.body ?? '', /Drift/);
  const [run] = checkRuns;
  // A stranger's job is not believed: no green, no red, and nothing that a required check takes for green.
  assert.deepEqual([run?.headSha, run?.conclusion], [SHAS.head, 'action_required']);
  assert.match(comments[0]?.body ?? '', /not verified/);
  assert.ok(run?.detailsUrl?.endsWith(`/actions/runs/${measured.runId}/attempts/1`), 'the run that measured');
});

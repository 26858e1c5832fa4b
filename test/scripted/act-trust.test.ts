import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { execa } from 'execa';
import { parse } from 'yaml';
import type { BaselineMeta } from '../../src/baseline/port.ts';
import { type ActRepository, actRepository, FORKED, type JobResult } from '../e2e/support/act.ts';
import { builtAction } from '../e2e/support/action.ts';
import { onImport, type SuiteOptions, suite, writeTinyModel } from '../e2e/support/suites.ts';
import { SHAS } from '../support/events.ts';
import { temporaryFolder } from '../support/runtimes.ts';

const [OTHER, THIRD] = [-0.5, -0.75] as const;

/** On hardware that a variable of the machine names, so that one machine can be several. */
const ELSEWHERE = `import os
import deterministic_ml.harness.fingerprint as facts
if os.environ.get("LC_LEVEL"): facts.cpu_level = lambda *_: os.environ["LC_LEVEL"]`;

const cached = (options: SuiteOptions = {}): string =>
  suite({ env: onImport(ELSEWHERE), baseline: { store: 'cache', lifetimes: 2 }, ...options });

interface Way extends AsyncDisposable {
  readonly repo: ActRepository;
  readonly folder: string;
  readonly action: string;
}

/** The example workflows on a runner whose engine does as it is told. */
async function way(): Promise<Way> {
  await using owned = new AsyncDisposableStack();
  const { path: folder } = owned.use(await temporaryFolder());
  const action = owned.use(await builtAction('scripted'));
  const repo = owned.use(await actRepository({ folder, action: action.path }));
  await writeTinyModel(join(folder, 'repository/model'));
  await repo.write('determinism.yml', cached());
  await repo.merge();
  const kept = owned.move();
  return { repo, folder, action: action.path, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

const refresh = (repo: ActRepository, reason: string, signal: AbortSignal, flags: readonly string[] = []) =>
  repo.onMain('workflow_dispatch', 'refresh.yml', { inputs: { reason }, signal, flags });

/** One dispatch for all legs of the matrix. */
const refreshAll = (repo: ActRepository, signal: AbortSignal) =>
  repo.onMainJobs('workflow_dispatch', 'matrix.yml', { inputs: { reason: 'first on all' }, signal });

/** What a job concluded, and whether it was green. */
const told = ({ outputs, succeeded }: JobResult) =>
  `${outputs['conclusion']}${outputs['accepted'] === 'true' ? ' (accepted)' : ''}, ${succeeded ? 'green' : 'red'}`;

async function metaOf({ record }: JobResult): Promise<BaselineMeta> {
  return JSON.parse(await readFile(join(record, 'baseline.json'), 'utf8'));
}

/** The lines that a drift's report ends with. */
function copied({ log }: JobResult): NonNullable<SuiteOptions['accept']> {
  const from = log.indexOf('accept:');
  const to = log.indexOf('Or, once it is merged:');
  assert.ok(from >= 0 && to > from, log.join('\n'));
  return parse(log.slice(from, to).join('\n')).accept;
}

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

  const none = await change({});
  assert.equal(told(none), 'no-baseline, red', none.log.join('\n'));
  const [error] = none.annotations;
  assert.equal(error?.file, 'determinism.yml');
  assert.match(error?.message ?? '', /Run the refresh workflow on the default branch/);
  says(none, /there is none that this action wrote/);

  const first = await refresh(repo, 'vLLM 0.30', t.signal);
  assert.equal(told(first), 'reproduced, green', first.log.join('\n'));
  const { provenance } = await metaOf(first);
  assert.deepEqual(
    [provenance.actor, provenance.reason, provenance.event, provenance.ref, provenance.runId],
    ['octocat', 'vLLM 0.30', 'workflow_dispatch', 'refs/heads/main', first.runId],
  );

  const same = await change({});
  assert.equal(told(same), 'reproduced, green', same.log.join('\n'));
  says(same, /refreshed by octocat for “vLLM 0\.30” \(run \d+, commit [0-9a-f]{12}\)/);
  says(same, /Its place is proven: /);

  const drifted = await change({ args: { logprob: OTHER } });
  assert.equal(told(drifted), 'drift, red', drifted.log.join('\n'));
  const accept = copied(drifted);

  const accepted = await change({ args: { logprob: OTHER }, accept });
  assert.equal(told(accepted), 'drift (accepted), green', accepted.log.join('\n'));
  const more = await change({ args: { logprob: THIRD }, accept });
  assert.equal(told(more), 'drift, red', more.log.join('\n'));

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
    ...[join(made.action, 'dist/cli.js'), 'log'],
    ...['--baseline-path', `${again.record}.baseline`],
  ]);
  assert.match(stdout, /2 baselines, newest first/);
});

test('a matrix: each leg has its own hardware class, its own baseline and its own acceptance', {
  timeout: 10 * 60_000,
}, async (t) => {
  await using made = await way();
  const { repo } = made;
  const leg = (gpu: string) => ['--job', 'determinism', '--matrix', `gpu:${gpu}`];
  const { jobs } = await refreshAll(repo, t.signal);
  const named = (words: string) => [...jobs].find(([name]) => name.startsWith(words))?.[1];
  const legs = ['l4', 'h100'].map((gpu) => named(`New baseline on ${gpu}`));
  const [l4, h100] = legs;
  for (const one of legs) assert.equal(one && told(one), 'reproduced, green', one?.log.join('\n'));
  assert.ok(l4 !== undefined && h100 !== undefined);
  assert.notEqual(l4.outputs['hardware-class'], h100.outputs['hardware-class']);
  const stored = named('All new baselines, or none');
  assert.match(stored?.log.join('\n') ?? '', /Stored 3 baselines of 3 refreshes, for “first on all”/);
  const keys = repo.cache.entries.map(({ key }) => key);
  assert.equal(new Set(keys.map((key) => key.split('/')[2])).size, 3);

  const warm = await repo.onMain('schedule', 'keep-warm.yml', { signal: t.signal });
  assert.match(warm.log.join('\n'), /first on all[\s\S]*first on all/);

  const drifted = { args: { logprob: OTHER } };
  await repo.write('determinism.yml', cached(drifted));
  await repo.merge();
  const check = async (gpu: string) => await repo.pullRequest(t.signal, 'matrix.yml', leg(gpu));
  const both = [await check('l4'), await check('h100')] as const;
  assert.deepEqual(both.map(told), ['drift, red', 'drift, red']);
  const accept = both.flatMap(copied);
  assert.equal(new Set(accept.map((line) => line['hardware-class'])).size, 2);
  await repo.write('determinism.yml', cached({ ...drifted, accept }));
  for (const gpu of ['l4', 'h100']) {
    const job = await check(gpu);
    assert.equal(told(job), 'drift (accepted), green', job.log.join('\n'));
    assert.deepEqual(
      job.annotations.filter(({ level }) => level !== 'notice'),
      [],
      'the line of the other leg is not stale here',
    );
  }

  repo.cache.evict(keys.find((key) => key.includes(`/${l4.outputs['hardware-class']}/`)) ?? '');
  const gone = await check('l4');
  // An error stands among the annotations, and not in the log.
  assert.equal(
    told(gone),
    'incomparable, red',
    `${gone.log.join('\n')}\n${JSON.stringify(gone.annotations)}`,
  );
  assert.ok(gone.log.some((line) => line.includes(h100.outputs['hardware-class'] ?? '?')));
});

test('three legs: one comment, one page, each hardware class by itself', {
  timeout: 10 * 60_000,
}, async (t) => {
  await using made = await way();
  const { repo } = made;
  const { comments } = repo.github;
  await refreshAll(repo, t.signal);
  const check = async (options: SuiteOptions) => {
    await repo.write('determinism.yml', cached(options));
    const { jobs } = await repo.pullRequestJobs(t.signal, 'matrix.yml');
    const legs = [...jobs].filter(([name]) => / on (l4|a100|h100)/.test(name)).map(([, job]) => job);
    assert.equal(legs.length, 3, [...jobs.keys()].join(', '));
    const report = jobs.get('Same model, same bits');
    assert.ok(report !== undefined, [...jobs.keys()].join(', '));
    return { legs, report };
  };

  const well = await check({});
  assert.deepEqual(well.legs.map(told), Array(3).fill('reproduced, green'), well.report.log.join('\n'));
  assert.deepEqual(
    [told(well.report), comments.length],
    ['reproduced, green', 0],
    well.report.log.join('\n'),
  );

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

  const again = await check({});
  assert.equal(told(again.report), 'reproduced, green', again.report.log.join('\n'));
  assert.equal(comments.length, 1);
  assert.match(comments[0]?.body ?? '', /[Rr]esolved/);

  // An engine that dies leaves no report: the other two must not stand for it.
  const died = await check({
    env: onImport(`${ELSEWHERE}\nif os.environ.get("LC_LEVEL") == "l4": os.abort()`),
  });
  assert.equal(died.report.succeeded, false, died.report.log.join('\n'));
  const said = died.report.annotations.map(({ message }) => message).join('\n');
  assert.match(said, /holds 2 of 3 reports/, died.report.log.join('\n'));

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
  await refresh(repo, 'first', t.signal);
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

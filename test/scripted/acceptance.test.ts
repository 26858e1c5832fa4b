import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { LogAnswer } from '../../src/report/json.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { stepHere } from '../e2e/support/here.ts';
import { verified } from '../e2e/support/looked-at.ts';
import { reportOf } from '../e2e/support/reports.ts';
import { type Runner, runStep, type StepOptions } from '../e2e/support/spawn.ts';
import {
  alternating,
  BASELINES,
  checkout,
  copied,
  StoredOnce,
  type SuiteOptions,
  suite,
} from '../e2e/support/suites.ts';
import { bytesBelow } from '../support/cache-baseline.ts';
import { REPOSITORY, SHAS } from '../support/events.ts';
import { type GitHubServer, startGitHubServer } from '../support/github-server.ts';

let action: Action;
let github: GitHubServer;
before(async () => {
  action = await builtAction('scripted');
  // Knows of no pull request.
  github = await startGitHubServer({ repository: REPOSITORY, token: 'ghs_secret' });
});
after(async () => {
  await baselines[Symbol.asyncDispose]();
  await action[Symbol.asyncDispose]();
  await github[Symbol.asyncDispose]();
});

const PROCESS = { runtime: 'process' } as const;
const [OTHER, THIRD] = [-0.5, -0.75] as const;

interface Asked extends SuiteOptions {
  readonly with?: Readonly<Record<string, string>>;
  readonly event?: StepOptions['event'];
  /** In this process unless told otherwise. */
  readonly by?: typeof runStep;
}

async function run(
  runner: Runner,
  mode: string,
  { with: given = {}, event, by = stepHere, ...options }: Asked,
  { url } = github,
) {
  await runner.write('determinism.yml', suite(options));
  return await by(action, runner, {
    ...(event === undefined ? {} : { event }),
    github: { url, token: 'ghs_secret' },
    with: { ...PROCESS, mode, 'record-path': `../${mode}`, ...given },
  });
}
const check = (runner: Runner, options: Asked = {}) => run(runner, 'check', options);
const refresh = (runner: Runner, options: Asked = {}) =>
  run(runner, 'refresh', {
    event: 'workflow_dispatch',
    ...options,
    with: { ...(options.event === undefined ? { reason: 'first one' } : {}), ...options.with },
  });

const baselines = new StoredOnce(refresh);
const withBaseline = (options?: SuiteOptions) => baselines.checkout(options);

const stored = (runner: Runner) => bytesBelow(join(runner.workspace, BASELINES));
const metaOf = async (runner: Runner): Promise<Record<string, unknown>> => {
  const files = Object.keys(await stored(runner));
  const [path = ''] = files.filter((file) => file.endsWith('baseline.json'));
  return JSON.parse(await readFile(join(runner.workspace, BASELINES, path), 'utf8'));
};

describe('a drift that is meant', () => {
  test('is accepted by the lines of its own report, passes as that record alone, and a push stores it', async () => {
    await using runner = await withBaseline();
    const drifted = await check(runner, { args: { logprob: OTHER }, by: runStep });
    assert.equal(drifted.exitCode, 1, drifted.log);
    assert.match(drifted.log, /gh workflow run determinism -f reason="/);
    const accept = copied(drifted.log);
    assert.deepEqual(accept, [
      {
        record: drifted.outputs['record-digest'],
        'hardware-class': drifted.outputs['hardware-class'],
        reason: 'why these bits are meant',
      },
    ]);

    const before = await stored(runner);
    const accepted = await check(runner, { args: { logprob: OTHER }, accept, confirm: 2 });
    const report = await reportOf(accepted);
    assert.equal(accepted.exitCode, 0, accepted.log);
    assert.equal(report.conclusion, 'drift');
    assert.equal(accepted.outputs['accepted'], 'true');
    assert.match(accepted.log, /\nDrift \(accepted\): 1 of 1 prompts/);
    assert.match(accepted.log, /exactly this record, for “why these bits are meant”/);
    assert.equal(report.work.lifetimes, 1, 'what was confirmed before is not confirmed again');
    assert.deepEqual(
      accepted.commands.filter(({ command }) => command === 'error'),
      [],
    );

    const more = await check(runner, { args: { logprob: THIRD }, accept });
    assert.equal(more.exitCode, 1, more.log);
    assert.equal(more.outputs['accepted'], 'false');
    assert.match(more.log, /Stale acceptance\. Nothing here gives the accepted record/);
    const red = await refresh(runner, { event: 'push', args: { logprob: THIRD }, accept });
    assert.equal(red.exitCode, 1, red.log);
    assert.match(red.log, /the suite accepts no such record/);
    assert.deepEqual(await stored(runner), before, 'the old baseline is untouched');

    const pushed = await refresh(runner, { event: 'push', args: { logprob: OTHER }, accept, by: runStep });
    assert.equal(pushed.exitCode, 0, pushed.log);
    assert.match(pushed.log, /\nDrift \(accepted\): .*, baseline stored\n/);
    const { provenance, chain } = (await metaOf(runner)) as {
      provenance: { reason: string; event: string };
      chain: { provenance: { reason: string } }[];
    };
    assert.equal(provenance.reason, 'why these bits are meant');
    assert.equal(provenance.event, 'push');
    assert.deepEqual(
      chain.map((link) => link.provenance.reason),
      ['first one'],
    );

    const now = await check(runner, { args: { logprob: OTHER }, accept });
    assert.equal(now.outputs['conclusion'], 'reproduced', now.log);
    assert.match(now.log, /Acceptance has done its work/);
    const log = await runStep(action, runner, { with: { mode: 'log' } });
    assert.equal(log.exitCode, 0, log.log);
    assert.match(
      log.log,
      /2 baselines, newest first\n\* .*“why these bits are meant” \(push.*\n.*\n {2}.*“first one”/,
    );
    assert.match(log.summary, /1\. .*why these bits are meant.*\n2\. .*first one/);
  });

  test('is confirmed by one engine start, where the pull request’s own run lies there and GitHub knows it', async () => {
    const changed = { args: { logprob: OTHER }, lifetimes: 2, confirm: 1 };
    await using runner = await withBaseline({ lifetimes: 2 });
    const drifted = await check(runner, changed);
    const accept = copied(drifted.log);
    const [commit, head] = [SHAS.commit, SHAS.head];
    await using known = await startGitHubServer({
      ...{ repository: REPOSITORY, token: 'ghs_secret' },
      pulls: { [commit]: [{ number: 7, merged_at: '2026-11-23T00:00:00Z', merge_commit_sha: commit }] },
      runs: { [runner.runId]: { event: 'pull_request', head_sha: head, from: 1 } },
      commits: { 7: [head] },
    });
    const promote = async (options: Asked = {}) =>
      await run(
        runner,
        'refresh',
        {
          ...{ event: 'push', ...changed, accept, ...options },
          with: { promote: '..', 'dry-run': 'true', ...options.with },
        },
        known,
      );
    const other = await promote({ args: { logprob: OTHER, dtype: 'float32' } });
    assert.match(
      other.log,
      /does not count: `engine\.requested\.dtype` was \(absent\) there, and is float32 here/,
    );
    assert.equal((await reportOf(other)).work.lifetimes, 2, other.log);
    const pushed = await promote({ with: { 'dry-run': 'false' } });
    assert.equal(pushed.exitCode, 0, pushed.log);
    assert.match(pushed.log, /refresh\.report\.json does not count: it is no check/);
    const report = await reportOf(pushed);
    assert.equal(report.work.lifetimes, 1);
    assert.match(
      pushed.log,
      /1 engine start here gave, bit for bit, what 2 starts of pull request #7 had given/,
    );
    const { beforeMerge, envelope } = (await metaOf(runner)) as {
      beforeMerge: { lifetimes: number }[];
      envelope: { lifetimes: number };
    };
    assert.deepEqual([envelope.lifetimes, beforeMerge.map(({ lifetimes }) => lifetimes)], [1, [2]]);
    const { agrees, lines } = await verified(pushed.outputs['report-path'] ?? '');
    assert.ok(agrees, lines.join('\n'));
  });

  test('with other tokens too: force and score are given the same ones at the check and at the push', async () => {
    const twice = { lifetimes: 2 };
    await using runner = await withBaseline(twice);
    const changed = { ...twice, args: { shift: 1, text: 'other words' } };
    const drifted = await check(runner, changed);
    assert.match(drifted.log, /other tokens.*\[hash of the text: differs\]/);
    const accept = copied(drifted.log);
    const pushed = await refresh(runner, { event: 'push', ...changed, accept });
    assert.equal(pushed.exitCode, 0, pushed.log);
    assert.equal((await check(runner, { ...changed, accept })).outputs['conclusion'], 'reproduced');
  });

  test('at depth `score`, beside a prompt that is new: each engine start asks the same', async () => {
    const shallow = { depth: 'score', lifetimes: 2 } as const;
    await using runner = await withBaseline(shallow);
    const changed = {
      ...shallow,
      args: { logprob: OTHER },
      prompts: [
        { id: 'one', text: 'The capital of France is' },
        { id: 'two', text: 'The capital of Spain is' },
      ],
    };
    const accept = copied((await check(runner, changed)).log);
    assert.equal((await check(runner, { ...changed, accept })).outputs['accepted'], 'true');
    const pushed = await refresh(runner, { event: 'push', ...changed, accept });
    assert.equal(pushed.exitCode, 0, pushed.log);
    assert.equal(pushed.outputs['record-digest'], accept[0]?.['record']);
    assert.equal((await check(runner, { ...changed, accept })).outputs['conclusion'], 'reproduced');
  });

  test('is not stored by a push whose engine does not repeat, though one of its outcomes is accepted', async () => {
    const loose = { relations: ['rerun', { name: 'restart', require: 'measure' }, 'baseline'], lifetimes: 2 };
    await using runner = await withBaseline(loose);
    const before = await stored(runner);
    const accept = copied((await check(runner, { ...loose, lifetimes: 1, args: { logprob: OTHER } })).log);
    const turns = alternating(runner, [-0.25, OTHER]);
    const pushed = await refresh(runner, { event: 'push', ...loose, ...turns, accept });
    assert.equal(pushed.exitCode, 1, pushed.log);
    assert.deepEqual(await stored(runner), before);
  });

  test('does not pass where something else is broken, which then names the run', async () => {
    await using runner = await withBaseline();
    const accept = copied((await check(runner, { args: { logprob: OTHER } })).log);
    const broken = {
      args: { logprob: OTHER, on_pass: 'witness["requests"] = None' },
      relations: ['rerun', 'baseline', { name: 'batch', require: 'identical' }],
    };
    const outcome = await check(runner, { ...broken, accept });
    assert.equal(outcome.exitCode, 1, outcome.log);
    assert.equal(outcome.outputs['conclusion'], 'unmeasured');
    assert.equal(outcome.outputs['accepted'], 'false');
    assert.doesNotMatch(outcome.log, /Drift \(accepted\)/);
  });

  test('cannot be accepted where the suite lets bits move: the record may never come again', async () => {
    const loose = { relations: ['rerun', { name: 'baseline', require: 'tokens' }] };
    await using runner = await withBaseline(loose);
    const outcome = await check(runner, { ...loose, args: { shift: 1 } });
    assert.equal(outcome.outputs['conclusion'], 'drift', outcome.log);
    assert.match(
      outcome.log,
      /No single record can be accepted: .*Once the change is merged:\ngh workflow run/,
    );
    assert.doesNotMatch(outcome.log, /\naccept:\n/);
  });

  test('cannot be accepted where the engine does not repeat', async () => {
    await using runner = await withBaseline();
    const turns = { ...alternating(runner, [OTHER, THIRD]), confirm: 2 };
    const outcome = await check(runner, turns);
    assert.equal(outcome.outputs['conclusion'], 'unstable', outcome.log);
    assert.doesNotMatch(outcome.log, /\naccept:\n/);
  });

  test('of another hardware class is not told as stale here', async () => {
    await using runner = await withBaseline();
    const accept = [
      { record: 'ab'.repeat(32), 'hardware-class': 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1', reason: 'H100' },
    ];
    const outcome = await check(runner, { accept });
    assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
    assert.doesNotMatch(outcome.log, /Stale acceptance/);
  });
});

describe('a refresh', () => {
  test('shows what the old baseline knew otherwise before it stores', async () => {
    await using runner = await withBaseline();
    const outcome = await refresh(runner, { args: { logprob: OTHER } });
    assert.equal(outcome.exitCode, 0, outcome.log);
    const [shown, storing] = [/baseline: measured; 1 of 1 prompts/, /::group::Store/].map((what) =>
      outcome.log.search(what),
    ) as [number, number];
    assert.ok(shown > 0 && storing > shown, outcome.log);
    assert.match(outcome.log, /same tokens, other log-probability bits[\s\S]*largest difference 0\.250 nats/);
    assert.match(outcome.log, /It replaces deterministic-ml-v1\/hostile\//);
  });

  test('that changes nothing says so and stores nothing, unless asked', async () => {
    await using runner = await withBaseline();
    const before = await stored(runner);
    const again = await refresh(runner, { with: { reason: 'once more' } });
    assert.equal(again.exitCode, 0, again.log);
    assert.match(
      again.log,
      /Nothing that can be compared changed, and nothing was stored: the baseline .* for “first one”/,
    );
    assert.match(again.log, /, baseline unchanged\n/);
    assert.deepEqual(await stored(runner), before);

    const kept = await refresh(runner, { with: { reason: 'keep warm', 'store-unchanged': 'true' } });
    assert.equal(kept.exitCode, 0, kept.log);
    assert.equal(((await metaOf(runner))['provenance'] as { reason: string }).reason, 'keep warm');
  });

  test('as a dry run shows and stores nothing', async () => {
    await using runner = await checkout();
    const outcome = await refresh(runner, { with: { 'dry-run': 'true' } });
    assert.equal(outcome.exitCode, 0, outcome.log);
    assert.match(
      outcome.log,
      /Nothing was stored, since `dry-run` was asked for\. It would be deterministic-ml-v1\//,
    );
    await assert.rejects(stored(runner), { code: 'ENOENT' });
  });

  test('on a schedule keeps what did not change, and is red at what did', async () => {
    await using runner = await withBaseline();
    const before = await stored(runner);
    const warm = await refresh(runner, { event: 'schedule', with: { 'store-unchanged': 'true' } });
    assert.equal(warm.exitCode, 0, warm.log);
    assert.notDeepEqual(await stored(runner), before);
    assert.equal(((await metaOf(runner))['provenance'] as { reason: string }).reason, 'first one');

    const after = await stored(runner);
    const changed = await refresh(runner, { event: 'schedule', args: { logprob: OTHER } });
    assert.equal(changed.exitCode, 1, changed.log);
    assert.equal(changed.outputs['conclusion'], 'drift');
    assert.match(changed.log, /a schedule may only store what did not change/);
    assert.deepEqual(await stored(runner), after);
  });

  test('by a push or a schedule makes no first baseline that nobody asked for', async () => {
    for (const event of ['push', 'schedule']) {
      await using runner = await checkout();
      const outcome = await refresh(runner, { event });
      assert.equal(outcome.exitCode, 1, outcome.log);
      assert.equal(outcome.outputs['conclusion'], 'no-baseline');
      await assert.rejects(stored(runner), { code: 'ENOENT' });
    }
  });

  test('keeps the known tokens of a prompt, and gives a new one its own', async () => {
    await using runner = await withBaseline();
    const prompts = [
      { id: 'one', text: 'The capital of France is' },
      { id: 'two', text: 'The capital of Spain is' },
    ];
    const outcome = await refresh(runner, { prompts, with: { reason: 'one more' } });
    assert.equal(outcome.exitCode, 0, outcome.log);
    const record = JSON.parse(
      await readFile(join(outcome.outputs['record-path'] ?? '', 'record.json'), 'utf8'),
    ) as { known: { prompt: string; count: number }[] };
    assert.deepEqual(
      record.known.map(({ prompt, count }) => ({ prompt, count })),
      [
        { prompt: 'one', count: 4 },
        { prompt: 'two', count: 4 },
      ],
    );
    assert.equal((await check(runner, { prompts })).outputs['conclusion'], 'reproduced');
  });
});

describe('the log', () => {
  test('on a terminal, of the store and of the copy that a check leaves', async () => {
    await using runner = await withBaseline();
    const checked = await check(runner);
    const cli = (...words: string[]) =>
      execa(process.execPath, [join(action.path, 'dist/cli.js'), 'log', ...words], {
        cwd: runner.workspace,
        reject: false,
        extendEnv: false,
        env: { HOME: runner.home, PATH: '/usr/bin:/bin' },
      });
    const of = await cli('determinism.yml');
    assert.equal(of.exitCode, 0, of.stderr);
    assert.match(of.stdout, /1 baseline, newest first\n\* .*by octocat for “first one”/);
    const copy = await cli('--baseline-path', `${checked.outputs['record-path']}.baseline`, '--json');
    assert.equal(copy.exitCode, 0, copy.stderr);
    assert.equal(LogAnswer.parse(JSON.parse(copy.stdout)).histories[0]?.baselines.length, 1);
    const none = await cli('--baseline-path', runner.temp);
    assert.equal(none.exitCode, 2);
    assert.match(none.stderr, /baseline-invalid: .*holds? `baseline\.json`|baseline-invalid/);
  });

  test('of a suite without a baseline is red, since that is what it is for', async () => {
    await using runner = await checkout();
    const outcome = await stepHere(action, runner, { with: { mode: 'log' } });
    assert.equal(outcome.exitCode, 1);
    assert.match(outcome.log, /no baseline of this suite/);
  });
});

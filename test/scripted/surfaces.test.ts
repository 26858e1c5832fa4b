import assert from 'node:assert/strict';
import { readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { markdown } from '../../src/inert.ts';
import { reportDigest } from '../../src/report/make.ts';
import type { Report } from '../../src/report/schema.ts';
import { annotations } from '../../src/surfaces/annotations.ts';
import { checkRunLadder } from '../../src/surfaces/check-run.ts';
import { commentLadder } from '../../src/surfaces/comment.ts';
import { escaped } from '../../src/surfaces/html/escape.ts';
import type { Annotation } from '../../src/surfaces/surface.ts';
import { tell } from '../../src/tell/tell.ts';
import { driftReport, legs, reproducedReport } from '../browser/support/samples.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault, type Fault } from '../e2e/support/faults.ts';
import { reportOf } from '../e2e/support/reports.ts';
import type { SuiteOptions } from '../e2e/support/suites.ts';
import {
  assertLogActs,
  assertMarkdownInert,
  desk,
  elementsOf,
  FORK,
  gate,
  hostileReport,
  linksOf,
  noticesOf,
  type Showing,
  signed,
  toldBy,
  withEnvironment,
} from '../e2e/support/surfaces.ts';
import {
  assertConcluded,
  type Hosted,
  type HostedOptions,
  hosted,
  type Stepped,
} from '../e2e/support/trust.ts';
import type { Put } from '../support/cache-server.ts';
import { payloadOf, REPOSITORY, SHAS } from '../support/events.ts';
import { fault } from '../support/fault.ts';
import type { CheckRunState, CommentState } from '../support/github-conversation.ts';
import { ALL_RIGHTS } from '../support/github-rules.ts';
import type { GitHubFault, GitHubServer } from '../support/github-server.ts';
import { tried } from '../support/tried.ts';
import { filledReport } from '../unit/support/briefs.ts';
import { HOSTILE } from '../unit/support/hostile.ts';
import { body } from '../unit/support/records.ts';
import { checkReport, finding, relation } from '../unit/support/reports.ts';

/*
 * What people see of a step: its annotations, summary, comment, check run and page, at their limits, with hostile text in
 * them, and when GitHub does not take them. Of each of them some test starts the action as it is built; the tables show
 * reports in their own process.
 */

let action: Action;
/** The baseline of the usual suite, as a refresh on the default branch stored it. */
let seed: Put;

before(async () => {
  action = await builtAction('scripted');
  seed = await baselineOf({});
});
after(() => action[Symbol.asyncDispose]());

async function baselineOf(base: SuiteOptions, reason = 'first one'): Promise<Put> {
  await using repository = await hosted(action, { base });
  const { exitCode, log } = await repository.refresh({ suite: base, with: { reason } });
  const [entry] = repository.cache.entries;
  assert.ok(exitCode === 0 && entry !== undefined, log);
  return { key: entry.key, version: entry.version, archive: entry.archive };
}

/** A repository whose default branch has the baseline, and whose jobs may write all that they want to. */
const repositoryOf = (options: HostedOptions = {}) =>
  hosted(action, { seeds: [seed], permissions: ALL_RIGHTS, ...options });

const DRIFTED: SuiteOptions = { args: { logprob: -0.5 } };
const BOTH = { comment: 'always', 'check-run': 'true', 'record-path': '../record' } as const;
/** Python that finds the scripted engine in its own process. */
const ENGINE =
  'engine = next(one for one in list(sys.modules.values()) if hasattr(one, "MODULES") and hasattr(one, "_token"))';
const BOT = 'github-actions[bot]';
const MIB = 1024 * 1024;

const DRIFT = signed(withShortLines(driftReport()));
const WELL = signed(reproducedReport());
/** A drift with little more to it than what a test puts there. */
const BARE = await checkReport({ capital: body() }, { capital: body({ logprobs: [-0.5, -1.75] }) });
const drifting = (report: Report, findings: Report['relations'][number]['findings']) =>
  signed(report, { relations: [relation('baseline', 'broken', { findings })] });
/** Those whose page is soon drawn. */
const PLAIN = drifting(BARE, [finding('capital')]);
const FINE = signed(await checkReport({ capital: body() }, { capital: body() }));

/** Its charts' lines with as few points as draw one: more would show nothing here, and each page draws them. */
function withShortLines(report: Report): Report {
  const relations = report.relations.map((one) => ({
    ...one,
    findings: one.findings.map((found) => ({
      ...found,
      divergence: found.divergence && {
        ...found.divergence,
        profile: found.divergence.profile?.slice(0, 4) ?? null,
      },
    })),
  }));
  return { ...report, relations };
}

/** Made by the first test that asks for it. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const bytes = (text: string) => Buffer.byteLength(text);
const writes = ({ calls }: GitHubServer) => calls.filter((call) => !call.startsWith('GET'));
function only<T>(all: readonly T[]): T {
  assert.equal(all.length, 1);
  return all[0] as T;
}
/** Of a check: at the pull request's head, never the merge commit. */
function assertCheckRun(run: CheckRunState | undefined, conclusion: string): void {
  assert.deepEqual([run?.headSha, run?.status, run?.conclusion], [SHAS.head, 'completed', conclusion]);
  assert.notEqual(run?.headSha, SHAS.commit);
  assert.match(run?.name ?? '', /^deterministic-ml \/ a \(cpu-.*\)$/);
  assert.match(
    run?.detailsUrl ?? '',
    new RegExp(`^https://github\\.com/${REPOSITORY}/actions/runs/\\d+/attempts/1$`),
  );
}
const commentsOf = ({ comments }: GitHubServer, author = BOT): readonly CommentState[] =>
  comments.filter((one) => one.author === author);

describe('the built action', { concurrency: 8 }, () => {
  // What cannot be written: all else is as it was.
  {
    const drift = (repository: Hosted) => repository.step({ suite: DRIFTED, with: BOTH });
    /** What a check says where all can be written, and what reports say that other jobs left. */
    const usual = once(async () => {
      await using repository = await repositoryOf();
      await using place = await desk(action);
      const [check, show] = await Promise.all([drift(repository), place.showBuilt([PLAIN], { with: BOTH })]);
      assertConcluded(check, 'drift', 'fail', seed.key);
      assertConcluded(show, 'drift', 'fail');
      for (const { comments, checkRuns } of [repository.github, place.github])
        assert.deepEqual([only(comments).author, only(checkRuns).conclusion], [BOT, 'failure']);
      for (const step of [check, show]) assert.deepEqual(noticesOf(step), []);
      const [checked, shown] = [toldBy(check), toldBy(show)];
      assert.equal(checked.annotations.length, 2, 'the prompt and the step');
      return { checked, shown };
    });

    const COMMENT_LINES = /`permissions: \{ pull-requests: write \}`\. Or do without it: `comment: never`/;
    const CHECK_LINES = /`permissions: \{ checks: write \}`\. Or do without it: `check-run: false`/;
    const OFF = [/Or do without it: `comment: never`\.$/, /Or do without it: `check-run: false`\.$/] as const;

    /** All else is as it was, and each surface that is missing is told once. */
    async function assertOnlyTold(
      step: Stepped,
      as: 'checked' | 'shown',
      says: readonly (readonly [string, ...RegExp[]])[],
    ): Promise<void> {
      const { [as]: told } = await usual();
      assert.deepEqual(toldBy(step), told);
      const notices = noticesOf(step);
      assert.deepEqual(
        notices.map(({ properties }) => properties['title']),
        says.map(([title]) => title),
        step.log,
      );
      for (const [index, [, ...patterns]] of says.entries())
        for (const pattern of patterns) assert.match(notices[index]?.data ?? '', pattern);
    }

    const status = (code: number, message: string) => ({ kind: 'status', status: code, message }) as const;

    test('a surface that cannot be written: an outage that lasts, as what is there is read', async () => {
      await using place = await desk(action);
      place.github.faults.push({ at: 'comments', ...status(503, 'busy') });
      const step = await place.show([PLAIN], { with: BOTH });
      await assertOnlyTold(step, 'shown', [['No comment', /503: busy/, /githubstatus/]]);
      only(place.github.checkRuns);
    });

    test('a surface that cannot be written: silence, for half a minute and no longer', async () => {
      await using place = await desk(action);
      place.github.faults.push({ at: 'comments', kind: 'silence' });
      const step = await place.show([PLAIN], { with: BOTH });
      await assertOnlyTold(step, 'shown', [['No comment', /did not answer within 30 s/, /Re-run the job/]]);
      only(place.github.checkRuns);
    });

    type What = GitHubFault extends infer F ? (F extends unknown ? Omit<F, 'at' | 'times'> : never) : never;
    /** What happens to both surfaces as they are posted, and what is then said of each. */
    const failures: Readonly<
      Record<string, readonly [comment: What, check: What, says: RegExp, helps: RegExp]>
    > = {
      '404': [status(404, 'Not Found'), status(404, 'Not Found'), /404: Not Found/, /contents: read/],
      '410': [
        status(410, 'Issues are disabled'),
        status(410, 'Gone'),
        /410: (Issues are disabled|Gone)/,
        /switched that off/,
      ],
      '422 for whatever reason': [
        status(422, 'Validation Failed'),
        status(422, 'Validation Failed'),
        /422: Validation Failed/,
        /please report it/,
      ],
      '422 however short it is': [
        status(422, 'Body is too long (maximum is 65536 characters)'),
        status(422, 'Invalid request.\n\nOnly 65535 characters are allowed; 70000 were supplied.'),
        /422: (Body is too long|Invalid request\. Only 65535)/,
        /please report it/,
      ],
      '500': [status(500, 'on fire'), status(500, 'on fire'), /answered 500: on fire/, /githubstatus/],
      '502, as a page': [
        { kind: 'page', status: 502, html: '<script>x</script><h1>Unicorn!</h1>' },
        { kind: 'page', status: 502, html: '<style>b{}</style><h1>Unicorn!</h1>' },
        /answered 502: Unicorn!,/,
        /Re-run the job/,
      ],
      '503': [status(503, 'busy'), status(503, 'busy'), /answered 503: busy/, /githubstatus/],
      'a connection that is reset': [{ kind: 'reset' }, { kind: 'reset' }, /closed the connection/, /Re-run/],
      'the rate limit of the hour': [
        { kind: 'primary-limit', message: 'API rate limit exceeded for installation ID 1.' },
        { kind: 'primary-limit', message: 'API rate limit exceeded for installation ID 1.' },
        /403: API rate limit exceeded/,
        /Re-run the job/,
      ],
      'a secondary rate limit': [
        { kind: 'secondary-limit', status: 403, retryAfter: 60 },
        { kind: 'secondary-limit', status: 429, retryAfter: 60 },
        /4(03|29): You have exceeded a secondary rate limit/,
        /Re-run the job/,
      ],
      'an answer that wants to act': [
        status(500, '##[error]x\n::error::y \u001b[31m\u202e ghs_that-nobody-may-see'),
        status(403, '##[error]x\n::error::y \u001b[31m\u202e ghs_that-nobody-may-see'),
        /(500|403): ##\\\[error\]x ::error::y \\u\{1b\}\[31m\\u\{202e\} \*\*\*/,
        /Or do without it/,
      ],
    };
    for (const [what, [comment, check, says, helps]] of Object.entries(failures))
      test(`a surface that cannot be written: ${what}`, async () => {
        // A check posts by the same code, and so does the built action: the next tests have them do so.
        await using place = await desk(action);
        const { github } = place;
        github.faults.push({ at: 'create-comment', ...comment }, { at: 'create-check-run', ...check });
        const step = await place.show([PLAIN], { with: BOTH });
        const [comments, checks] = OFF;
        await assertOnlyTold(step, 'shown', [
          ['No comment', says, helps, comments],
          ['No check run', says, helps, checks],
        ]);
        assert.deepEqual([github.comments, github.checkRuns], [[], []]);
        assert.ok(noticesOf(step).every(({ command }) => command === 'warning'));
      });

    const NO_RIGHTS = [
      ['No comment', /403: Resource not accessible by integration/, COMMENT_LINES],
      ['No check run', /403: Resource not accessible by integration/, CHECK_LINES],
    ] as const;
    test('a surface that cannot be written: rights that the workflow does not give', async () => {
      for (const [permissions, says] of [
        [['actions', 'contents'], NO_RIGHTS],
        [['actions', 'contents', 'pull-requests:write', 'checks'], [['No check run', /403/, CHECK_LINES]]],
        [['actions', 'contents', 'pull-requests', 'checks:write'], [['No comment', /403/, COMMENT_LINES]]],
      ] as const) {
        await using place = await desk(action, { permissions });
        await assertOnlyTold(await place.show([PLAIN], { with: BOTH }), 'shown', says);
        const missing: readonly string[] = says.map(([title]) => title);
        assert.equal(place.github.comments.length, missing.includes('No comment') ? 0 : 1);
        assert.equal(place.github.checkRuns.length, missing.includes('No check run') ? 0 : 1);
      }
    });

    test('a surface that cannot be written: rights that the workflow does not give the built action’s check', async () => {
      await using repository = await repositoryOf({ permissions: ['actions', 'contents'] });
      await assertOnlyTold(await drift(repository), 'checked', NO_RIGHTS);
      assert.deepEqual([repository.github.comments, repository.github.checkRuns], [[], []]);
    });

    test('a surface that cannot be written: no token at all', async () => {
      await using place = await desk(action);
      const step = await place.show([PLAIN], { with: { ...BOTH, 'github-token': '' } });
      await assertOnlyTold(step, 'shown', [
        ['No comment', /this run was given no token/, COMMENT_LINES],
        ['No check run', /this run was given no token/, CHECK_LINES],
      ]);
      assert.deepEqual(place.github.calls, []);
    });

    fault(
      'GitHub away as a comment is due',
      'nobody answers where GitHub’s API should be',
      'the verdict stands, and a notice says what could not be shown',
      async () => {
        await using place = await desk(action);
        const step = await place.show([PLAIN], {
          with: { 'record-path': '../record' },
          through: 'http://127.0.0.1:1',
        });
        await assertOnlyTold(step, 'shown', [
          ['No comment', /127\.0\.0\.1:1 refused the connection/, /Re-run the job/],
        ]);
      },
    );

    test('a surface that cannot be written: a conversation that is locked', async () => {
      const pullRequest = { number: 7, headSha: SHAS.head, locked: true };
      await using place = await desk(action, { pullRequests: [pullRequest] });
      const step = await place.show([PLAIN], { with: BOTH });
      await assertOnlyTold(step, 'shown', [
        ['No comment', /403: Unable to create .*locked.*Unlock the conversation/],
      ]);
      assert.doesNotMatch(noticesOf(step)[0]?.data ?? '', /permissions:/);
      only(place.github.checkRuns);
    });

    test('a surface that cannot be written: a fork’s token: nothing is asked, and both workflows that do it are named', async () => {
      await using place = await desk(action, { pullRequests: [FORK] });
      const step = await place.show([PLAIN], { with: BOTH, fork: true });
      await assertOnlyTold(step, 'shown', [
        [
          'Nobody was told beside this run’s page',
          /may not write.*examples\/workflows\/fork-check\.yml.*examples\/workflows\/fork-report\.yml/,
        ],
      ]);
      assert.equal(noticesOf(step)[0]?.command, 'notice');
      assert.deepEqual(place.github.calls, []);
    });

    test('a surface that cannot be written: a short rate limit is waited for, and nothing is missing', async () => {
      await using place = await desk(action);
      const limit = { kind: 'secondary-limit', status: 403, retryAfter: 1, times: 1 } as const;
      place.github.faults.push({ at: 'create-comment', ...limit }, { at: 'check-runs', ...limit });
      await assertOnlyTold(await place.show([PLAIN], { with: BOTH }), 'shown', []);
      only(place.github.comments);
      only(place.github.checkRuns);
    });

    for (const [what, file] of [
      ['that is no file but a folder', '/'],
      ['in a folder that is not there', '/nowhere/at/all'],
      ['that the runner does not name', undefined],
    ] as const)
      test(`a surface that cannot be written: a job summary ${what}: one notice, and everything else`, async () => {
        await using changed = await withEnvironment(action, { GITHUB_STEP_SUMMARY: file });
        await using mine = await desk(changed);
        const { summary, annotations, ...rest } = toldBy(await mine.showBuilt([PLAIN], { with: BOTH }));
        const { shown } = await usual();
        assert.deepEqual(rest, { exitCode: shown.exitCode, outputs: shown.outputs });
        assert.equal(summary, '');
        const told = annotations.filter(({ command }) => command === 'notice');
        assert.match(only(told).data, /^The job summary could not be written: /);
        assert.deepEqual(
          annotations.filter((one) => !told.includes(one)),
          shown.annotations,
        );
        only(mine.github.comments);
        only(mine.github.checkRuns);
      });
  }

  // Many prompts: at most nine errors beside the step's own, and a summary of what fits.
  {
    const COUNT = 20;
    const id = (index: number) => `prompt-${String(index).padStart(2, '0')}`;
    const prompts = Array.from({ length: COUNT }, (_, index) => ({
      id: id(index),
      text: `Question ${index}?`,
    }));
    /** Steps at which the tokens part: not in the order of the suite. */
    const stepOf = (index: number) => 3 - (index % 4);
    const vocabulary = `${ENGINE}
engine.Scripted.vocabulary = lambda self, ids: {token: "@" * 40 for token in ids}`;
    /** Of each prompt the engine chooses another token. */
    const on_load = `${vocabulary}
import re
usual = engine._token
def token(prompt, step):
    found = re.search(r"Question (\\d+)\\?", prompt)
    return usual(prompt, step) + (1 if found and step >= 3 - int(found[1]) % 4 else 0)
engine._token = token`;
    /** A check in which all of them drifted. */
    const many = once(async () => {
      const base: SuiteOptions = { prompts, args: { on_load: vocabulary } };
      const brought = await baselineOf(base);
      await using repository = await repositoryOf({ base, seeds: [brought] });
      const step = await repository.step({
        suite: { prompts, args: { on_load, logprob: -0.5 } },
        with: { 'check-run': 'true' },
      });
      assertConcluded(step, 'drift', 'fail', brought.key);
      const lines = (await readFile(join(step.runner.workspace, 'determinism.yml'), 'utf8')).split('\n');
      return { step, report: await reportOf(step), lines, run: only(repository.github.checkRuns) };
    });

    test('the job summary of more than it holds goes down, and says what it left out', async () => {
      const { report, step } = await many();
      /** What its surfaces make of a report. */
      const shown = async (report: Report) => {
        let [text, count] = ['', ''];
        await tell('report', report, {
          summary(markdown) {
            text += markdown;
          },
          outputs(all) {
            count = all['drift-count'] ?? count;
          },
        });
        return [text, count] as const;
      };
      assert.deepEqual(await shown(report), [step.summary, String(COUNT)]);
      // The same of 24 times as many prompts, and of the longest names.
      const named = (index: number) => `p${String(index).padStart(3, '0')}${'_'.repeat(59)}z`;
      const places = new Map(prompts.map((prompt, index) => [prompt.id, index]));
      const relations = report.relations.map((one) => ({
        ...one,
        findings: Array.from({ length: 24 }, (_, more) =>
          one.findings.map((found) => ({
            ...found,
            prompt: named(COUNT * more + (places.get(found.prompt) ?? 0)),
          })),
        ).flat(),
      }));
      const [summary, count] = await shown({ ...report, relations });
      assert.equal(count, '480');
      assert.ok(bytes(summary) <= MIB - 64 * 1024, `${bytes(summary)} bytes`);
      assert.ok(bytes(summary) > MIB / 8, `${bytes(summary)} bytes`);
      assert.match(
        summary,
        /^## ❌ Drift: 480 of \d+ prompts[\s\S]*> ✂️ A job summary holds no more\. Left out: .*what each kind of pass saw.*\. Everything that was found: <code>record&#45;\d+.*\.report\.json<\/code>/,
      );
      assert.equal(summary.split('\n').filter((line) => line.startsWith('| <code>p')).length, 480);
      assert.doesNotMatch(summary, /\| where \|/);
      assertMarkdownInert(summary);
      assertMarkdownInert(step.summary);
    });

    /** Of the last so many prompts, those that the runner shows: worst first, each at its line, and what is left. */
    function assertTold(
      placed: readonly Pick<Annotation, 'title' | 'message' | 'file' | 'line'>[],
      drifted: number,
      shown: number,
      lines: readonly string[],
    ): void {
      const order = prompts
        .map((_, index) => index)
        .slice(COUNT - drifted)
        .sort((a, b) => stepOf(a) - stepOf(b) || a - b);
      const told = placed.slice(0, shown);
      assert.deepEqual(
        told.map(({ title }) => title),
        order.slice(0, shown).map((index) => `Drift: prompt ${id(index)}`),
      );
      for (const [at, { file, line, message }] of told.entries()) {
        assert.equal(file, 'determinism.yml');
        assert.ok(lines[line - 1]?.includes(`"${id(order[at] ?? -1)}"`));
        assert.match(message, new RegExp(`tokens part at step ${stepOf(order[at] ?? -1) + 1};`));
      }
      const rest = placed[shown];
      assert.equal(placed.length, drifted > shown ? shown + 1 : shown);
      assert.equal(rest?.title, drifted > 9 ? `${drifted - 8} more` : undefined);
      if (rest !== undefined)
        assert.match(rest.message, new RegExp(`^${drifted - 8} more prompts: .*\\.report\\.json all`));
      for (const { title, message } of placed)
        assert.ok(title.length <= 250 && message.length <= 4096, message);
    }

    test('annotations of many prompts: eight and what is left, worst first, at their lines', async (t) => {
      const { step, report, lines, run } = await many();
      assert.equal(step.outputs['drift-count'], String(COUNT));
      const errors = step.commands.filter(({ command }) => command === 'error');
      const placed = errors.filter(({ properties }) => 'file' in properties);
      assert.ok(errors.length === placed.length + 1 && errors.length <= 10);
      assertTold(
        placed.map(({ properties: { title = '', file = '', line }, data: message }) => ({
          ...{ title, file, message },
          line: Number(line),
        })),
        COUNT,
        8,
        lines,
      );
      for (const { data } of errors) assert.ok(data.length <= 4096, data);
      assert.deepEqual(
        run.output.annotations.map(({ title, start_line }) => [title, start_line]),
        placed.map(({ properties }) => [properties['title'], Number(properties['line'])]),
      );

      // What else that run may have found: the last prompts alone.
      for (const [drifted, shown] of [
        [9, 9],
        [10, 8],
        [11, 8],
      ] as const)
        await t.test(`annotations of ${drifted} prompts: ${shown} and what is left`, () => {
          const last = new Set(prompts.slice(COUNT - drifted).map((prompt) => prompt.id));
          const relations = report.relations.map((one) => ({
            ...one,
            findings: one.findings.filter(({ prompt }) => last.has(prompt)),
          }));
          const fewer = { ...report, relations };
          const found = annotations(fewer).filter(({ level }) => level === 'error');
          assertTold(found, drifted, shown, lines);
          const [longest] = checkRunLadder(
            [fewer],
            { suite: report.suite.name, hardwareClass: '*' },
            { id: '1', attempt: '1', url: '' },
            { url: '', headSha: SHAS.head, isUnverified: false },
          );
          assert.deepEqual(
            longest?.annotations.map(({ title, start_line }) => [title, start_line]),
            found.map(({ title, line }) => [title, line]),
          );
        });
    });
  }

  test('the job summary of 256 legs with the longest names has a row for each; a comment counts those it has no room for', async () => {
    const many = Array.from({ length: 256 }, (_, index) => {
      // Without a file there is nothing to annotate: five a leg would be 26 requests.
      const places = { ...DRIFT.context.places, file: '' };
      const hardwareClass = `${index}-${'-'.repeat(128)}`.slice(0, 128);
      return signed(drifting({ ...DRIFT, hardwareClass, context: { ...DRIFT.context, places } }, []), {
        accepted: null,
      });
    });
    await using place = await desk(action);
    const step = await place.show(many, { with: { 'expected-reports': '256', 'check-run': 'true' } });
    assertConcluded(step, 'drift', 'fail');
    assert.ok(bytes(step.summary) <= MIB, `${bytes(step.summary)} bytes`);
    assert.match(step.summary, /^## ❌ Drift: 256 of 256 legs, all beside the same change: .*\n/);
    assertMarkdownInert(step.summary);
    assert.equal(step.summary.split('\n').filter((line) => line.startsWith('| <code>')).length, 256);
    const { body } = only(place.github.comments);
    assert.ok(body.length <= 65_000);
    assert.match(body, /legs more left out to fit/);
    assert.ok(bytes(only(place.github.checkRuns).output.summary) <= 65_535);
  });

  test('the comment and check run of a check come with a drift, are edited in place, and say that it is gone', async () => {
    await using repository = await repositoryOf();
    const { github } = repository;
    const checked = { with: { 'check-run': 'true' } } as const;
    const state = () =>
      /^<!-- deterministic-ml v1 suite=a class=cpu-\S+ run=\S+ (state=.*) -->/.exec(
        only(github.comments).body,
      )?.[1];

    const drifted = await repository.step({ suite: DRIFTED, ...checked });
    assertConcluded(drifted, 'drift', 'fail');
    const first = only(github.comments);
    assert.equal(state(), 'state=drift');
    assert.match(first.body, /\n### ❌ Drift: 1 of 1 prompts/);
    assert.ok(first.body.includes(`  - record: ${drifted.outputs['record-digest']}\n`));
    assert.ok(first.body.includes(`at <code>${SHAS.head.slice(0, 12)}</code>`));
    const [, found = ''] = / run=(\d+\.1) /.exec(first.body) ?? [];
    assertConcluded(await repository.step(checked), 'reproduced', 'pass');
    assert.deepEqual([only(github.comments).id, first.edits], [first.id, 1]);
    assert.equal(state(), `state=resolved was=drift@${found}`);
    assert.match(first.body, /\n### ✅ Resolved: Reproduced: 1 prompt on [\s\S]*It was \*\*drift\*\*/);
    // GitHub shows the latest of a name.
    assert.equal(github.checkRuns.length, 2);
    for (const [index, conclusion] of ['failure', 'success'].entries())
      assertCheckRun(github.checkRuns[index], conclusion);
  });

  test('the comment comes with a drift, is edited in place, says that it is gone, and comes back', async () => {
    await using place = await desk(action);
    const { github } = place;
    let run = 0;
    const show = (report: Report, given: Readonly<Record<string, string>> = {}) => {
      run += 1;
      return place.show([report], { run, with: given });
    };
    const state = () =>
      /^<!-- deterministic-ml v1 suite=suite class=\* run=\S+ (state=.*) -->/.exec(
        only(github.comments).body,
      )?.[1];

    assertConcluded(await show(FINE), 'reproduced', 'pass');
    assertConcluded(await show(PLAIN, { comment: 'never' }), 'drift', 'fail');
    assert.deepEqual([github.comments, writes(github)], [[], []]);
    assert.equal(github.calls.filter((call) => call.includes('/comments?')).length, 1, 'never asks nobody');

    await show(PLAIN);
    const first = only(github.comments);
    assert.equal(state(), 'state=drift');
    await show(PLAIN);
    assert.deepEqual([only(github.comments).id, first.edits], [first.id, 1]);
    assert.equal(state(), 'state=drift');
    await show(FINE);
    assert.equal(state(), 'state=resolved was=drift@4.1');
    await show(PLAIN, { comment: 'never' });
    assert.equal(first.edits, 2, 'never is never');
    await show(PLAIN, { comment: 'always' });
    assert.equal(state(), 'state=drift');
    assert.deepEqual(
      writes(github).map((call) => call.split(' ')[0]),
      ['POST', 'PATCH', 'PATCH', 'PATCH'],
    );
  });

  test('the comment is there without a drift only where that is asked for', async () => {
    await using place = await desk(action);
    await place.show([WELL], { with: { comment: 'always' } });
    assert.match(only(place.github.comments).body, / state=well -->\n### ✅ Reproduced: \d+ prompts on /);
  });

  test('the comment of no pull request is nobody’s', async () => {
    await using place = await desk(action);
    const step = await place.show([PLAIN], { event: 'push', with: { comment: 'always' } });
    assertConcluded(step, 'drift', 'fail');
    assert.deepEqual(writes(place.github), []);
    assert.deepEqual(noticesOf(step), []);
  });

  test('the comment is found on the third page', async () => {
    await using place = await desk(action);
    const { github, show } = place;
    const chat = (count: number) => {
      for (let index = 0; index < count; index++)
        github.comment({ pullRequest: 7, author: 'alice', body: 'x' });
    };
    chat(230);
    await show([DRIFT]);
    chat(40);
    await show([WELL], { run: 2 });
    const { body, edits } = only(commentsOf(github));
    assert.equal(edits, 1);
    assert.match(body, /run=2\.1 state=resolved was=drift@1\.1 -->/);
    assert.ok(github.calls.some((call) => /comments\?.*\bpage=3\b/.test(call)));
    assert.equal(writes(github).length, 2);
  });

  test('the comment of another with its marker is left alone, older or newer', async () => {
    await using place = await desk(action);
    const { github, show } = place;
    await using elsewhere = await desk(action);
    await elsewhere.show([DRIFT], { run: 9 });
    const { body } = only(elsewhere.github.comments);
    const copy = () => github.comment({ pullRequest: 7, author: 'mallory', body });
    const copies = [copy()];
    await show([DRIFT], { run: 2 });
    copies.push(copy());
    assert.deepEqual(noticesOf(await show([WELL], { run: 3 })), []);
    assert.match(only(commentsOf(github)).body, /run=3\.1 state=resolved/);
    assert.deepEqual(
      copies.map((one) => [one.body, one.edits]),
      [
        [body, 0],
        [body, 0],
      ],
    );
  });

  test('the comment of a later run stays, and one notice says so', async () => {
    await using place = await desk(action);
    await place.show([DRIFT], { run: 5 });
    const { body } = only(place.github.comments);
    const step = await place.show([WELL], { run: 4 });
    assertConcluded(step, 'reproduced', 'pass');
    assert.match(only(noticesOf(step)).data, /Run 5, attempt 1, has told its result already/);
    assert.equal(only(place.github.comments).body, body);
  });

  test('the comment of two runs at once is one, and says what the later one says', async () => {
    await using place = await desk(action);
    await using both = await gate(place.github.url, /^POST .*\/issues\/7\/comments$/, 2);
    const steps = await Promise.all([11, 12].map((run) => place.show([DRIFT], { run, through: both.url })));
    assert.equal(both.held(), 2, 'both saw that there was none');
    for (const step of steps) assertConcluded(step, 'drift', 'fail');
    assert.match(only(place.github.comments).body, / run=12\.1 state=drift -->/);
  });

  test('the comment is as long as GitHub takes, and one character more makes it shorter', async () => {
    const url = `https://github.com/${REPOSITORY}/actions/runs/1/attempts/1`;
    const lengthOf = (plain: number) =>
      commentLadder(
        [filledReport(BARE, plain)],
        { suite: BARE.suite.name, hardwareClass: '*' },
        { id: '1', attempt: '1', url },
        { url, headSha: SHAS.head, isUnverified: false },
        undefined,
      )[0]?.length ?? 0;
    const plain = 65_000 - lengthOf(0);
    assert.ok(plain > 0 && plain < 1_500, `${plain}`);
    for (const [more, says] of [
      [0, /has the rest\.<\/sub>\n$/],
      [1, /5 prompts more left out here\.[\s\S]*has what was left out here\.<\/sub>\n$/],
    ] as const) {
      await using place = await desk(action);
      const step = await place.show([signed(filledReport(BARE, plain + more))]);
      assertConcluded(step, 'drift', 'fail');
      const { body } = only(place.github.comments);
      assert.ok(more === 0 ? body.length === 65_000 : body.length < 60_000, `${body.length} characters`);
      assert.match(body, says);
    }
  });

  test('the check run of a warning is neutral, and there without a comment', async () => {
    const LAX: SuiteOptions = { policy: { 'no-baseline': 'warn' } };
    await using repository = await repositoryOf({ base: LAX, seeds: [] });
    const step = await repository.step({ suite: LAX, with: { 'check-run': 'true', comment: 'never' } });
    assertConcluded(step, 'no-baseline', 'warn');
    assertCheckRun(only(repository.github.checkRuns), 'neutral');
    assert.deepEqual(repository.github.comments, []);
  });

  test('the check run has all of 51 annotations, in two requests', async () => {
    const findings = Array.from({ length: 9 }, (_, index) =>
      finding(`${index}${'p'.repeat(300)}`, { reason: '\u20ac'.repeat(3_000) }),
    );
    const six = Array.from({ length: 6 }, (_, index) =>
      signed(drifting(DRIFT, index === 5 ? findings.slice(3) : findings), {
        hardwareClass: `class-${index}`,
        context: { ...DRIFT.context, notices: [] },
      }),
    );
    await using place = await desk(action);
    const step = await place.show(six, {
      with: { 'check-run': 'true', comment: 'never', 'expected-reports': '6' },
    });
    assertConcluded(step, 'drift', 'fail');
    assert.deepEqual(noticesOf(step), []);
    const { annotations } = only(place.github.checkRuns).output;
    assert.equal(annotations.length, 51);
    assert.equal(new Set(annotations.map(({ title }) => String(title).slice(0, 40))).size, 51);
    for (const { title } of annotations) assert.ok(String(title).length <= 255);
    assert.deepEqual(
      writes(place.github).map((call) => call.split(' ')[0]),
      ['POST', 'PATCH'],
    );
  });

  test('the check run holds as many bytes as GitHub takes, and one more makes it shorter', async () => {
    const url = `https://github.com/${REPOSITORY}/actions/runs/1/attempts/1`;
    const thread = { suite: BARE.suite.name, hardwareClass: '*' };
    const sizeOf = (plain: number) => {
      const [longest] = checkRunLadder(
        [filledReport(BARE, plain)],
        thread,
        { id: '1', attempt: '1', url },
        { url, headSha: SHAS.head, isUnverified: false },
      );
      return bytes(longest?.output.summary ?? '');
    };
    const plain = 65_535 - sizeOf(0);
    assert.ok(plain > 0 && plain < 1_500, `${plain}`);
    for (const more of [0, 1]) {
      await using place = await desk(action);
      await place.show([signed(filledReport(BARE, plain + more))], {
        with: { 'check-run': 'true', comment: 'never' },
      });
      const { summary } = only(place.github.checkRuns).output;
      assert.ok(more === 0 ? bytes(summary) === 65_535 : bytes(summary) < 60_000, `${bytes(summary)} bytes`);
      assert.equal(/prompts more left out here/.test(summary), more === 1);
    }
  });

  // Nothing hostile acts anywhere.
  {
    const MARKER = '<!-- deterministic-ml v1 suite=x class=* run=999999999.1 -->';
    const TEXTS: Readonly<Record<string, string>> = {
      ...HOSTILE,
      'our own marker': MARKER,
      'our own marker, whole': `\n${MARKER.replace(' -->', ' state=well -->')}\n`,
      'the end of what it may stand in': '</details></table></code></pre></textarea></title></style>',
    };
    /** What a browser makes of a page with nothing hostile in it, breaks and code in prose included. */
    const benign = once(async () => {
      await using place = await desk(action);
      const plain = hostileReport(DRIFT, 'a.b `c` d');
      const pages = [[plain], [plain, ...legs().map((one) => signed(one))]].map(async (reports) => {
        const { outputs } = await place.show(reports, { with: { comment: 'never' } });
        return [...(await elementsOf(outputs['html-path']))];
      });
      const all = new Set((await Promise.all(pages)).flat());
      assert.ok(all.has('wbr') && all.has('code') && all.size > 30);
      return all;
    });

    async function assertPageInert(step: Stepped): Promise<void> {
      const usual = await benign();
      const elements = await elementsOf(step.outputs['html-path']);
      assert.deepEqual(
        [...elements].filter((one) => !usual.has(one)),
        [],
      );
      assert.ok(![...elements].some((one) => /^script|\bon\w+$/.test(one)));
      for (const link of await linksOf(step.outputs['html-path']))
        assert.match(link, /^#[\w.~-]+$|^https:\/\/(?:github\.com|evil\.example\/runs)\//);
    }

    const UNCLEAN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;
    const REPORTED = [
      ['group', /^Reports$/],
      ['endgroup', /^$/],
      ['error', /^Drift: /],
    ] as const;

    // As many as a comment tells at length, in one run each; what is half of a character has no digest.
    const some = Object.entries(TEXTS).filter(([, text]) => text.isWellFormed());
    const fours = Array.from({ length: Math.ceil(some.length / 4) }, (_, i) => some.slice(4 * i, 4 * i + 4));
    tried(
      'report with hostile texts',
      'commands, escapes, Markdown, HTML and our own marker in all that a stranger’s reports say, in `mode: report`',
      'log, summary, comment, check run and page show them as text: nothing acts, no link leads away',
      async (t) => {
        await Promise.all(
          fours.map((four, index) => {
            const texts = four.map(([, text]) => text);
            return t.test(four.map(([name]) => name).join(', '), async () => {
              await using place = await desk(action);
              const { github } = place;
              // Commands behind whatever ends a line: the runner reads what a process has written.
              const show = index === 1 ? place.showBuilt : place.show;
              const reports = texts.map((text, index) =>
                signed(hostileReport(DRIFT, text), { hardwareClass: `class-${index}` }),
              );
              const step = await show(reports, { with: BOTH });
              assertConcluded(step, 'drift', 'fail');
              assertLogActs(step, REPORTED);
              assertMarkdownInert(step.summary);
              const { body } = only(github.comments);
              const run = only(github.checkRuns);
              for (const shown of [body, run.output.summary]) {
                assertMarkdownInert(shown);
                for (const text of texts) assert.ok(shown.includes(markdown(text, 80).slice(0, 60)), shown);
              }
              assert.match(
                body,
                /^<!-- deterministic-ml v1 suite=smollm2-serving class=\* run=1\.1 state=drift -->\n### ❌ Drift/,
              );
              assert.doesNotMatch(body.slice(1), /<!--/);
              assert.ok(run.output.annotations.length > texts.length);
              for (const { title, message, path } of run.output.annotations)
                for (const part of [title, message, path]) assert.doesNotMatch(String(part), UNCLEAN);
              assert.doesNotMatch(`${run.name}${run.output.title}`, UNCLEAN);
              await assertPageInert(step);
              const page = await readFile(step.outputs['html-path'] ?? '', 'utf8');
              for (const text of texts) assert.ok(page.includes(escaped(text)), text);
              // What it shows is not taken for a comment of another thread, nor for one of a later run.
              await place.show([WELL], { run: 2 });
              assert.match(only(github.comments).body, /run=2\.1 state=resolved was=drift@1\.1 -->/);
            });
          }),
        );
      },
      { concurrency: 8 },
    );

    test('a hostile text of a megabyte in one line', async () => {
      const line = `x@</td>::error::${'##[error]<b>'.repeat(90_000)}`;
      assert.ok(line.length > 1_000_000);
      const { context } = DRIFT;
      const long = signed(
        drifting(DRIFT, [
          finding(line, { reason: line }),
          finding('trace', {
            ...{ kind: 'trace', agreement: 'modules-differ', divergence: null, textIdentical: null },
            trace: {
              ...{ modules: 1, differing: 1, first: line, firstIndex: 0, onlyLeft: [line], onlyRight: [] },
              map: { parts: [line], layers: [{ name: line, cells: 'x' }], omitted: 0 },
            },
          }),
        ]),
        {
          changes: [{ half: 'declared', field: line, before: line, after: line }],
          context: {
            ...context,
            runtime: line,
            notices: [{ level: 'warning', title: line, message: line }],
            run: { ...context.run, ref: line, workflow: line },
          },
        },
      );
      await using place = await desk(action);
      const step = await place.show([long], { with: BOTH });
      assertConcluded(step, 'drift', 'fail');
      assertLogActs(step, REPORTED);
      for (const shown of [
        step.summary,
        only(place.github.comments).body,
        only(place.github.checkRuns).output.summary,
      ]) {
        assertMarkdownInert(shown);
        assert.ok(shown.length < 65_000);
      }
      assert.match(only(place.github.comments).body, /… &#40;cut: \d{7} characters in all&#41;/);
      await assertPageInert(step);
      assert.ok(bytes(await readFile(step.outputs['html-path'] ?? '', 'utf8')) < MIB);
    });

    test('a hostile text that a model says, an engine claims, a suite and a refresh bring', async () => {
      const all = [...Object.values(TEXTS), '\u202e'].join('\n').toWellFormed();
      const text = all.replaceAll('\0', '');
      const prompts = ['GH-1', 'www.evil.example', 'a__b--c', '12.1', '0x1F_e'].map((id) => ({ id, text }));
      const accept = [{ record: 'ab'.repeat(32), reason: text.slice(0, 900) }];
      const base: SuiteOptions = { prompts, accept };
      const brought = await baselineOf(base, text.slice(0, 900));
      await using repository = await repositoryOf({ base, seeds: [brought] });
      const on_load = `${ENGINE}
words = ${JSON.stringify(Object.values(TEXTS))}
engine.Scripted.vocabulary = lambda self, ids: {token: words[token % len(words)] for token in ids}
engine.MODULES = tuple(name + words[0] for name in engine.MODULES)`;
      const step = await repository.step({
        suite: {
          ...base,
          args: {
            on_load,
            shift: 1,
            logprob: -0.5,
            text,
            dropped: [text],
            effective: { dtype: text.slice(0, 4000) },
          },
        },
        env: { VLLM_WORDS: text.slice(0, 4000) },
        with: { ...BOTH },
      });
      assertConcluded(step, 'drift', 'fail', brought.key);
      const group = (title: RegExp) =>
        [
          ['group', title],
          ['endgroup', /^$/],
        ] as const;
      assertLogActs(step, [
        ...[
          /^Suite of the base branch$/,
          /^Model$/,
          /^Fingerprint$/,
          /^Baseline$/,
          /^Engine, lifetime-1$/,
        ].flatMap(group),
        ...prompts.map(() => ['error', /(?:^|\. )other tokens; /] as const),
        ['warning', /Nothing here gives the accepted record/],
        ['error', /^Drift: 5 of 5 prompts/],
      ]);
      const { body } = only(repository.github.comments);
      const run = only(repository.github.checkRuns);
      for (const shown of [step.summary, body, run.output.summary]) assertMarkdownInert(shown);
      assert.match(body, /<code>GH&#45;&#8203;1<\/code>/);
      await assertPageInert(step);
    });
  }

  // What a stranger's report claims, and what is refused.
  {
    const CLAIMED = {
      ...{ repository: 'evil/models', workflow: 'check', event: 'pull_request', ref: 'refs/pull/8/merge' },
      ...{ id: '999999', attempt: '9', commit: 'bad0'.repeat(10), url: 'https://evil.example/runs/999999' },
    } as const;
    const claiming = (report: Report) => signed(report, { context: { ...report.context, run: CLAIMED } });
    const AFTER: Showing = { event: 'workflow_run', with: { 'check-run': 'true' } };
    const other = { number: 8, headSha: 'bad0'.repeat(10) };

    tried(
      'report of a fork’s own making',
      'a report of a fork’s own making that claims to be green, or to be of another commit or pull request',
      'commit, pull request and run are the event’s; its check run is `action_required`, which satisfies no required check',
      async () => {
        await using place = await desk(action, { pullRequests: [other, FORK] });
        const step = await place.showBuilt([claiming(DRIFT)], AFTER);
        assert.deepEqual(
          [step.exitCode, step.outputs['conclusion'], step.outputs['verdict']],
          [0, 'drift', 'fail'],
          step.log,
        );
        assert.deepEqual(noticesOf(step), []);
        assert.ok(!step.commands.some(({ command }) => command === 'error'));
        const comment = only(place.github.comments);
        assert.equal(comment.pullRequest, 7);
        assert.match(comment.body, / run=2\.1 state=drift -->/);
        assert.ok(comment.body.includes(`at <code>${SHAS.head.slice(0, 12)}</code>`));
        assert.ok(comment.body.includes(`](https://github.com/${REPOSITORY}/actions/runs/2/attempts/1)`));
        const run = only(place.github.checkRuns);
        assert.deepEqual(
          [run.headSha, run.conclusion, run.detailsUrl],
          [SHAS.head, 'action_required', `https://github.com/${REPOSITORY}/actions/runs/2/attempts/1`],
        );
        for (const shown of [comment.body, run.output.summary]) {
          assert.doesNotMatch(shown, /evil|999999|bad0bad0/);
          assert.match(shown, /this is what its own job reports, and it is not verified/);
          assert.doesNotMatch(shown, /^accept:/m);
        }
      },
    );

    test('mode report after a workflow of the repository’s own takes the pull request that the event names', async () => {
      await using place = await desk(action, { pullRequests: [other, { number: 7, headSha: SHAS.head }] });
      const payload = payloadOf('workflow_run');
      const { id } = Object(payload['repository']);
      const run = {
        ...Object(payload['workflow_run']),
        head_repository: payload['repository'],
        pull_requests: [
          { number: 8, head: { sha: SHAS.head }, base: { repo: { id: 666 } } },
          { number: 7, head: { sha: SHAS.head }, base: { repo: { id } } },
        ],
        run_attempt: 3,
      };
      const step = await place.show([claiming(DRIFT)], {
        ...AFTER,
        payload: { ...payload, workflow_run: run },
      });
      assert.deepEqual([step.exitCode, noticesOf(step)], [0, []], step.log);
      const comment = only(place.github.comments);
      assert.equal(comment.pullRequest, 7);
      assert.match(comment.body, / run=2\.3 state=drift -->/);
      const { headSha, conclusion } = only(place.github.checkRuns);
      assert.deepEqual([headSha, conclusion], [SHAS.head, 'failure']);
      assert.doesNotMatch(comment.body, /not verified/);
    });

    test('mode report on a pull request is red for the same', async () => {
      await using place = await desk(action);
      const step = await place.show([claiming(DRIFT)]);
      assertConcluded(step, 'drift', 'fail');
      assert.equal(only(place.github.comments).pullRequest, 7);
    });

    test('mode report tells nobody where no open pull request is at the event’s commit', async () => {
      for (const pullRequest of [
        { ...FORK, headSha: 'ab'.repeat(20) },
        { ...FORK, open: false },
        { ...FORK, from: { ...FORK.from, id: 1 } },
      ]) {
        await using place = await desk(action, { pullRequests: [pullRequest, other] });
        const step = await place.show([claiming(DRIFT)], { event: 'workflow_run' });
        assert.equal(step.exitCode, 0, step.log);
        assert.match(only(noticesOf(step)).data, /No open pull request is at this commit any more/);
        assert.deepEqual(place.github.comments, []);
      }
    });

    test('mode report comments on none of several pull requests at one commit', async () => {
      await using place = await desk(action, { pullRequests: [FORK, { ...FORK, number: 9 }] });
      const step = await place.show([DRIFT], AFTER);
      assert.match(only(noticesOf(step)).data, /Several pull requests are at this commit/);
      assert.deepEqual([step.exitCode, place.github.comments], [0, []]);
      assert.equal(only(place.github.checkRuns).headSha, SHAS.head, 'the commit is known all the same');
    });

    test('mode report says nothing is well of a run that failed and whose reports do not say why', async () => {
      await using place = await desk(action, { pullRequests: [FORK] });
      const payload = payloadOf('workflow_run');
      const failed = {
        ...payload,
        workflow_run: { ...Object(payload['workflow_run']), conclusion: 'failure' },
      };
      const step = await place.show([WELL], { ...AFTER, payload: failed });
      assert.match(only(noticesOf(step)).data, /ended in `failure`, and its reports do not say why/);
      assert.deepEqual([place.github.comments, place.github.checkRuns], [[], []]);
      await place.show([DRIFT], { ...AFTER, payload: failed });
      assert.equal(place.github.comments.length, 1);
    });

    test('mode report after another workflow is as green when it may not comment, and says what it lacks', async () => {
      await using place = await desk(action, { pullRequests: [FORK], permissions: ['contents'] });
      const step = await place.show([DRIFT], { event: 'workflow_run' });
      assert.equal(step.exitCode, 0, step.log);
      assert.match(only(noticesOf(step)).data, /needs `permissions: \{ pull-requests: write \}`\. .*403/);
    });

    interface Refused extends Fault {
      readonly reports?: readonly Report[];
      readonly asked?: Showing;
      /** Whether the built action is shown it too. */
      readonly built?: true;
    }
    /** What is refused with this, and then nobody is told anything. */
    const refused: Readonly<Record<string, Refused>> = {
      'a verdict that was changed by hand': {
        built: true,
        code: 'report-invalid',
        reports: [WELL, { ...DRIFT, verdict: 'pass' }],
        says: /leg-1\/record\.report\.json was changed after it was written: its digest is another one/,
        advises: /Run all jobs of the run that measures again/,
      },
      'what another run or attempt left': {
        code: 'report-invalid',
        asked: { keepsRun: true },
        says: /leg-0\/record\.report\.json comes from run \d+, attempt \d+, and not from run \d+, attempt 1/,
        advises: /not only the failed ones/,
      },
      'a verdict that its relations do not come to': {
        code: 'report-invalid',
        reports: [signed(DRIFT, { conclusion: 'reproduced', verdict: 'pass' })],
        says: /contradicts itself: its relations do not come to `reproduced`/,
        advises: /Run all jobs/,
      },
      'one leg twice': {
        code: 'report-invalid',
        reports: [WELL, WELL],
        says: /holds the same report twice: one leg must not stand for another/,
        advises: /Run all jobs/,
      },
      'one byte of a text that is another one': {
        code: 'report-invalid',
        asked: {
          spoil: async (folder) => {
            const path = join(folder, 'leg-0/record.report.json');
            const text = await readFile(path, 'utf8');
            await writeFile(path, text.replace('"evidence":"', '"evidence":" '));
          },
        },
        says: /leg-0\/record\.report\.json was changed after it was written/,
        advises: /Run all jobs of the run that measures again/,
      },
      'another schema': {
        code: 'report-invalid',
        asked: {
          spoil: async (folder) => {
            const path = join(folder, 'leg-0/record.report.json');
            const text = await readFile(path, 'utf8');
            await writeFile(path, text.replace('deterministic-ml/report/v1', 'deterministic-ml/report/v2'));
          },
        },
        says: /leg-0\/record\.report\.json is no report: [\s\S]*at schema/,
        advises: /a run of this version left/,
      },
      'half of a character, which no digest can be made of': {
        code: 'report-invalid',
        asked: {
          spoil: async (folder) => {
            const path = join(folder, 'leg-0/record.report.json');
            const text = await readFile(path, 'utf8');
            await writeFile(path, text.replace('"evidence":"', '"evidence":"\\ud800'));
          },
        },
        says: /leg-0\/record\.report\.json is no report: it holds half of a character/,
        advises: /a run of this version left/,
      },
      'no JSON': {
        built: true,
        code: 'report-invalid',
        asked: { spoil: (folder) => writeFile(join(folder, 'x.report.json'), '{"a":##[error]') },
        says: /x\.report\.json is no JSON/,
        advises: /a run of this version left/,
      },
      'one that is too large to be read': {
        code: 'report-invalid',
        asked: { spoil: (folder) => truncate(join(folder, 'leg-0/record.report.json'), 64 * MIB + 1) },
        says: /leg-0\/record\.report\.json is larger than 67108864 bytes/,
        advises: /a run of this version left/,
      },
      'a suite of a name that no suite can have': {
        code: 'report-invalid',
        reports: [unsigned({ suite: { ...DRIFT.suite, name: '\u202e'.repeat(300) } })],
        says: /leg-0\/record\.report\.json is no report: [\s\S]*at suite\.name/,
        advises: /a run of this version left/,
      },
      'an address that is a script': {
        code: 'report-invalid',
        reports: [
          unsigned({ context: { ...DRIFT.context, run: { ...CLAIMED, url: 'javascript:alert(1)' } } }),
        ],
        says: /is no report: [\s\S]*at context\.run\.url/,
        advises: /a run of this version left/,
      },
      'a link in place of a report': {
        code: 'reports-missing',
        asked: {
          with: { 'expected-reports': '2' },
          spoil: async (folder) => {
            await symlink(join(folder, 'leg-0/record.report.json'), join(folder, 'b.report.json'));
            await symlink(join(folder, 'leg-0'), join(folder, 'c'));
          },
        },
        says: /reports holds 1 of 2 reports/,
        advises: /leaves no report: see its log/,
      },
      'a number of legs that nobody told': {
        code: 'input-invalid',
        asked: { with: { 'expected-reports': '' } },
        says: /`expected-reports` is empty, but mode `report` needs the number of legs/,
        advises: /`with:`/,
      },
      'fewer than there must be': {
        code: 'reports-missing',
        asked: { with: { 'expected-reports': '3' } },
        says: /reports holds 1 of 3 reports/,
        advises: /leaves no report: see its log/,
      },
      'no folder at all': {
        code: 'reports-missing',
        asked: { spoil: (folder) => rm(folder, { recursive: true }) },
        says: /reports holds 0 of 1 reports/,
        advises: /compare what the jobs upload/,
      },
    };
    tried(
      'report that no run of this action left',
      'another schema, half characters, 64 MiB, a script for an address, links, fewer legs than there were',
      'refused whole, and nobody is told',
      async (t) => {
        await Promise.all(
          Object.entries(refused).map(([what, { reports = [PLAIN], asked, built, ...expected }]) =>
            t.test(what, async () => {
              for (const event of ['workflow_run', 'pull_request']) {
                await using place = await desk(action, { pullRequests: [FORK] });
                for (const show of built === undefined ? [place.show] : [place.show, place.showBuilt]) {
                  const step = await show(reports, { ...asked, event, with: { ...BOTH, ...asked?.with } });
                  await assertFault(step, step.runner, expected);
                  assert.deepEqual(place.github.calls, []);
                }
              }
            }),
          ),
        );
      },
      { concurrency: 8 },
    );

    tried(
      'event that anybody may send',
      '`mode: report` on `issue_comment` or `pull_request_target`',
      'refused before GitHub is asked anything',
      async () => {
        await using place = await desk(action);
        for (const event of ['issue_comment', 'pull_request_target'])
          await assertFault(
            ...(await place.showBuilt([PLAIN], { event, payload: payloadOf(event) }).then(
              (step) =>
                [
                  step,
                  step.runner,
                  {
                    code: 'event-refused',
                    says: new RegExp(`\`${event}\` starts nothing here`),
                    advises: /on: pull_request/,
                  },
                ] as const,
            )),
          );
        assert.deepEqual(place.github.calls, []);
      },
    );
  }
});

/** What its schema may not take, signed all the same. */
function unsigned(more: Partial<Report>): Report {
  const made = { ...DRIFT, ...more };
  return { ...made, sha256: reportDigest(made) };
}

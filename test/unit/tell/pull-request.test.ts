import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { GitHubPosts } from '../../../src/github/port.ts';
import { githubPosts } from '../../../src/github/posts.ts';
import type { Notice, Report } from '../../../src/report/schema.ts';
import { type Target, type Telling, tellPullRequest } from '../../../src/tell/pull-request.ts';
import { SURFACES } from '../../../src/tell/surfaces.ts';
import { markerOf } from '../../../src/words/thread.ts';
import { ALL_RIGHTS } from '../../support/github-rules.ts';
import {
  type Endpoint,
  type GitHubFault,
  type GitHubServer,
  type GitHubServerOptions,
  startGitHubServer,
} from '../../support/github-server.ts';
import { body } from '../support/records.ts';
import { checkReport, finding, relation } from '../support/reports.ts';

const BITS = { capital: body(), sky: body({ tokens: [20, 21, 22] }) };
const WELL = await checkReport(BITS, BITS);
const DRIFT = await checkReport(BITS, { ...BITS, sky: body({ tokens: [20, 21, 25], text: 'other' }) });

const REPOSITORY = 'acme/models';
const TOKEN = 'ghs_nobody-may-see-it';
const BOT = 'github-actions[bot]';
const HEAD = 'ab'.repeat(20);
const TARGET: Target = { pullRequest: 7, headSha: HEAD, readOnly: false };

const start = (options: Partial<GitHubServerOptions> = {}) =>
  startGitHubServer({
    ...{ repository: REPOSITORY, token: TOKEN, pullRequests: [{ number: 7, headSha: HEAD }] },
    ...options,
  });

const postsOf = (url: string, more: Partial<Parameters<typeof githubPosts>[0]> = {}): GitHubPosts =>
  githubPosts({ url, repository: REPOSITORY, token: TOKEN, env: {}, retryBaseMs: 1, ...more });

const how = (id: string, more: Partial<Telling> = {}): Telling => ({
  comment: 'drift',
  checkRun: false,
  scope: { suite: 'smollm2-serving', hardwareClass: '*' },
  run: { id, attempt: '1', url: `https://github.com/${REPOSITORY}/actions/runs/${id}/attempts/1` },
  isUnverified: false,
  ...more,
});

const POSTS = SURFACES.flatMap(({ post }) => post ?? []);

/** Of a drift. */
const toldBy = (asked: Telling, posts: GitHubPosts) => tellPullRequest([DRIFT], TARGET, asked, POSTS, posts);

const BOTH = { comment: 'always', checkRun: true } as const;

async function told(
  github: GitHubServer,
  reports: readonly Report[],
  asked: Telling,
  target: Target = TARGET,
): Promise<readonly Notice[]> {
  return await tellPullRequest(reports, target, asked, POSTS, postsOf(github.url));
}

const writes = ({ calls }: GitHubServer) => calls.filter((call) => !call.startsWith('GET'));
const only = <T>(all: readonly T[]): T => {
  assert.equal(all.length, 1);
  const [one] = all;
  assert.ok(one !== undefined);
  return one;
};
/** A comment of a run, as it would be posted. */
async function commentOf(id: string, reports: readonly Report[] = [DRIFT]): Promise<string> {
  await using github = await start();
  await told(github, reports, how(id, { comment: 'always' }));
  return only(github.comments).body;
}

describe('the comment', () => {
  test('is posted on drift, edited in place, and flipped once all is well', async () => {
    await using github = await start();
    assert.deepEqual(await told(github, [DRIFT], how('1')), []);
    const comment = only(github.comments);
    assert.match(comment.body, /^<!-- deterministic-ml v1 .* run=1\.1 state=drift -->\n### ❌ Drift: 1 of 2/);
    await told(github, [DRIFT], how('2'));
    assert.match(only(github.comments).body, /run=2\.1 state=drift/);
    await told(github, [WELL], how('3'));
    assert.match(
      only(github.comments).body,
      /run=3\.1 state=resolved was=drift@2\.1 -->\n### ✅ Resolved: Reproduced: .*\n\nIt was \*\*drift\*\* in \[run 2\]\(.*\/runs\/2\/attempts\/1\)/,
    );
    // What it was is not forgotten as long as all stays well.
    await told(github, [WELL], how('4'));
    assert.match(only(github.comments).body, /run=4\.1 state=resolved was=drift@2\.1/);
    await told(github, [DRIFT], how('5'));
    assert.match(only(github.comments).body, /state=drift -->\n### ❌/);
    assert.equal(only(github.comments).id, comment.id);
  });

  test('is not posted when all is well', async () => {
    await using github = await start();
    assert.deepEqual(await told(github, [WELL], how('1')), []);
    assert.deepEqual(github.comments, []);
    assert.deepEqual(writes(github), []);
  });

  test('is posted for what is accepted: somebody should know', async () => {
    await using github = await start();
    const accepted: Report = {
      ...DRIFT,
      verdict: 'pass',
      accepted: { record: DRIFT.outcome, reason: 'new kernels' },
    };
    await told(github, [accepted], how('1'));
    assert.match(only(github.comments).body, /### ✅ Drift &#40;accepted&#41;/);
  });

  test('is posted for one of several legs', async () => {
    await using github = await start();
    await told(github, [DRIFT, WELL], how('1'));
    assert.match(only(github.comments).body, /\| <code>cpu&#45;.*\| ❌ Drift/);
  });

  test('is always posted where that is asked for, and never where that is', async () => {
    await using github = await start();
    await told(github, [WELL], how('1', { comment: 'always' }));
    assert.match(only(github.comments).body, /state=well -->\n### ✅ Reproduced/);
    await told(github, [DRIFT], how('2', { comment: 'never' }));
    assert.match(only(github.comments).body, /run=1\.1 state=well/);
    await told(github, [WELL], how('3'));
    assert.match(only(github.comments).body, /run=3\.1 state=well -->\n### ✅ Reproduced/);
  });

  test('is nobody’s without a pull request, and nothing is told without a report', async () => {
    await using github = await start();
    await told(github, [DRIFT], how('1'), { ...TARGET, pullRequest: undefined });
    await told(github, [], how('1', BOTH));
    assert.deepEqual(github.calls, []);
  });

  for (const page of [1, 2, 3])
    test(`is found on page ${page}`, async () => {
      await using github = await start();
      for (let index = 0; index < (page - 1) * 100 + 50; index++)
        github.comment({ pullRequest: 7, author: 'alice', body: 'chat' });
      const own = github.comment({ pullRequest: 7, author: BOT, body: await commentOf('1') });
      for (let index = 0; index < 60; index++)
        github.comment({ pullRequest: 7, author: 'alice', body: 'chat' });
      await told(github, [DRIFT], how('2'));
      assert.match(own.body, /run=2\.1/);
      assert.equal(own.edits, 1);
      assert.ok(!writes(github).some((call) => call.startsWith('POST')));
    });

  test('of another is not touched, be its marker copied or its thread another', async () => {
    await using github = await start();
    const copied = github.comment({ pullRequest: 7, author: 'mallory', body: await commentOf('1') });
    const quoted = github.comment({ pullRequest: 7, author: BOT, body: `> ${await commentOf('1')}` });
    const sub = github.comment({
      ...{ pullRequest: 7, author: BOT },
      body: (await commentOf('1')).replace('class=*', 'class=gpu-h100'),
    });
    await told(github, [DRIFT], how('2'));
    assert.equal(github.comments.length, 4);
    assert.deepEqual([copied.edits, quoted.edits, sub.edits], [0, 0, 0]);
    await told(github, [DRIFT], how('3'));
    assert.equal(github.comments.length, 4);
    assert.match(github.comments.at(-1)?.body ?? '', /run=3\.1/);
  });

  for (const [what, id, attempt] of [
    ['a later run', '10', '1'],
    ['a later attempt', '9', '2'],
    ['a run whose number no double holds', '9007199254740993', '1'],
  ] as const)
    test(`of ${what} stays`, async () => {
      await using github = await start();
      const later = (await commentOf('1')).replace('run=1.1', `run=${id}.${attempt}`);
      const comment = github.comment({ pullRequest: 7, author: BOT, body: later });
      const older = id.length > 2 ? '9007199254740992' : '9';
      const notice = only(await told(github, [WELL], how(older)));
      assert.equal(notice.level, 'notice');
      assert.match(notice.message, new RegExp(`Run ${id}, attempt ${attempt}, has told`));
      assert.equal(comment.body, later);
      assert.deepEqual(writes(github), []);
    });

  test('is one, however many runs create one at once, and says what the latest says', async () => {
    await using github = await start();
    const barrier = Promise.withResolvers<void>();
    let waiting = 0;
    const racing = (): GitHubPosts => {
      const posts = postsOf(github.url);
      return {
        ...posts,
        async createComment(...args) {
          waiting += 1;
          if (waiting === 3) barrier.resolve();
          await barrier.promise;
          return await posts.createComment(...args);
        },
      };
    };
    const notices = await Promise.all(['11', '12', '13'].map((id) => toldBy(how(id), racing())));
    assert.match(only(github.comments).body, /run=13\.1/);
    assert.ok(notices.flat().every(({ title }) => /later run/.test(title)));
  });

  test('of which there are several is one again, the oldest', async () => {
    await using github = await start();
    const [first] = ['1', '2', '1'].map((_, index) =>
      github.comment({ pullRequest: 7, author: BOT, body: `${index}` }),
    );
    for (const comment of github.comments) comment.body = await commentOf('1');
    await told(github, [DRIFT], how('4'));
    assert.equal(only(github.comments).id, first?.id);
    assert.match(only(github.comments).body, /run=4\.1/);
  });

  test('of a person’s token is that person’s', async () => {
    await using github = await start({ login: 'alice', kind: 'user' });
    github.comment({ pullRequest: 7, author: BOT, body: await commentOf('1') });
    const own = github.comment({ pullRequest: 7, author: 'alice', body: await commentOf('1') });
    await told(github, [DRIFT], how('2'));
    assert.equal(github.comments.length, 2);
    assert.match(own.body, /run=2\.1/);
  });

  test('of another app’s token is known once it has answered, and is one with its older one', async () => {
    await using github = await start({ login: 'acme[bot]' });
    const own = github.comment({ pullRequest: 7, author: 'acme[bot]', body: await commentOf('1') });
    await told(github, [DRIFT], how('2'));
    assert.equal(only(github.comments).id, own.id);
    assert.match(own.body, /run=2\.1/);
  });

  test('that was deleted between two calls is posted anew', async () => {
    await using github = await start();
    github.comment({ pullRequest: 7, author: BOT, body: await commentOf('1') });
    github.faults.push({ at: 'edit-comment', kind: 'status', status: 404, message: 'Not Found', times: 1 });
    assert.deepEqual(await told(github, [DRIFT], how('2')), []);
    assert.match(only(github.comments).body, /run=2\.1/);
  });

  test('whose answer was lost is not posted twice', async () => {
    await using github = await start();
    github.faults.push({ at: 'create-comment', kind: 'lost', times: 1 });
    assert.deepEqual(await told(github, [DRIFT], how('1')), []);
    only(github.comments);
    assert.equal(writes(github).length, 1);
  });

  test('that failed once is posted', async () => {
    await using github = await start();
    github.faults.push({ at: 'create-comment', kind: 'status', status: 502, message: 'Unicorn', times: 1 });
    assert.deepEqual(await told(github, [DRIFT], how('1')), []);
    only(github.comments);
  });

  test('is shorter where GitHub says that it is too long', async () => {
    await using github = await start();
    const long: Report = {
      ...DRIFT,
      relations: [
        relation('baseline', 'broken', {
          findings: Array.from({ length: 12 }, (_, i) => finding(`p${i}`, { reason: 'x'.repeat(500) })),
        }),
      ],
    };
    const message = 'Body is too long (maximum is 65536 characters)';
    github.faults.push({ at: 'create-comment', kind: 'status', status: 422, message, times: 2 });
    assert.deepEqual(await told(github, [long], how('1')), []);
    assert.equal(writes(github).length, 3);
    const shorter = only(github.comments).body;
    assert.ok(markerOf(shorter) !== undefined);
    assert.match(shorter, /p2<\/code>/);
    assert.doesNotMatch(shorter, /p3<\/code>/);
    assert.match(shorter, /9 prompts more left out here/);
    // Nothing is short enough: then it is told that it is not there.
    github.faults.push({ at: 'edit-comment', kind: 'status', status: 422, message });
    assert.match(only(await told(github, [long], how('2'))).message, /422: Body is too long/);
  });
});

describe('the check run', () => {
  const CHECK = { comment: 'never', checkRun: true } as const;

  for (const [report, conclusion] of [
    [DRIFT, 'failure'],
    [WELL, 'success'],
    [{ ...DRIFT, verdict: 'warn' }, 'neutral'],
  ] as const)
    test(`of a ${report.verdict} is a ${conclusion}`, async () => {
      await using github = await start();
      assert.deepEqual(await told(github, [report], how('1', CHECK)), []);
      const run = only(github.checkRuns);
      assert.deepEqual(
        [run.name, run.headSha, run.status, run.conclusion, run.detailsUrl],
        ['deterministic-ml / smollm2-serving', HEAD, 'completed', conclusion, how('1').run.url],
      );
      assert.equal(run.output.annotations.length, report === WELL ? 0 : 1);
    });

  test('of one leg has its class in its name', async () => {
    await using github = await start();
    const scope = { suite: 'a', hardwareClass: 'gpu-h100' };
    await told(github, [WELL], how('1', { ...CHECK, scope }));
    assert.equal(only(github.checkRuns).name, 'deterministic-ml / a (gpu-h100)');
  });

  for (const count of [49, 50, 51, 101])
    test(`has all of ${count} annotations, fifty at a time`, async () => {
      await using github = await start();
      const findings = Array.from({ length: 9 }, (_, i) => finding(`p${i}`));
      const some = (take: number): Report => ({
        ...DRIFT,
        relations: [relation('baseline', 'broken', { findings: findings.slice(0, take) })],
      });
      const reports = [
        ...Array.from({ length: Math.floor(count / 9) }, () => some(9)),
        ...(count % 9 === 0 ? [] : [some(count % 9)]),
      ];
      assert.deepEqual(await told(github, reports, how('1', CHECK)), []);
      assert.equal(only(github.checkRuns).output.annotations.length, count);
      assert.equal(writes(github).length, Math.ceil(count / 50));
    });

  test('is one, when the same run posts it again, and gets no annotation twice', async () => {
    await using github = await start();
    await told(github, [DRIFT], how('1', CHECK));
    await told(github, [DRIFT], how('1', CHECK));
    const run = only(github.checkRuns);
    assert.equal(run.output.annotations.length, 1);
    assert.equal(writes(github).length, 2);
  });

  test('of a later run is another, and stays when an earlier one ends after it', async () => {
    await using github = await start();
    await told(github, [DRIFT], how('1', CHECK));
    await told(github, [WELL], how('3', CHECK));
    assert.equal(github.checkRuns.length, 2);
    assert.match(only(await told(github, [DRIFT], how('2', CHECK))).message, /Run 3, attempt 1/);
    assert.equal(github.checkRuns.length, 2);
    assert.equal(github.checkRuns.at(-1)?.conclusion, 'success');
  });

  for (const at of ['create-check-run', 'update-check-run'] as const)
    test(`is complete although an answer was lost: ${at}`, async () => {
      await using github = await start();
      const findings = Array.from({ length: 9 }, (_, i) => finding(`p${i}`));
      const report: Report = { ...DRIFT, relations: [relation('baseline', 'broken', { findings })] };
      github.faults.push({ at, kind: 'lost', times: 1 });
      assert.deepEqual(await told(github, Array(7).fill(report), how('1', CHECK)), []);
      assert.equal(only(github.checkRuns).output.annotations.length, 63);
    });

  test('is shorter where GitHub says that it is too long', async () => {
    await using github = await start();
    const message = 'Invalid request.\n\nOnly 65535 characters are allowed; 70000 were supplied.';
    github.faults.push({ at: 'create-check-run', kind: 'status', status: 422, message, times: 1 });
    const reports = Array.from({ length: 9 }, () => DRIFT);
    assert.deepEqual(await told(github, reports, how('1', CHECK)), []);
    assert.match(only(github.checkRuns).output.summary, /5 more told in the table only/);
  });
});

describe('what goes wrong is one notice, and the other surface is there', () => {
  const without = (name: string) => ALL_RIGHTS.filter((right) => !right.startsWith(name));
  const COMMENT_LINES = /`permissions: \{ pull-requests: write \}`.*`comment: never`/;
  const CHECK_LINES = /`permissions: \{ checks: write \}`.*`check-run: false`/;

  const noComment = (github: GitHubServer) => {
    assert.deepEqual(github.comments, []);
    only(github.checkRuns);
  };
  const noCheckRun = (github: GitHubServer) => {
    only(github.comments);
    assert.deepEqual(github.checkRuns, []);
  };

  test('no right to comment', async () => {
    await using github = await start({
      permissions: ALL_RIGHTS.filter((right) => !/^(pull|issues)/.test(right)),
    });
    const notice = only(await told(github, [DRIFT], how('1', BOTH)));
    assert.equal(notice.title, 'No comment');
    assert.match(notice.message, /403: Resource not accessible by integration/);
    assert.match(notice.message, COMMENT_LINES);
    noComment(github);
  });

  test('no right to comment, and nothing to be said: no notice', async () => {
    await using github = await start({ permissions: ['contents'] });
    assert.deepEqual(await told(github, [WELL], how('1')), []);
    assert.equal((await told(github, [WELL], how('1', { comment: 'always' }))).length, 1);
  });

  test('an old comment that cannot be resolved', async () => {
    await using github = await start({ permissions: ['pull-requests'] });
    github.comment({ pullRequest: 7, author: BOT, body: await commentOf('1') });
    assert.match(only(await told(github, [WELL], how('2'))).message, COMMENT_LINES);
    github.faults.push({ at: 'comments', kind: 'status', status: 500, message: 'on fire' });
    assert.match(only(await told(github, [WELL], how('2'))).message, /on fire/);
  });

  test('the right to read comments only', async () => {
    await using github = await start({ permissions: ['pull-requests', 'checks:write'] });
    assert.match(only(await told(github, [DRIFT], how('1', BOTH))).message, COMMENT_LINES);
    noComment(github);
  });

  for (const permissions of [without('checks'), [...without('checks'), 'checks']] as const)
    test(`no right to make check runs, ${permissions.length}`, async () => {
      await using github = await start({
        permissions: ALL_RIGHTS.filter((right) => permissions.includes(right)),
      });
      const notice = only(await told(github, [DRIFT], how('1', BOTH)));
      assert.match(notice.message, /403: Resource not accessible by integration/);
      assert.match(notice.message, CHECK_LINES);
      noCheckRun(github);
    });

  test('a pull request that the token may not see', async () => {
    await using github = await start({ pullRequests: [{ number: 8, headSha: HEAD }] });
    const notice = only(await told(github, [DRIFT], how('1', BOTH)));
    assert.match(notice.message, /404: Not Found.*contents: read/s);
    assert.match(notice.message, COMMENT_LINES);
    noComment(github);
  });

  test('a conversation that is locked', async () => {
    await using github = await start({ pullRequests: [{ number: 7, headSha: HEAD, locked: true }] });
    const notice = only(await told(github, [DRIFT], how('1', BOTH)));
    assert.match(
      notice.message,
      /403: Unable to create comment because issue is locked.*Unlock.*`comment: never`/,
    );
    assert.doesNotMatch(notice.message, /permissions:/);
    noComment(github);
  });

  const FAULTS: readonly (readonly [string, DistributiveOmit<GitHubFault, 'at' | 'times'>, RegExp])[] = [
    [
      '410',
      { kind: 'status', status: 410, message: 'Issues are disabled' },
      /410: Issues.*switched that off/,
    ],
    [
      '422',
      { kind: 'status', status: 422, message: 'Validation Failed' },
      /422: Validation Failed.*report it/,
    ],
    ['500', { kind: 'status', status: 500, message: 'on fire' }, /500: on fire.*githubstatus/],
    ['a page', { kind: 'page', status: 502, html: '<h1>Unicorn!</h1>' }, /502: Unicorn!/],
    ['a reset', { kind: 'reset' }, /closed the connection/],
    ['silence', { kind: 'silence' }, /did not answer within 1 s/],
    ['nonsense', { kind: 'json', value: { a: 1 } }, /something that GitHub does not say/],
    [
      'the rate limit of the hour',
      { kind: 'primary-limit', message: 'API rate limit exceeded' },
      /rate limit/,
    ],
    ['a secondary one', { kind: 'secondary-limit', status: 403, retryAfter: 9 }, /secondary rate limit/],
    [
      'a secondary one of 429',
      { kind: 'secondary-limit', status: 429, retryAfter: 9 },
      /secondary rate limit/,
    ],
  ];
  const PLACES: readonly (readonly [Endpoint, 'comment' | 'check-run'])[] = [
    ['user', 'comment'],
    ['comments', 'comment'],
    ['create-comment', 'comment'],
    ['check-runs', 'check-run'],
    ['create-check-run', 'check-run'],
  ];
  for (const [at, surface] of PLACES)
    for (const [what, fault, says] of FAULTS)
      test(`${what} from ${at}`, async () => {
        await using github = await start();
        github.faults.push({ at, ...fault });
        const posts = postsOf(github.url, { deadlineMs: what === 'silence' ? 1_000 : 30_000 });
        const notice = only(await toldBy(how('1', BOTH), posts));
        assert.match(notice.message, says);
        assert.match(notice.message, surface === 'comment' ? /`comment: never`/ : /`check-run: false`/);
        assert.equal(notice.level, 'warning');
        (surface === 'comment' ? noComment : noCheckRun)(github);
      });

  test('no GitHub at all: one notice for each surface', async () => {
    const github = await start();
    await github[Symbol.asyncDispose]();
    const notices = await told(github, [DRIFT], how('1', BOTH));
    assert.deepEqual(
      notices.map(({ title }) => title),
      ['No comment', 'No check run'],
    );
    for (const { message } of notices) assert.match(message, /refused the connection/);
  });

  for (const [what, token] of [
    ['none', undefined],
    ['another', 'other'],
  ] as const)
    test(`a token that is ${what}`, async () => {
      await using github = await start();
      const notices = await toldBy(how('1', BOTH), postsOf(github.url, { token }));
      assert.equal(notices.length, 2);
      for (const { message } of notices) assert.match(message, /no token|401: Bad credentials/);
      assert.match(notices[0]?.message ?? '', COMMENT_LINES);
    });

  test('what GitHub says acts nowhere and gives no token away', async () => {
    await using github = await start();
    const message = `##[error]x\n::error::y \u001b[31m${TOKEN}`;
    github.faults.push({ at: 'comments', kind: 'status', status: 500, message });
    const notice = only(await told(github, [DRIFT], how('1')));
    assert.doesNotMatch(notice.message, /##\[|\p{Cc}|nobody-may-see/u);
  });

  test('a bug of ours is told as one', async () => {
    await using github = await start();
    const posts: GitHubPosts = {
      ...postsOf(github.url),
      comments: () => Promise.reject(new TypeError('x is not a function')),
    };
    const notice = only(await toldBy(how('1', BOTH), posts));
    assert.match(notice.message, /x is not a function.*a bug of ours/);
    noComment(github);
  });
});

describe('a fork', () => {
  const fork = { ...TARGET, readOnly: true };
  test('is not tried, and one notice names the pair of workflows', async () => {
    await using github = await start();
    const notice = only(await told(github, [DRIFT], how('1', BOTH), fork));
    assert.match(
      notice.message,
      /examples\/workflows\/fork-check\.yml.*examples\/workflows\/fork-report\.yml/,
    );
    assert.deepEqual(github.calls, []);
  });

  test('has nothing to be told of what would not be posted', async () => {
    await using github = await start();
    assert.deepEqual(await told(github, [WELL], how('1'), fork), []);
    assert.deepEqual(await told(github, [DRIFT], how('1', { comment: 'never' }), fork), []);
    assert.equal((await told(github, [WELL], how('1', { checkRun: true }), fork)).length, 1);
  });
});

test('a cancelled job is cancelled', async () => {
  await using github = await start();
  github.faults.push({ at: 'comments', kind: 'silence' });
  const cancel = new AbortController();
  github.onCall = (endpoint) => {
    if (endpoint === 'comments') cancel.abort(new UserError('cancelled', 'cancelled', ''));
  };
  await assert.rejects(
    toldBy(how('1', BOTH), postsOf(github.url, { signal: cancel.signal })),
    (error) => error instanceof UserError && error.code === 'cancelled',
  );
});

describe('the pull request of a branch', () => {
  const from = { id: 5, owner: 'mallory' };
  const asked = { owner: 'mallory', repositoryId: 5, branch: 'change', head: HEAD };
  for (const [what, differs, expected] of [
    ['is found', {}, [7]],
    ['is of that repository', { repositoryId: 6 }, []],
    ['is of that commit', { head: 'cd'.repeat(20) }, []],
    ['is of that branch', { branch: 'other' }, []],
    ['is of that owner', { owner: 'trudy' }, []],
  ] as const)
    test(what, async () => {
      await using github = await start({ pullRequests: [{ number: 7, headSha: HEAD, from }] });
      assert.deepEqual(await postsOf(github.url).pullRequestsAt({ ...asked, ...differs }), expected);
    });

  test('is none once it is closed', async () => {
    await using github = await start({ pullRequests: [{ number: 7, headSha: HEAD, from, open: false }] });
    assert.deepEqual(await postsOf(github.url).pullRequestsAt(asked), []);
  });

  test('are several where it is to go into several branches', async () => {
    const pullRequests = [7, 8].map((number) => ({ number, headSha: HEAD, from }));
    await using github = await start({ pullRequests });
    assert.deepEqual(await postsOf(github.url).pullRequestsAt(asked), [7, 8]);
  });
});

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

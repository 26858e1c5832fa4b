import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { z } from 'zod';
import { ALL_RIGHTS, type Right } from '../support/github-rules.ts';
import { type GitHubServer, type GitHubServerOptions, startGitHubServer } from '../support/github-server.ts';

/* The test server refuses what GitHub refuses: one request for each rule. */

const TOKEN = 'ghs_job';
const HEAD = 'ab'.repeat(20);
const REPO = '/repos/octo/models';

const start = (options: Partial<GitHubServerOptions> = {}) =>
  startGitHubServer({
    ...{ repository: 'octo/models', token: TOKEN, pullRequests: [{ number: 7, headSha: HEAD }] },
    others: [{ token: 'ghp_alice', login: 'alice', kind: 'user', rights: ALL_RIGHTS }],
    ...options,
  });

interface Call {
  readonly body?: unknown;
  readonly token?: string;
}

const Told = z.object({
  message: z.string().default(''),
  errors: z.array(z.object({ message: z.string() })).default([]),
});

async function ask(github: GitHubServer, method: string, path: string, { body, token = TOKEN }: Call = {}) {
  const response = await fetch(`${github.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  const value: unknown = text === '' ? {} : JSON.parse(text);
  const { message, errors } = Told.catch({ message: '', errors: [] }).parse(value);
  const says = [message, ...errors.map((one) => one.message)].join(' ');
  return { status: response.status, says, value, link: response.headers.get('link') ?? '' };
}

const annotation = {
  ...{ path: 'determinism.yml', start_line: 1, end_line: 1 },
  ...{ annotation_level: 'failure', message: 'drift' },
};
const run = { name: 'a', head_sha: HEAD, status: 'completed', conclusion: 'success' };
const output = { title: 'a', summary: 'b' };
const withOutput = (more: object) => ({ ...run, output: { ...output, ...more } });
const without = (...rights: readonly Right[]) => ALL_RIGHTS.filter((right) => !rights.includes(right));

describe('a request that GitHub refuses', () => {
  for (const [what, method, path, call, status, says, options] of [
    ['another token', 'GET', '/user', { token: 'x' }, 401, /Bad credentials/],
    ["a job's token as a user's", 'GET', '/user', {}, 403, /not accessible by integration/],
    ['nothing that there is', 'GET', `${REPO}/nothing`, {}, 404, /Not Found/],
    ['another repository', 'GET', '/repos/octo/other/pulls', {}, 404, /Not Found/],
    ['a number that is none', 'GET', `${REPO}/issues/x/comments`, {}, 422, /must be integer/],
    ['a query that it does not know', 'GET', `${REPO}/pulls?color=red`, {}, 422, /additional properties/],
    ['an order that there is none of', 'GET', `${REPO}/pulls?sort=taste`, {}, 422, /allowed values/],
    ['comments of no pull request', 'GET', `${REPO}/issues/8/comments`, {}, 404, /Not Found/],
    ['a comment of nothing', 'POST', `${REPO}/issues/7/comments`, { body: {} }, 422, /body/],
    ['a comment of spaces', 'POST', `${REPO}/issues/7/comments`, { body: { body: ' ' } }, 422, /blank/],
    ['a comment of a number', 'POST', `${REPO}/issues/7/comments`, { body: { body: 1 } }, 422, /string/],
    ['no JSON', 'POST', `${REPO}/issues/7/comments`, { body: '{' }, 400, /Problems parsing JSON/],
    [
      ...(['a comment one character too long', 'POST', `${REPO}/issues/7/comments`] as const),
      ...([{ body: { body: 'x'.repeat(65_537) } }, 422, /too long \(maximum is 65536 characters\)/] as const),
    ],
    [
      ...(['a comment that the workflow does not permit', 'POST', `${REPO}/issues/7/comments`] as const),
      ...([{ body: { body: 'x' } }, 403, /^Resource not accessible by integration/] as const),
      { permissions: without('issues:write', 'pull-requests:write') },
    ],
    [
      ...(['a comment where it is locked', 'POST', `${REPO}/issues/7/comments`] as const),
      ...([{ body: { body: 'x' } }, 403, /issue is locked/] as const),
      { pullRequests: [{ number: 7, headSha: HEAD, locked: true }] },
    ],
    [
      'an edit of no comment',
      'PATCH',
      `${REPO}/issues/comments/1`,
      { body: { body: 'x' } },
      404,
      /Not Found/,
    ],
    ['a check run without a name', 'POST', `${REPO}/check-runs`, { body: { head_sha: HEAD } }, 422, /name/],
    [
      ...(['a check run without its conclusion', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: { ...run, conclusion: undefined } }, 422, /"conclusion" wasn't supplied/] as const),
    ],
    [
      ...(['a check run of no commit', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: { ...run, head_sha: 'cd'.repeat(20) } }, 422, /No commit found for SHA: cdcd/] as const),
    ],
    [
      ...(['a conclusion that there is none of', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: { ...run, conclusion: 'drift' } }, 422, /allowed values/] as const),
    ],
    [
      ...(['a field that it does not know', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: { ...run, colour: 'red' } }, 422, /unknown: colour/] as const),
    ],
    [
      ...(['51 annotations at once', 'POST', `${REPO}/check-runs`] as const),
      { body: withOutput({ annotations: Array.from({ length: 51 }, () => annotation) }) },
      ...([422, /more than 50 items/] as const),
    ],
    [
      ...(['a summary of one byte too many', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: withOutput({ summary: `${'é'.repeat(32_767)}xx` }) }, 422, /Only 65535/] as const),
    ],
    [
      ...(['an output without a summary', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: { ...run, output: { title: 'a' } } }, 422, /summary/] as const),
    ],
    [
      ...(['a level that there is none of', 'POST', `${REPO}/check-runs`] as const),
      { body: withOutput({ annotations: [{ ...annotation, annotation_level: 'error' }] }) },
      ...([422, /allowed values/] as const),
    ],
    [
      ...(['an annotation in line 0', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: withOutput({ annotations: [{ ...annotation, start_line: 0 }] }) }, 422, /range/] as const),
    ],
    [
      ...(["an annotation's title of 256 characters", 'POST', `${REPO}/check-runs`] as const),
      { body: withOutput({ annotations: [{ ...annotation, title: 'x'.repeat(256) }] }) },
      ...([422, /maximum is 255/] as const),
    ],
    [
      ...(["an annotation's message above 64 KB", 'POST', `${REPO}/check-runs`] as const),
      { body: withOutput({ annotations: [{ ...annotation, message: 'x'.repeat(65_537) }] }) },
      ...([422, /64 KB/] as const),
    ],
    [
      ...(['a check run that the workflow does not permit', 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: run }, 403, /^Resource not accessible by integration/] as const),
      { permissions: without('checks:write') },
    ],
    [
      ...(["a person's check run", 'POST', `${REPO}/check-runs`] as const),
      ...([{ body: run, token: 'ghp_alice' }, 403, /must authenticate via a GitHub App/] as const),
    ],
    ['a change of no check run', 'PATCH', `${REPO}/check-runs/1`, { body: { name: 'a' } }, 404, /Not Found/],
    [
      ...(['check runs of no commit', 'GET', `${REPO}/commits/${'cd'.repeat(20)}/check-runs`] as const),
      ...([{}, 422, /No commit found/] as const),
    ],
    [
      ...([
        'check runs that the workflow does not permit',
        'GET',
        `${REPO}/commits/${HEAD}/check-runs`,
      ] as const),
      ...([{}, 403, /not accessible/] as const),
      { permissions: without('checks', 'checks:write') },
    ],
  ] as const satisfies readonly (readonly [
    string,
    string,
    string,
    Call,
    number,
    RegExp,
    Partial<GitHubServerOptions>?,
  ])[])
    test(what, async () => {
      await using github = await start(options);
      const answer = await ask(github, method, path, call);
      assert.equal(answer.status, status, answer.says);
      assert.match(answer.says, says);
    });

  test("somebody else's comment: it is edited and deleted by its author alone", async () => {
    await using github = await start();
    const { id } = github.comment({ pullRequest: 7, author: 'alice', body: 'mine' });
    const path = `${REPO}/issues/comments/${id}`;
    for (const [method, body] of [
      ['PATCH', { body: 'yours' }],
      ['DELETE', undefined],
    ] as const)
      assert.equal((await ask(github, method, path, { body })).status, 403);
    assert.equal(
      (await ask(github, 'PATCH', path, { body: { body: 'new' }, token: 'ghp_alice' })).status,
      200,
    );
    assert.equal((await ask(github, 'DELETE', path, { token: 'ghp_alice' })).status, 204);
    assert.equal((await ask(github, 'DELETE', path, { token: 'ghp_alice' })).status, 404);
    assert.deepEqual(github.comments, []);
  });

  test("another app's check run", async () => {
    const others = [{ token: 'ghs_app', login: 'app[bot]', kind: 'app', rights: ALL_RIGHTS } as const];
    await using github = await start({ others });
    await ask(github, 'POST', `${REPO}/check-runs`, { body: run, token: 'ghs_app' });
    const [made] = github.checkRuns;
    const answer = await ask(github, 'PATCH', `${REPO}/check-runs/${made?.id}`, { body: { name: 'b' } });
    assert.equal(answer.status, 403);
    assert.match(answer.says, /can only be modified by the GitHub App that created it/);
  });

  for (const [kind, fault, status, header] of [
    ['primary', { kind: 'primary-limit', message: 'API rate limit exceeded' }, 403, 'x-ratelimit-remaining'],
    ['secondary', { kind: 'secondary-limit', status: 429, retryAfter: 3 }, 429, 'retry-after'],
  ] as const)
    test(`one above the ${kind} rate limit`, async () => {
      await using github = await start();
      github.faults.push({ at: 'comments', ...fault });
      const response = await fetch(`${github.url}${REPO}/issues/7/comments`);
      assert.equal(response.status, status);
      assert.notEqual(response.headers.get(header), null);
    });
});

describe('what GitHub takes', () => {
  test('a comment as long as they come', async () => {
    await using github = await start();
    const answer = await ask(github, 'POST', `${REPO}/issues/7/comments`, {
      body: { body: 'x'.repeat(65_536) },
    });
    assert.equal(answer.status, 201, answer.says);
  });

  test('a summary of 65,535 bytes and 50 annotations; more are appended', async () => {
    await using github = await start();
    const annotations = Array.from({ length: 50 }, () => annotation);
    const body = withOutput({ annotations, summary: `${'é'.repeat(32_767)}x` });
    const answer = await ask(github, 'POST', `${REPO}/check-runs`, { body });
    assert.equal(answer.status, 201, answer.says);
    const [made] = github.checkRuns;
    await ask(github, 'PATCH', `${REPO}/check-runs/${made?.id}`, {
      body: { output: { ...output, annotations: [annotation] }, conclusion: 'failure' },
    });
    assert.equal(made?.output.annotations.length, 51);
    assert.equal(made.conclusion, 'failure');
  });

  test('a list in pages of a hundred at most, each of which leads on', async () => {
    await using github = await start();
    for (let index = 0; index < 201; index++)
      github.comment({ pullRequest: 7, author: 'alice', body: `${index}` });
    const path = `${REPO}/issues/7/comments`;
    const sizes: number[] = [];
    for (const page of [1, 2, 3]) {
      const { value, link } = await ask(github, 'GET', `${path}?per_page=500&page=${page}`);
      sizes.push(Array.isArray(value) ? value.length : -1);
      assert.equal(/page=\d+[^>]*>; rel="next"/.test(link), page < 3);
    }
    assert.deepEqual(sizes, [100, 100, 1]);
    const { value } = await ask(github, 'GET', path);
    assert.equal(Array.isArray(value) && value.length, 30);
  });

  test('the latest check run of each name, and with `all` each of them', async () => {
    await using github = await start();
    for (const name of ['a', 'a', 'b'])
      await ask(github, 'POST', `${REPO}/check-runs`, { body: { ...run, name } });
    const count = async (query: string) =>
      z
        .object({ check_runs: z.array(z.unknown()) })
        .parse((await ask(github, 'GET', `${REPO}/commits/${HEAD}/check-runs${query}`)).value).check_runs
        .length;
    assert.deepEqual(
      [
        await count(''),
        await count('?filter=all'),
        await count('?check_name=a'),
        await count('?check_name=c'),
      ],
      [2, 3, 1, 0],
    );
  });

  test('a pull request, by its number and by its branch', async () => {
    await using github = await start();
    const Pull = z.object({ number: z.number(), head: z.object({ sha: z.string() }) });
    const pull = Pull.parse((await ask(github, 'GET', `${REPO}/pulls/7`)).value);
    assert.deepEqual(pull, { number: 7, head: { sha: HEAD } });
    const found = async (head: string) =>
      z.array(Pull).parse((await ask(github, 'GET', `${REPO}/pulls?head=${head}`)).value).length;
    assert.deepEqual([await found('octo:change'), await found('mallory:change')], [1, 0]);
  });

  test("a person's own name", async () => {
    await using github = await start();
    const { value } = await ask(github, 'GET', '/user', { token: 'ghp_alice' });
    assert.equal(z.object({ login: z.string() }).parse(value).login, 'alice');
  });
});

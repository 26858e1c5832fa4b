import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { UserError } from '../../src/errors.ts';
import { type GitHubApiOptions, githubApi } from '../../src/github/api.ts';
import { privateFolder } from '../../src/machine/scratch.ts';
import { fails, startServer } from '../support/cache-bench.ts';
import { startCacheServer } from '../support/cache-server.ts';
import { type GitHubServerOptions, startGitHubServer } from '../support/github-server.ts';

const REPOSITORY = 'octo/models';
const TOKEN = 'ghs_token-that-nobody-may-see';
const COMMIT = 'c0ffee'.repeat(6).concat('c0ff');
const OTHER = 'b'.repeat(40);
const SUITE = 'name: größe\n';

async function start(options: Partial<GitHubServerOptions> = {}) {
  return await startGitHubServer({
    repository: REPOSITORY,
    token: TOKEN,
    contents: {
      kind: 'commits',
      commits: {
        [COMMIT]: {
          'determinism.yml': SUITE,
          'suites/my suite#1.yml': 'b',
          latin1: Buffer.from([0xe9]),
          large: 'x'.repeat(2 ** 22 + 1),
        },
      },
    },
    ...options,
  });
}

const apiOf = (url: string, differs: Partial<GitHubApiOptions> = {}) =>
  githubApi({ url, repository: REPOSITORY, token: TOKEN, env: {}, retryBaseMs: 1, ...differs });

describe('a file at a commit', () => {
  for (const [path, text] of [
    ['determinism.yml', SUITE],
    ['suites/my suite#1.yml', 'b'],
    ['absent.yml', undefined],
    // A folder is no file.
    ['suites', undefined],
  ] as const)
    test(`${path} is ${text === undefined ? 'not there' : 'its text'}`, async () => {
      await using github = await start();
      assert.equal(await apiOf(github.url).fileAt(path, COMMIT), text);
    });

  test('is what git has at that commit, not what lies in the folder', async () => {
    await using folder = await privateFolder();
    const git = async (...args: string[]) =>
      (
        await promisify(execFile)('git', [
          ...['-C', folder.path, '-c', 'user.name=a', '-c', 'user.email=a@b', '-c', 'commit.gpgsign=false'],
          ...args,
        ])
      ).stdout.trim();
    await git('init', '-q');
    await mkdir(join(folder.path, 'suites'));
    await writeFile(join(folder.path, 'suites/a.yml'), SUITE);
    await git('add', '.');
    await git('commit', '-q', '-m', 'first');
    const commit = await git('rev-parse', 'HEAD');
    await writeFile(join(folder.path, 'suites/a.yml'), 'changed');
    await using github = await start({ contents: { kind: 'git', folder: folder.path } });
    assert.equal(await apiOf(github.url).fileAt('suites/a.yml', commit), SUITE);
    assert.equal(await apiOf(github.url).fileAt('suites', commit), undefined);
    assert.equal(await apiOf(github.url).fileAt('suites/b.yml', commit), undefined);
  });

  test('of a commit that the token may not see is unknown, not absent', async () => {
    await using github = await start({ permissions: ['actions'] });
    await fails(
      apiOf(github.url).fileAt('determinism.yml', COMMIT),
      'github-unavailable',
      /does not show this job the commit/,
      /permissions:\n {2}contents: read/,
    );
  });

  test('of a commit that is not there is unknown, not absent', async () => {
    await using github = await start();
    await fails(apiOf(github.url).fileAt('determinism.yml', OTHER), 'github-unavailable', /commit/);
  });

  test('needs the right to read', async () => {
    await using github = await start();
    github.faults.push({
      ...{ at: 'contents', kind: 'status', status: 403 },
      message: 'Resource not accessible by integration',
    });
    await fails(
      apiOf(github.url).fileAt('determinism.yml', COMMIT),
      'github-unavailable',
      /refused determinism\.yml at c0ffee.*403: Resource not accessible by integration/,
      /permissions:\n {2}contents: read/,
    );
  });

  for (const [what, token] of [
    ['no token', undefined],
    ['another token', 'other'],
  ] as const)
    test(`needs its token: ${what}`, async () => {
      await using github = await start();
      await fails(
        apiOf(github.url, { token }).fileAt('determinism.yml', COMMIT),
        'github-unavailable',
        /no token|Bad credentials/,
        /contents: read/,
      );
    });

  for (const [path, says] of [
    ['latin1', /no UTF-8/],
    ['large', /more than 4194304 bytes/],
  ] as const)
    test(`that is ${path} is an error`, async () => {
      await using github = await start();
      await fails(apiOf(github.url).fileAt(path, COMMIT), 'github-unavailable', says);
    });
});

describe('whether a commit is in another, or in a branch', () => {
  const [first, second, apart] = ['1', '2', '3'].map((digit) => digit.repeat(40)) as [string, string, string];
  const commits = { [first]: {}, [apart]: {}, [second]: {} };
  const history = () =>
    start({
      contents: { kind: 'commits', commits, heads: { main: second, 'release/1': first } },
      parents: { [second]: [first] },
    });

  test('is what GitHub says of their histories, without the files that changed', async () => {
    await using github = await history();
    const api = apiOf(github.url);
    for (const [commit, head, kind] of [
      [first, second, 'yes'],
      [first, first, 'yes'],
      [second, first, 'no'],
      [apart, second, 'no'],
      [first, 'main', 'yes'],
      [second, 'release/1', 'no'],
    ] as const)
      assert.deepEqual(await api.isIn(commit, head), { kind }, `${commit} in ${head}`);
    assert.ok(github.calls.every((call) => call.endsWith('?per_page=1&page=2')));
  });

  test('is unknown of what GitHub does not have or show, and an outage is an error', async () => {
    await using github = await history();
    for (const head of [OTHER, 'gone'])
      assert.deepEqual(await apiOf(github.url).isIn(first, head), { kind: 'unknown', why: '404: Not Found' });
    const { kind } = await apiOf(github.url, { token: undefined }).isIn(first, second);
    assert.equal(kind, 'unknown');
    github.faults.push({ at: 'compare', kind: 'status', status: 500, message: 'not today' });
    await fails(
      apiOf(github.url).isIn(first, second),
      'github-unavailable',
      /answered 500: not today, asked for whether 2{40} has the commit 1{40}/,
    );
  });
});

describe('the tip of a branch', () => {
  const contents = { kind: 'commits', commits: { [COMMIT]: {} }, heads: { 'release/1': COMMIT } } as const;

  test('is its commit', async () => {
    await using github = await start({ contents });
    assert.equal(await apiOf(github.url).tipOf('release/1'), COMMIT);
  });

  for (const [what, differs] of [
    ['no such branch', { contents: { ...contents, heads: {} } }],
    ['nothing that the token may see', { contents, permissions: [] }],
  ] as const)
    test(`is unknown: ${what}`, async () => {
      await using github = await start(differs);
      await fails(
        apiOf(github.url).tipOf('release/1'),
        'github-unavailable',
        /does not show this job the tip of the branch release\/1 \(404/,
        /contents: read/,
      );
    });
});

describe('the list of cache entries', () => {
  const version = 'a'.repeat(64);
  const archive = Buffer.from('bits');

  test('has the entries of all branches under a prefix, whatever the number of pages', async () => {
    await using caches = await startCacheServer();
    for (let index = 0; index < 201; index++)
      caches.put({
        key: `a/${index}`,
        version,
        archive,
        ref: index % 2 === 0 ? 'refs/heads/main' : 'refs/pull/1/merge',
      });
    caches.put({ key: 'b/1', version, archive });
    await using github = await start({ caches });
    const answer = await apiOf(github.url).list('a/');
    assert.ok(answer.kind === 'listed');
    assert.deepEqual(
      answer.entries.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt)),
      caches.entries.slice(0, 201).map(({ key, ref, createdAt }) => ({ key, ref, version, createdAt })),
    );
    assert.equal(github.calls.length, 3);
  });

  test('misses none when an entry is made between two pages', async () => {
    await using caches = await startCacheServer();
    for (let index = 0; index < 150; index++) caches.put({ key: `a/${index}`, version, archive });
    await using github = await start({ caches });
    let asked = 0;
    github.onCall = () => {
      if (asked++ === 1) caches.put({ key: 'a/new', version, archive });
    };
    const answer = await apiOf(github.url).list('a/');
    assert.ok(answer.kind === 'listed');
    assert.equal(new Set(answer.entries.map(({ key }) => key)).size, 150);
  });

  test('that does not end is an error', async () => {
    await using github = await start();
    const entry = { key: 'a/1', ref: 'refs/heads/main', version, created_at: '2026-11-23T04:00:00Z' };
    const actions_caches = Array.from({ length: 100 }, (_, id) => ({ ...entry, id }));
    github.faults.push({ at: 'caches', kind: 'json', value: { actions_caches } });
    await fails(apiOf(github.url).list('a/'), 'github-unavailable', /more than 2000 entries/);
    assert.equal(github.calls.length, 20);
  });

  for (const [what, differs, server, says] of [
    ['no token', { token: undefined }, {}, /no token/],
    ['an empty token', { token: '' }, {}, /no token/],
    ['no repository', { repository: '' }, {}, /does not know its repository/],
    ['a wrong token', { token: 'other' }, {}, /401: Bad credentials/],
    ['no permission', {}, { permissions: ['contents'] }, /403: Resource not accessible by integration/],
    ['another repository', { repository: 'octo/other' }, {}, /404: Not Found/],
  ] as const)
    test(`is denied with ${what}, and the line that helps is told`, async () => {
      await using github = await start(server);
      const answer = await apiOf(github.url, differs).list('a/');
      assert.ok(answer.kind === 'denied');
      assert.match(answer.why, says);
      assert.match(answer.why, /^[A-Z].*\.$/);
      assert.match(answer.remedy, /permissions: \{ actions: read \}/);
    });

  for (const [what, value] of [
    ['no object', 'x'],
    ['no list', { total_count: 1 }],
    [
      'an entry without a branch',
      { actions_caches: [{ id: 1, key: 'a', version, created_at: '2026-11-23T04:00:00Z' }] },
    ],
    [
      'an entry of no time',
      { actions_caches: [{ id: 1, key: 'a', ref: 'b', version, created_at: 'yesterday' }] },
    ],
    [
      'keys without end',
      { actions_caches: [{ id: 1, key: 'a'.repeat(2000), ref: 'b', version, created_at: '2026-11-23' }] },
    ],
  ] as const)
    test(`of ${what} is an outage`, async () => {
      await using github = await start();
      github.faults.push({ at: 'caches', kind: 'json', value });
      await fails(apiOf(github.url).list('a/'), 'github-unavailable', /something that GitHub does not say/);
    });
});

describe('the pull request of a commit', () => {
  const merged = (number: number, day: string, merge_commit_sha: string | null = null) => ({
    ...{ number, merged_at: `2026-11-${day}T00:00:00Z`, merge_commit_sha },
  });
  for (const [what, pulls, expected] of [
    ['merged as this commit', [merged(3, '01'), merged(4, '02', COMMIT)], 4],
    ['merged first of those that carry it', [merged(9, '09'), merged(8, '08')], 8],
    ['not merged', [{ number: 5, merged_at: null, merge_commit_sha: COMMIT }], undefined],
    ['none', [], undefined],
  ] as const)
    test(what, async () => {
      await using github = await start({ pulls: { [COMMIT]: pulls } });
      assert.equal(await apiOf(github.url).pullRequestOf(COMMIT), expected);
    });

  test('is nobody that the job may not know', async () => {
    await using github = await start({ permissions: ['contents'], pulls: { [COMMIT]: [merged(3, '01')] } });
    assert.equal(await apiOf(github.url).pullRequestOf(COMMIT), undefined);
    assert.equal(await apiOf(github.url, { token: undefined }).pullRequestOf(COMMIT), undefined);
  });

  test('is an error when GitHub does not answer', async () => {
    await using github = await start();
    const fault = { at: 'pulls', kind: 'status', status: 500, message: 'on fire' } as const;
    github.faults.push(fault);
    await fails(apiOf(github.url).pullRequestOf(COMMIT), 'github-unavailable', /500: on fire/);
  });
});

describe('whose run it is', () => {
  const HEAD = 'ab'.repeat(20);
  const commits = { 7: [...Array.from({ length: 120 }, (_, at) => at.toString(16).padStart(40, '0')), HEAD] };
  const run = { event: 'pull_request', head_sha: HEAD, from: 1 };
  for (const [what, given, pullRequest, expected] of [
    ['of the pull request, by a commit of its second page', run, 7, { kind: 'yes' }],
    ['of another one', { ...run, head_sha: 'cd'.repeat(20) }, 7, { kind: 'no' }],
    ['a stranger’s', { ...run, from: 2 }, 7, { kind: 'no' }],
    ['started by hand', { ...run, event: 'workflow_dispatch' }, 7, { kind: 'no' }],
    ['of a pull request that GitHub does not know', run, 8, { kind: 'unknown', why: '404: Not Found' }],
  ] as const)
    test(what, async () => {
      await using github = await start({ runs: { 12: given }, commits });
      assert.deepEqual(await apiOf(github.url).isRunOf('12', pullRequest), expected);
    });

  test('is unknown where the job may not ask, and nobody is asked for what is no run', async () => {
    await using github = await start({ permissions: ['contents'], runs: { 12: run }, commits });
    const api = apiOf(github.url);
    assert.equal((await api.isRunOf('12', 7)).kind, 'unknown');
    assert.equal((await apiOf(github.url, { token: undefined }).isRunOf('12', 7)).kind, 'unknown');
    const asked = github.calls.length;
    assert.deepEqual(await api.isRunOf('12/../13', 7), { kind: 'no' });
    assert.equal(github.calls.length, asked);
  });
});

describe('an outage of GitHub is an error, and no answer', () => {
  for (const [what, fault, says, calls] of [
    ['500', { kind: 'status', status: 500, message: 'on fire' }, /answered 500: on fire/, 4],
    ['503', { kind: 'status', status: 503, message: 'busy' }, /answered 503: busy/, 4],
    ['a reset', { kind: 'reset' }, /closed the connection/, 4],
    [
      'a page',
      { kind: 'page', status: 502, html: '<style>a{}</style><h1>Unicorn!</h1>' },
      /answered 502: Unicorn!/,
      4,
    ],
    [
      "a proxy's page",
      { kind: 'page', status: 200, html: '<h1>Log in</h1>' },
      /something that GitHub does not say/,
      1,
    ],
    [
      'a secondary rate limit',
      { kind: 'secondary-limit', status: 403, retryAfter: 3 },
      /403: .*secondary rate limit/,
      2,
    ],
    [
      'a rate limit of 429',
      { kind: 'secondary-limit', status: 429, retryAfter: 3 },
      /429: .*secondary rate limit/,
      2,
    ],
    [
      'a long rate limit',
      { kind: 'secondary-limit', status: 403, retryAfter: 90_000 },
      /secondary rate limit/,
      1,
    ],
    [
      'the rate limit of the hour',
      { kind: 'primary-limit', message: 'API rate limit exceeded for installation ID 7.' },
      /403: API rate limit exceeded/,
      1,
    ],
    [
      'a rate limit that only headers tell',
      { kind: 'primary-limit', message: 'Forbidden' },
      /403: Forbidden/,
      1,
    ],
    [
      'a redirect to another host',
      { kind: 'elsewhere', location: 'http://127.0.0.1:1/' },
      /sends to another host/,
      4,
    ],
  ] as const)
    for (const at of ['caches', 'contents'] as const)
      test(`${what}, asked for ${at}`, async () => {
        await using github = await start();
        github.faults.push({ at, ...fault });
        const api = apiOf(github.url);
        await fails(
          at === 'caches' ? api.list('a/') : api.fileAt('determinism.yml', COMMIT),
          'github-unavailable',
          says,
          /githubstatus/,
          /no verdict/,
        );
        assert.equal(github.calls.length, calls);
      });

  test('one that passes is none', async () => {
    await using github = await start();
    github.faults.push({ at: 'contents', kind: 'status', status: 503, message: 'busy', times: 2 });
    github.faults.push({ at: 'contents', kind: 'secondary-limit', status: 403, retryAfter: 1, times: 1 });
    assert.equal(await apiOf(github.url).fileAt('determinism.yml', COMMIT), SUITE);
  });

  test('a black hole, within the own deadline', async () => {
    await using github = await start();
    github.faults.push({ at: 'caches', kind: 'silence' });
    const api = apiOf(github.url, { deadlineMs: 200 });
    await fails(api.list('a/'), 'github-unavailable', /did not answer within 0.2 s/);
  });

  test('a pause before a next try does not outlast the deadline', async () => {
    await using github = await start();
    github.faults.push({ at: 'caches', kind: 'status', status: 500, message: 'on fire' });
    const api = apiOf(github.url, { deadlineMs: 100, retryBaseMs: 700 });
    let isPast = false;
    const timer = setTimeout(() => {
      isPast = true;
    }, 500);
    await fails(api.list('a/'), 'github-unavailable', /did not answer within 0.1 s/);
    assert.equal(isPast, false);
    clearTimeout(timer);
  });

  test('nobody there', async () => {
    const github = await start();
    await github[Symbol.asyncDispose]();
    await fails(apiOf(github.url).list('a/'), 'github-unavailable', /refused the connection/);
  });

  test('an answer without end', async () => {
    await using server = await startServer((_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const more = () => {
        while (response.write(Buffer.alloc(2 ** 16, ' ')));
        response.once('drain', more);
      };
      more();
    });
    await fails(apiOf(`http://${server.host}`).list('a/'), 'github-unavailable', /more than 4194304 bytes/);
  });

  test('a cancelled job ends with its own reason', async () => {
    await using github = await start();
    github.faults.push({ at: 'caches', kind: 'silence' });
    const cancel = new AbortController();
    github.onCall = () => cancel.abort(new UserError('cancelled', 'cancelled', ''));
    await fails(apiOf(github.url, { signal: cancel.signal }).list('a/'), 'cancelled');
  });
});

describe('what GitHub or somebody in its place says', () => {
  const hostile = `##[add-path]evil\n::stop-commands::x \u001b[31m${TOKEN} ${'long '.repeat(500)}`;
  for (const status of [403, 500])
    test(`acts nowhere and gives no token away (${status})`, async () => {
      await using github = await start();
      github.faults.push({ at: 'contents', kind: 'status', status, message: hostile });
      await assert.rejects(apiOf(github.url).fileAt('determinism.yml', COMMIT), (error) => {
        assert.ok(error instanceof UserError);
        assert.match(error.message, /evil/);
        assert.doesNotMatch(error.message, /##\[|^::|\p{Cc}/u);
        assert.doesNotMatch(`${error.message}${error.hint}`, new RegExp(TOKEN));
        assert.ok(error.message.length < 600);
        return true;
      });
    });

  test('a redirect on the same host is followed: the repository was renamed', async () => {
    await using github = await start();
    const location = `${github.url}/repos/${REPOSITORY}/contents/determinism.yml?ref=${COMMIT}`;
    github.faults.push({ at: 'contents', kind: 'elsewhere', location, times: 1 });
    assert.equal(await apiOf(github.url).fileAt('renamed.yml', COMMIT), SUITE);
  });

  test("it is asked through the runner's proxy", async () => {
    const asked: string[] = [];
    await using proxy = await startServer((request, response) => {
      asked.push(request.url ?? '');
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"message":"Not Found"}');
    });
    const api = apiOf('http://api.invalid', { env: { http_proxy: `http://${proxy.host}` } });
    assert.equal((await api.list('a/')).kind, 'denied');
    assert.match(asked.join(), /^http:\/\/api\.invalid\/repos\/octo\/models\/actions\/caches/);
  });
});

import assert from 'node:assert/strict';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { readSituation } from '../../../src/front/event.ts';
import type { Situation } from '../../../src/job/situation.ts';
import { EVENTS, type EventOptions, payloadOf, refOf, SHAS } from '../../support/events.ts';
import { temporaryFolder } from '../../support/runtimes.ts';

/** What is read of an event; a text is the payload's file as it is. */
async function read(
  event: string,
  payload: unknown = payloadOf(event),
  ref = refOf(event),
): Promise<Situation> {
  await using folder = await temporaryFolder();
  const path = join(folder.path, 'event.json');
  await writeFile(path, typeof payload === 'string' ? payload : JSON.stringify(payload));
  return await readSituation(
    {
      GITHUB_EVENT_NAME: event,
      GITHUB_REF: ref,
      GITHUB_SHA: SHAS.commit,
      GITHUB_EVENT_PATH: path,
    },
    'action',
  );
}

const MAIN = 'refs/heads/main';
const PULL_REQUESTS = ['pull_request', 'pull_request_review', 'pull_request_review_comment'] as const;

describe('what started a run', () => {
  test('is read from the environment and the payload', async () => {
    assert.deepEqual(await read('push'), {
      door: 'action',
      event: 'push',
      ref: 'refs/heads/main',
      commit: SHAS.commit,
      defaultBranch: 'main',
      base: undefined,
      fork: false,
      subject: { kind: 'commit', head: SHAS.commit },
    });
  });

  for (const event of PULL_REQUESTS) {
    test(`${event}: where the change is to go, and whether it is a stranger's`, async () => {
      const { base, fork, defaultBranch } = await read(event);
      assert.deepEqual(
        { base, fork, defaultBranch },
        {
          base: MAIN,
          fork: false,
          defaultBranch: 'main',
        },
      );
    });

    const strangers: readonly [string, EventOptions][] = [
      ['a fork', { fork: true }],
      ['a fork that was deleted', { fork: true, deleted: true }],
      ['a branch whose repository the payload leaves out', { deleted: true }],
    ];
    for (const [from, options] of strangers)
      test(`${event} from ${from} is a stranger's; its base is known`, async () => {
        const { base, fork } = await read(event, payloadOf(event, options));
        assert.deepEqual({ base, fork }, { base: MAIN, fork: true });
      });

    for (const payload of ['', '{"pull_request": {', '[]', 'null', '{}', '{"pull_request": null}'])
      test(`${event} with the payload ${JSON.stringify(payload)}: not to know is no permission`, async () => {
        const { base, fork, defaultBranch } = await read(event, payload);
        assert.deepEqual(
          { base, fork, defaultBranch },
          { base: undefined, fork: true, defaultBranch: undefined },
        );
      });
  }

  test('a merged pull request runs on the branch it went into, and is a pull request all the same', async () => {
    const { event, ref, base } = await read('pull_request', payloadOf('pull_request'), 'refs/heads/main');
    assert.deepEqual({ event, ref, base }, { event: 'pull_request', ref: 'refs/heads/main', base: MAIN });
  });

  test('two repositories of one name are two: the ids differ', async () => {
    const payload = JSON.parse(JSON.stringify(payloadOf('pull_request'))) as {
      pull_request: { head: { repo: { id: number } } };
    };
    payload.pull_request.head.repo.id += 1;
    assert.equal((await read('pull_request', payload)).fork, true);
  });

  for (const [what, base] of Object.entries({
    'no branch': { sha: SHAS.base },
    'a branch that no branch can be': { ref: 'main\n::error::', sha: SHAS.base },
    'a branch of a thousand characters': { ref: 'x'.repeat(1000), sha: SHAS.base },
  }))
    test(`${what} is no base`, async () => {
      const payload = { ...payloadOf('pull_request'), pull_request: { number: 7, base } };
      const read7 = await read('pull_request', payload);
      assert.deepEqual({ base: read7.base }, { base: undefined });
    });

  test('a merge group: its base, and no stranger, since somebody has queued it', async () => {
    const { base, fork, ref } = await read('merge_group');
    assert.deepEqual({ base, fork }, { base: MAIN, fork: false });
    assert.match(ref, /^refs\/heads\/gh-readonly-queue\//);
  });

  test('a merge group that does not tell its base has none', async () => {
    const group = { head_sha: SHAS.head };
    assert.equal((await read('merge_group', { merge_group: group })).base, undefined);
    const tag = { base_ref: 'refs/tags/main', base_sha: SHAS.base };
    assert.equal((await read('merge_group', { merge_group: tag })).base, undefined);
  });

  test('a schedule runs on the default branch, though its payload does not name it', async () => {
    assert.equal((await read('schedule', payloadOf('schedule'), 'refs/heads/trunk')).defaultBranch, 'trunk');
    const named = { ...payloadOf('schedule'), repository: { default_branch: 'main' } };
    assert.equal((await read('schedule', named, 'refs/heads/trunk')).defaultBranch, 'main');
    assert.equal((await read('schedule', payloadOf('schedule'), 'refs/tags/v1')).defaultBranch, undefined);
  });

  test('on another event, a payload without a default branch leaves it open', async () => {
    for (const payload of [
      '',
      '{}',
      '{"repository": {"default_branch": ""}}',
      '{"repository": {"default_branch": 1}}',
    ])
      assert.equal((await read('push', payload)).defaultBranch, undefined, payload);
  });

  test('only pull requests have a number, and only what is to be merged has a base', async () => {
    const merged = ['pull_request_target', 'merge_group', ...PULL_REQUESTS];
    for (const event of EVENTS) {
      const { base } = await read(event);
      assert.equal(base !== undefined, merged.includes(event), event);
    }
  });

  test('a report is about the pull request’s own head, never the merge commit', async () => {
    for (const event of ['pull_request_target', ...PULL_REQUESTS])
      for (const fork of [false, true])
        assert.deepEqual((await read(event, payloadOf(event, { fork }))).subject, {
          kind: 'pull-request',
          number: 7,
          head: SHAS.head,
        });
  });

  test('after another workflow it is about what that one ran on, whatever this one’s commit', async () => {
    const { subject } = await read('workflow_run');
    assert.deepEqual(subject, {
      kind: 'workflow-run',
      run: { id: '2', attempt: '1' },
      head: SHAS.head,
      conclusion: 'success',
      pullRequests: [],
      from: { owner: 'mallory', repositoryId: 98765432, branch: 'change' },
    });
    const told = payloadOf('workflow_run')['workflow_run'] as Readonly<Record<string, unknown>>;
    const with_ = async (more: object) =>
      (await read('workflow_run', { ...payloadOf('workflow_run'), workflow_run: { ...told, ...more } }))
        .subject;
    const pull = (number: number, sha: string, id: number) => ({
      ...{ number, head: { sha }, base: { repo: { id } } },
    });
    const pulls = [pull(3, SHAS.head, 666), pull(9, SHAS.head, 1296269), pull(5, SHAS.base, 1296269)];
    assert.partialDeepStrictEqual(await with_({ pull_requests: pulls, run_attempt: 3, conclusion: null }), {
      run: { attempt: '3' },
      conclusion: '',
      // Not those of another repository, nor at another commit.
      pullRequests: [9],
    });
    for (const gone of [{ head_repository: null }, { head_branch: null }, { head_branch: 'a b' }])
      assert.partialDeepStrictEqual(await with_(gone), { head: SHAS.head, from: undefined });
    for (const wrong of [{ id: '2' }, { head_sha: 'main' }, { head_sha: `${SHAS.head}\n` }])
      assert.deepEqual(await with_(wrong), { kind: 'none' });
  });

  test('what another workflow measured is a stranger’s word unless it was our own branch', async () => {
    const payload = payloadOf('workflow_run');
    const told = payload['workflow_run'] as Readonly<Record<string, unknown>>;
    const ours = { ...payload, workflow_run: { ...told, head_repository: payload['repository'] } };
    assert.equal((await read('workflow_run', ours)).fork, false);
    assert.equal((await read('workflow_run')).fork, true);
    for (const gone of [{ ...payload, workflow_run: { ...told, head_repository: null } }, {}, ''])
      assert.equal((await read('workflow_run', gone)).fork, true);
  });

  test('no file, no environment, a terminal', async () => {
    const nothing = {
      door: 'action',
      commit: '',
      ref: '',
      defaultBranch: undefined,
      base: undefined,
      subject: { kind: 'none' },
    };
    assert.deepEqual(await readSituation({}, 'action'), { ...nothing, event: '', fork: false });
    assert.deepEqual(await readSituation({ GITHUB_EVENT_NAME: '' }, 'terminal'), {
      ...nothing,
      door: 'terminal',
      event: 'cli',
      fork: false,
    });
    const lost = { GITHUB_EVENT_NAME: 'pull_request', GITHUB_EVENT_PATH: '/nowhere/event.json' };
    assert.deepEqual(await readSituation(lost, 'action'), { ...nothing, event: 'pull_request', fork: true });
  });

  test('a payload larger than GitHub sends is not read', async () => {
    await using folder = await temporaryFolder();
    const path = join(folder.path, 'event.json');
    await writeFile(path, '{}');
    await truncate(path, 10 * 1024 ** 3);
    const { fork } = await readSituation(
      { GITHUB_EVENT_NAME: 'pull_request', GITHUB_EVENT_PATH: path },
      'action',
    );
    assert.equal(fork, true);
  });
});

import assert from 'node:assert/strict';
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { cacheVersion } from '../../src/baseline/cache/service.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { stepHere } from '../e2e/support/here.ts';
import { reportOf } from '../e2e/support/reports.ts';
import { runStep } from '../e2e/support/spawn.ts';
import { ANYWHERE, BASELINES, checkout, copied, type SuiteOptions } from '../e2e/support/suites.ts';
import {
  type Asked,
  annotated,
  archiveOf,
  assertConcluded,
  assertFailed,
  assertTrouble,
  assertWarned,
  bomb,
  cached,
  type HostedOptions,
  hosted as hostedBy,
  INSIDE,
  MAIN,
  type Member,
  PULL,
  type Stepped,
  type Trouble,
} from '../e2e/support/trust.ts';
import { bytesBelow } from '../support/cache-baseline.ts';
import type { Put } from '../support/cache-server.ts';
import { SHAS } from '../support/events.ts';
import { fault } from '../support/fault.ts';
import { tried } from '../support/tried.ts';

let action: Action;
/** The baseline of the suite `a`, as a refresh on the default branch stored it. */
let seed: Put;
/** `deterministic-ml-v1/a/<class>/`, and the class. */
let shelf: string;
let hardwareClass: string;

before(async () => {
  action = await builtAction('scripted');
  await using repository = await hosted();
  const { exitCode, log } = await repository.refresh();
  const [entry] = repository.cache.entries;
  assert.ok(exitCode === 0 && entry !== undefined, log);
  seed = { key: entry.key, version: entry.version, archive: entry.archive };
  shelf = entry.key.slice(0, entry.key.lastIndexOf('/') + 1);
  hardwareClass = shelf.split('/')[2] ?? '';
});
after(() => action[Symbol.asyncDispose]());

/** In this process; those through the built action say so. */
const hosted = (options: HostedOptions = {}) => hostedBy(action, { by: stepHere, ...options });

/** A repository whose default branch has the baseline in the cache. */
const withBaseline = (options: HostedOptions = {}) => hosted({ seeds: [seed], ...options });

const DRIFT: SuiteOptions = { args: { logprob: -0.5 } };
/** A base branch that lets pass whatever a policy can. */
const LAX: SuiteOptions = { policy: { 'no-baseline': 'warn', incomparable: 'warn' } };
const ALTERED = /This change alters what judges it: Here refs\/heads\/main judges/;
const LOOKUP = 'GetCacheEntryDownloadURL';
/** What a newer run would have called the same bits. */
const newerKey = () => seed.key.replace(/[^/]+(?=-[0-9a-f]{16}$)/, '9999999999999-1');

/** Each machine computes something else, and none what it did. */
const DRIFTS_BY_LEVEL = `import os
args["logprob"] = {"l4": -0.5, "h100": -0.75}[os.environ["LC_LEVEL"]]`;

describe('a baseline in the cache', () => {
  test('is refreshed on the default branch, reproduced by a pull request, and a changed engine drifts', async () => {
    await using repository = await hosted({ by: runStep });
    const refreshed = await repository.refresh();
    assertConcluded(refreshed, 'reproduced', 'pass', repository.cache.entries[0]?.key);
    assert.match(refreshed.log, /Stored a baseline of .*, refreshed by octocat for “first one”/);
    const stored = repository.stored();
    assert.equal(stored.length, 1);
    assert.equal(stored[0]?.ref, MAIN);

    const checked = await repository.step();
    assertConcluded(checked, 'reproduced', 'pass', stored[0]?.key);
    assert.match(checked.log, /Compared with the baseline of .*, refreshed by octocat for “first one”/);
    assert.match(checked.log, /Its place is proven: the repository's list has it on refs\/heads\/main, and/);
    assert.deepEqual(annotated(checked, 'warning'), []);

    const drifted = await repository.step({ suite: DRIFT });
    assertConcluded(drifted, 'drift', 'fail', stored[0]?.key);
    assert.match(drifted.log, /same tokens, other log-probability bits/);
    assert.deepEqual(repository.stored(), stored, 'a check stores nothing');
  });

  test('that main accepted later is no drift of a commit which lacks it: its ancestors’ baseline counts', async () => {
    await using repository = await hosted();
    const at = { env: { GITHUB_SHA: SHAS.base } };
    const first = await repository.refresh(at);
    const accepted = await repository.refresh({ suite: DRIFT, with: { reason: 'another constant' } });
    assertConcluded(accepted, 'reproduced', 'pass');
    const behind = await repository.step(at);
    assertConcluded(behind, 'reproduced', 'pass', first.outputs['baseline-key']);
    assert.match(behind.log, /main accepted “another constant” in c0ffeec \(.*\), and this commit lacks it/);
    assertConcluded(await repository.step(), 'drift', 'fail', accepted.outputs['baseline-key']);

    repository.cache.evict(first.outputs['baseline-key'] ?? '');
    const gone = await repository.step({ ...at, suite: LAX });
    assertConcluded(gone, 'no-baseline', 'fail', '');
    assertWarned(gone, /The baseline of this commit is not kept any more: main accepted .* Merge main\./);
  });

  test('is another one on each hardware class, with an acceptance of its own', async () => {
    await using repository = await hosted({ base: ANYWHERE });
    const levels = ['l4', 'h100'] as const;
    const on = (level: string) => ({ env: { LC_LEVEL: level } });
    const stored = new Map<string, Stepped>();
    for (const level of levels)
      stored.set(level, await repository.refresh({ ...on(level), suite: ANYWHERE }));
    const classOf = (level: string) => stored.get(level)?.outputs['hardware-class'] ?? '?';
    const keyOf = (level: string) => stored.get(level)?.outputs['baseline-key'] ?? '?';
    for (const outcome of stored.values()) assertConcluded(outcome, 'reproduced', 'pass');
    assert.notEqual(classOf('l4'), classOf('h100'));
    const warm = await repository.step({ event: 'schedule', suite: ANYWHERE, with: { mode: 'log' } });
    assert.match(warm.log, /“first one”[\s\S]*“first one”/);

    const suite = { ...ANYWHERE, args: { on_load: DRIFTS_BY_LEVEL } };
    repository.base['determinism.yml'] = cached(suite);
    const accept = [];
    for (const level of levels) {
      const drifted = await repository.step({ ...on(level), suite });
      assertConcluded(drifted, 'drift', 'fail', keyOf(level));
      accept.push(...copied(drifted.log));
    }
    assert.deepEqual(
      accept.map((line) => line['hardware-class']),
      levels.map(classOf),
    );
    for (const level of levels) {
      const accepted = await repository.step({ ...on(level), suite: { ...suite, accept } });
      assertConcluded(accepted, 'drift', 'pass', keyOf(level));
      assert.equal(accepted.outputs['accepted'], 'true');
      for (const kind of ['error', 'warning'] as const)
        assert.deepEqual(annotated(accepted, kind), [], 'the line of the other class is not stale here');
    }

    repository.cache.evict(keyOf('l4'));
    const gone = await repository.step({ ...on('l4'), suite });
    assertConcluded(gone, 'incomparable', 'fail', '');
    assert.ok(gone.log.includes(classOf('h100')), gone.log);
  });

  tried(
    'baseline shadowed by a newer name',
    'a baseline of a newer name on the pull request’s own branch',
    'only entries that the repository’s list places on the default or base branch count',
    async () => {
      await using repository = await withBaseline();
      repository.cache.put({ ...seed, key: newerKey(), ref: PULL });
      const outcome = await repository.step();
      assertConcluded(outcome, 'reproduced', 'pass', seed.key);
      assert.ok(outcome.log.includes(`Near, but not taken: "${newerKey()}", since it lies on ${PULL}.`));
    },
  );

  test('on the pull request’s own branch alone is none', async () => {
    await using repository = await hosted();
    repository.cache.put({ ...seed, ref: PULL });
    const outcome = await repository.step();
    assertConcluded(outcome, 'no-baseline', 'fail', '');
    assert.match(outcome.log, /on refs\/heads\/main: there is none that this action wrote/);
    assert.match(outcome.log, /since it lies on refs\/pull\/7\/merge/);
    assert.ok(!repository.cache.calls.includes('download'));
  });

  tried(
    'baseline under a name that begins alike',
    'entries of suites and hardware classes whose names begin like this one’s, and of names of no form',
    'a key is parted before it is compared: none of them is taken, and what lies near is named',
    async () => {
      const others = () => [
        { ...seed, key: newerKey().replace('/a/', '/a-b/') },
        { ...seed, key: newerKey().replace(`/${hardwareClass}/`, `/${hardwareClass}-2/`) },
      ];
      await using repository = await withBaseline();
      for (const other of others()) repository.cache.put(other);
      for (const name of ['latest', '1-1-abababababababab/more', '##[add-path]evil'])
        repository.cache.put({ ...seed, key: `${shelf}${name}` });
      const outcome = await repository.step();
      assertConcluded(outcome, 'reproduced', 'pass', seed.key);
      assert.match(outcome.log, /Near, but not taken: ".*\/latest", since this action gives no such name/);
      assert.ok(!outcome.commands.some(({ command }) => command === 'add-path'));

      await using without = await hosted();
      for (const other of others()) without.cache.put(other);
      const incomparable = await without.step();
      assertConcluded(incomparable, 'incomparable', 'fail', '');
      const told = `Of the same suite there are baselines of other hardware: ${hardwareClass}-2.\n`;
      assert.ok(incomparable.log.includes(told), incomparable.log);
      assert.ok(incomparable.summary.replaceAll('&#45;', '-').includes(told));
      without.cache.evict(others()[1]?.key ?? '');
      assertConcluded(await without.step(), 'no-baseline', 'fail', '');
    },
  );

  test('of no form, on the default branch, hides what is behind it there', async () => {
    await using repository = await withBaseline();
    repository.cache.put({ ...seed, key: `${shelf}latest` });
    const before = repository.stored();
    for (const outcome of [await repository.step({ event: 'push' }), await repository.refresh()])
      await assertFailed(repository, before, outcome, {
        code: 'baseline-invalid',
        says: /The newest cache entry under ".*" is ".*\/latest", a name that this action does not give/,
        advises: /let it use another name. Then delete it: `gh cache delete`/,
      });
  });

  tried(
    'baseline of another suite',
    'another suite’s baseline, stored under this one’s key',
    'a baseline names its suite, and must be of the one that asks',
    async () => {
      await using repository = await hosted({ base: { name: 'a-b' } });
      const { log } = await repository.refresh({ suite: { name: 'a-b' } });
      const [foreign] = repository.cache.entries;
      assert.ok(foreign, log);
      const seeds = [{ ...foreign, key: foreign.key.replace('/a-b/', '/a/') }];
      await using victim = await hosted({ seeds });
      await assertFailed(victim, victim.stored(), await victim.step(), {
        code: 'baseline-invalid',
        says: /belongs to the suite `a-b`. Nothing was compared/,
        advises: /find out who can write to the store/,
      });
    },
  );
});

describe('an entry that a stranger put there is refused', () => {
  const shadowed = (ref: string) => ({
    code: 'baseline-invalid' as const,
    says: new RegExp(`"${seed.key}" of ${MAIN} is shadowed: ${ref} has the cache entry "${seed.key}"`),
    advises: new RegExp(`Then delete it \\(\`gh cache delete ${seed.key} --ref ${ref}\`\\)`),
  });

  for (const ref of [PULL, 'refs/heads/feature'])
    test(`under the same key on ${ref}`, async () => {
      await using repository = await withBaseline({ base: LAX });
      repository.cache.put({ ...seed, ref });
      const before = repository.stored();
      await assertFailed(repository, before, await repository.step(), shadowed(ref));
      assert.ok(!repository.cache.calls.includes('download'), 'before anything is downloaded');
    });

  tried(
    'baseline shadowed after it was looked up',
    'an entry of the same key, put there between the look at the list and the download',
    'the list is asked again after the download',
    async () => {
      await using repository = await withBaseline({ base: LAX });
      repository.cache.onCall = (call) => {
        if (call !== LOOKUP) return;
        repository.cache.onCall = () => undefined;
        repository.cache.put({ ...seed, ref: PULL });
      };
      const outcome = await repository.step();
      assert.ok(repository.cache.calls.includes('download'));
      await assertFailed(repository, repository.stored(), outcome, shadowed(PULL));
    },
  );

  tried(
    'baseline replayed under a newer key',
    'an older baseline, saved again under a newer key',
    'a baseline names the run that made it, and its key must name the same',
    async () => {
      await using repository = await withBaseline({ base: LAX });
      repository.cache.put({ ...seed, key: newerKey() });
      const before = repository.stored();
      const [, run] = /\/(\d+)-1-[0-9a-f]{16}$/.exec(seed.key) ?? [];
      for (const outcome of [await repository.step(), await repository.step({ event: 'push' })])
        await assertFailed(repository, before, outcome, {
          code: 'baseline-invalid',
          says: new RegExp(`${newerKey()} was made by run ${run}, attempt 1, and not .*Nothing was compared`),
          advises: /find out who can write to the store/,
        });
    },
  );

  test('and the refresh, which meets it too, says which entry has to be deleted', async () => {
    await using repository = await withBaseline();
    repository.cache.put({ ...seed, key: newerKey() });
    await assertFailed(repository, repository.stored(), await repository.refresh(), {
      code: 'baseline-invalid',
      says: /was made by run/,
      advises: new RegExp(`gh cache delete ${newerKey()}`),
    });
  });

  const inside = (differs: Partial<Member>): Member => ({ name: `${INSIDE}/a`, ...differs });
  const crafted: readonly [string, (outside: string) => readonly Member[], RegExp][] = [
    ['an absolute path', (outside) => [{ name: join(outside, 'kept') }], /lies outside of/],
    ['a path that climbs', () => [inside({ name: `${INSIDE}/../climbed` })], /is no name of a file/],
    [
      'a symbolic link, and a file behind it',
      (linkname) => [inside({ type: 'symlink', linkname }), inside({ name: `${INSIDE}/a/kept` })],
      /is a symbolic link/,
    ],
    [
      'a hard link, and a file over it',
      (outside) => [inside({ type: 'link', linkname: join(outside, 'kept') }), inside({})],
      /is a hard link/,
    ],
    ['a device node', () => [inside({ type: 'block-device', devmajor: 8 })], /is a device/],
    ['10 GB of zeros', () => [], /holds more than 1073741824 bytes/],
  ];
  tried(
    'baseline of a crafted archive',
    'an archive with an absolute path, `..`, a symbolic or hard link, a device, or 10 GB of zeros',
    'no `tar` runs: a reader of three kinds of entries, with limits, takes nothing else; nothing of it is written',
    async (t) => {
      for (const [what, members, says] of crafted)
        await t.test(what, async () => {
          const runner = await checkout();
          await using _ = runner;
          const outside = join(runner.home, 'outside');
          await mkdir(outside);
          await writeFile(join(outside, 'kept'), 'as it was');
          const given = members(outside);
          const archive = await (given.length === 0 ? bomb(`${INSIDE}/record.json`) : archiveOf(...given));
          const entry = { ...seed, version: cacheVersion('gzip'), archive };
          await using repository = await hosted({ base: LAX, seeds: [entry] });
          const outcome = await repository.step({ runner });
          await assertFailed(repository, repository.stored(), outcome, {
            code: 'baseline-invalid',
            says: new RegExp(`The cache entry "${seed.key}" is no baseline of this action: .*${says.source}`),
            advises: new RegExp(`Then delete it \\(\`gh cache delete ${seed.key}\`\\) and refresh`),
          });
          assert.ok(repository.cache.calls.includes('download'));
          assert.deepEqual(await bytesBelow(outside), {
            kept: Buffer.from('as it was').toString('base64'),
          });
        });
    },
  );
});

describe('nobody approves a change of its own', () => {
  const FEATURE = 'refs/heads/feature';
  const own: readonly [string, Asked, RegExp][] = [
    ['a pull request', {}, /started by the event `pull_request`.*: no change approves itself.*\n.*dispatch/],
    [
      'a fork',
      { fork: true },
      /started by the event `pull_request`.*: no change approves itself.*\n.*dispatch/,
    ],
    [
      'a dispatch on a feature branch',
      { event: 'workflow_dispatch', ref: FEATURE },
      /`refs\/heads\/feature`, .* default branch is `main`: pull requests do not see.*\nMerge first.*store: files/,
    ],
    [
      'a push on a feature branch',
      { event: 'push', ref: FEATURE },
      /`push` on `refs\/heads\/feature`, .*`main`: nobody has approved.*\n.*branches: \[main\].*merge first/,
    ],
  ];
  tried(
    'baseline refreshed by the change itself',
    'a refresh from a pull request, a fork, or a feature branch',
    'refused before an engine is started: nobody approves a change of its own',
    async (t) => {
      for (const [what, asked, says] of own)
        await t.test(what, async () => {
          await using repository = await withBaseline();
          const before = repository.stored();
          const outcome = await repository.refresh({ event: 'pull_request', ...asked, suite: DRIFT });
          await assertFailed(repository, before, outcome, {
            code: 'refresh-not-allowed',
            says,
            advises: says,
          });
          assert.deepEqual([repository.cache.calls, repository.github.calls], [[], []]);
        });
    },
  );

  tried(
    'baseline from a branch that trusts itself',
    'a branch that names itself as one that keeps baselines of its own',
    'the suite of the default branch decides, and is read there',
    async () => {
      await using repository = await withBaseline();
      const before = repository.stored();
      const outcome = await repository.refresh({
        ref: FEATURE,
        suite: { ...DRIFT, baseline: { branches: ['**'] } },
      });
      const says = /the default branch is `main`.*\n.*`baseline: \{ branches: \[…\] \}`, .* that of main/;
      await assertFailed(repository, before, outcome, { code: 'refresh-not-allowed', says, advises: says });
      assert.deepEqual(repository.cache.calls, []);
    },
  );

  tried(
    'policy eased by the change it judges',
    'a change that eases the policy by which it is judged',
    'name, policy, relations, depth and store are the base branch’s',
    async () => {
      await using repository = await hosted();
      const outcome = await repository.step({ suite: LAX });
      assertConcluded(outcome, 'no-baseline', 'fail', '');
      assertWarned(outcome, ALTERED, /policy\.no-baseline: fail → warn/);
    },
  );

  const switchedOff: readonly [string, SuiteOptions, RegExp][] = [
    ['relations without the baseline', { relations: ['rerun'] }, /relations\S*: .*baseline.* → \(absent\)/],
    ['another depth', { depth: 'score', score: [{ id: 's', text: 'x y' }] }, /depth: full → score/],
    ['another store', { baseline: { store: 'files' } }, /baseline\.store: cache → files/],
    ['another name', { name: 'mine' }, /name: a → mine/],
  ];
  for (const [what, differs, says] of switchedOff)
    test(`by ${what}`, async () => {
      await using repository = await withBaseline({ base: LAX });
      const outcome = await repository.step({ suite: { ...LAX, ...DRIFT, ...differs } });
      assertConcluded(outcome, 'drift', 'fail', seed.key);
      assertWarned(outcome, ALTERED, says);
      assert.match(outcome.log, /changed \(suite\): engine\.args\.logprob: \(absent\) → -0\.5/);
    });

  test('by a model that lies outside of the repository', async () => {
    await using repository = await withBaseline();
    const before = repository.stored();
    for (const model of ['/etc', '../../_temp']) {
      const outcome = await repository.step({ suite: { model } });
      await assertFailed(repository, before, outcome, {
        code: 'pull-request-limited',
        says: /wants the model from .*, a folder of the runner outside of the repository, and its base branch does not/,
        advises: /Merge the new path first/,
      });
      assert.match(annotated(outcome, 'error').join('\n'), /a pull request cannot choose a folder/);
    }
    assert.deepEqual(repository.cache.calls, []);
  });

  tried(
    'model behind a link of the repository',
    'a model behind a link of the repository, to mount a folder of the runner',
    'which folders of the runner are mounted, the base branch’s suite says; through a link none is',
    async () => {
      await using repository = await withBaseline();
      await using runner = await checkout();
      const model = join(runner.workspace, 'model');
      await rm(model, { recursive: true });
      await symlink('/etc', model);
      await assertFailed(repository, repository.stored(), await repository.step({ runner }), {
        code: 'pull-request-limited',
        says: /a folder of the runner outside of the repository/,
        advises: /a folder of the repository/,
      });
    },
  );

  test('by a promise that it takes back: what the base holds to it stays held', async () => {
    const promised = { relations: ['rerun', 'baseline', 'batch'], env: { VLLM_BATCH_INVARIANT: '1' } };
    await using repository = await withBaseline({ base: promised });
    const outcome = await repository.step({ suite: { ...promised, env: { VLLM_BATCH_INVARIANT: '01' } } });
    const { claims } = (await reportOf(outcome)).asked;
    assert.deepEqual(
      claims.find(({ relation }) => relation === 'batch'),
      { relation: 'batch', requirement: 'identical' },
    );
  });

  test('by prompts that its base has taken away or asks otherwise: what is no longer compared is told', async () => {
    const prompts = [
      { id: 'one', text: 'The capital of France is' },
      { id: 'two', text: 'The capital of Spain is' },
    ];
    await using repository = await hosted({ base: { prompts } });
    const stored = await repository.refresh({ suite: { prompts } });
    const suite = { prompts: [{ id: 'two', text: 'Another question' }, prompts[0] ?? {}] };
    repository.base['determinism.yml'] = cached(suite);
    const outcome = await repository.step({ suite });
    assertConcluded(outcome, 'reproduced', 'pass', stored.outputs['baseline-key'] ?? '');
    assertWarned(outcome, /Less is compared than the baseline knows: 1 of its 2 prompts and texts .*: two\./);
    assert.match(outcome.log, /\nReproduced: 1 of 2 prompts, the others are not in the baseline, on /);
  });

  test('by a base branch that has no suite yet, or none that can be read: the strict defaults judge', async () => {
    await using repository = await hosted({ base: null });
    const outcome = await repository.step({ suite: { ...LAX, relations: ['rerun'] } });
    assertConcluded(outcome, 'no-baseline', 'fail', '');
    const warned =
      /No suite on the base branch: refs\/heads\/main has no suite at `determinism\.yml`.* the strict defaults judge/;
    assertWarned(outcome, warned);
    repository.base['determinism.yml'] = 'no: suite';
    assertWarned(await repository.step(), warned);
  });
});

describe('a permission that the workflow does not give', () => {
  test('to list the caches: the check runs, and warns with the lines that help', async () => {
    await using repository = await withBaseline({ permissions: ['contents'] });
    const outcome = await repository.step();
    assertConcluded(outcome, 'reproduced', 'pass', seed.key);
    const [warned = ''] = annotated(outcome, 'warning');
    assert.match(warned, /Where the baseline comes from is not proven: .* \(403: Resource not accessible by/);
    assert.match(warned, /permissions: \{ actions: read \}/);
    assert.doesNotMatch(outcome.log, /Its place is proven/);
  });

  test('to read the repository: an error, since nobody knows who judges', async () => {
    await using repository = await withBaseline({ base: LAX, permissions: ['actions'] });
    const before = repository.stored();
    await assertFailed(repository, before, await repository.step({ suite: LAX }), {
      code: 'github-unavailable',
      says: /does not show this job the tip of the branch main \(404: Not Found\)/,
      advises: /permissions:\n {2}contents: read/,
    });
    assert.deepEqual(repository.cache.calls, []);
  });
});

describe('an outage is not an absence, whatever the policy lets pass', () => {
  const outage = (says: RegExp, rest: Partial<Trouble>): Trouble => ({
    code: 'store-unavailable',
    says,
    advises: /Whether there is a baseline is unknown/,
    ...rest,
  });
  const github = (at: 'caches' | 'contents' | 'ref'): Trouble => ({
    code: 'github-unavailable',
    github: { at, kind: 'status', status: 500, message: 'not today' },
    says: /GitHub's API at .* answered 500: not today, asked for/,
    advises: /this is an error and no verdict\. Re-run the job/,
  });
  const env = (name: string, value: string) => ({ job: { env: { [name]: value } } });
  const mode = (value: string) => env('ACTIONS_CACHE_MODE', value);
  const silence = outage(/did not answer within 30 s/, { cache: { at: LOOKUP, kind: 'silence' } });
  const outages: Readonly<Record<string, Trouble>> = {
    'a cache service that refuses connections': outage(
      /127\.0\.0\.1:1 .* refused the connection/,
      env('ACTIONS_RESULTS_URL', 'http://127.0.0.1:1/'),
    ),
    'a runner that offers no cache service': outage(/offers no cache service: ACTIONS_RESULTS_URL is not/, {
      ...env('ACTIONS_RESULTS_URL', ''),
      advises: /store: files/,
    }),
    'a cache service that answers 500': outage(/answered 500 \(on fire\)/, {
      cache: { at: LOOKUP, kind: 'status', status: 500, message: 'on fire' },
    }),
    'a token that is not valid': outage(/answered 401 \(no valid token\)/, {
      ...env('ACTIONS_RUNTIME_TOKEN', 'expired.by.now'),
      advises: /did not accept this job's token/,
    }),
    'a token that may read no branch': outage(/answered 403 \(cache read denied: no readable scopes\)/, {
      job: { job: { permission: 'none' } },
      advises: /a policy of the organisation, or the event .* forbids caches/,
    }),
    'a mode that may only write': outage(/ACTIONS_CACHE_MODE is "write-only"/, mode('write-only')),
    'a mode that may do nothing': outage(/ACTIONS_CACHE_MODE is "none"/, mode('none')),
    'a page of a proxy in place of its answer': outage(/something that no cache service says/, {
      cache: { at: LOOKUP, kind: 'page', html: '<h1>Log in</h1>' },
    }),
    'a page of a proxy in place of the entry': outage(/during the download/, {
      cache: { at: 'download', kind: 'page', html: '<h1>Log in</h1>' },
    }),
    'a download that breaks off': outage(/closed the connection .* during the download of ".*"/, {
      cache: { at: 'download', kind: 'cut-short' },
    }),
    'an entry that the list names and the service does not give': outage(
      /list of cache entries has the baseline ".*" on refs\/heads\/main, but the cache service .* does not give it/,
      { job: { job: { base: PULL, default: PULL } }, advises: /evicted this very moment/ },
    ),
    'a list of caches that is down': github('caches'),
    'a base branch that cannot be found': github('ref'),
    'a base branch that cannot be read': github('contents'),
  };
  fault(
    'store away, silent, or behind a proxy',
    'a cache service or a GitHub that refuses, falls silent, breaks off, or gives a proxy’s page',
    'an error and no verdict, whatever the policy lets pass where there is no baseline',
    async (t) => {
      const told = async (trouble: Trouble, by = stepHere) => {
        await using repository = await withBaseline({ base: LAX, by });
        await assertTrouble(repository, trouble, (job) => repository.step({ suite: LAX, ...job }));
      };
      // Patience takes 30 s: the others do not wait for it.
      const patient = t.test('a cache service that never answers', () => told(silence, runStep));
      for (const [what, trouble] of Object.entries(outages)) await t.test(what, () => told(trouble));
      await patient;
    },
    { concurrency: 2 },
  );

  test('but a store that answers and has none is an absence, with the usual reasons and the command', async () => {
    await using repository = await hosted();
    for (const event of ['pull_request', 'push']) {
      const outcome = await repository.step({ event });
      assertConcluded(outcome, 'no-baseline', 'fail', '');
      const told = annotated(outcome, 'error').join('\n');
      const [first] = outcome.commands.filter(({ command }) => command === 'error');
      assert.equal(first?.properties['file'], 'determinism.yml');
      assert.match(first?.data ?? '', /Run the refresh workflow on the default branch/);
      for (const text of [told, outcome.log, outcome.summary]) {
        assert.match(
          text,
          /it never ran, it is not on the default branch .*its entry was not used for 7 days/,
        );
        assert.match(text, /gh workflow run refresh\.yml -f reason=/);
      }
      assert.match(outcome.log, /Nothing under "deterministic-ml-v1\/a\/"/);
    }
    repository.base['determinism.yml'] = cached(LAX);
    assertConcluded(await repository.step(), 'no-baseline', 'warn', '');
  });
});

describe('a refresh that could not store', () => {
  /** Its record stays, for whoever wants to look at it. */
  const CHANGED: Asked = { suite: DRIFT, with: { 'record-path': '../record' } };
  const refused: Readonly<Record<string, Trouble>> = {
    'since another upload took the key and never finished': {
      code: 'store-unavailable',
      cache: { at: 'CreateCacheEntry', kind: 'status', status: 409, message: 'already exists' },
      says: /says that it is being stored already, but does not have it/,
      advises: /Re-run the job/,
    },
    'since the service lost what it had accepted': {
      code: 'store-unavailable',
      cache: { at: 'FinalizeCacheEntryUpload', kind: 'lost' },
      says: /was not stored as ".*accepted it, but does not have it now/,
      advises: /Re-run the job/,
    },
    'since the token may only read': {
      code: 'store-refused',
      job: { job: { permission: 'read' } },
      says: /denied this job to write ".*" \(.*cache write denied: no writable scopes/,
      advises: /refresh by `workflow_dispatch`/,
    },
    'since the mode may only read': {
      code: 'store-refused',
      job: { env: { ACTIONS_CACHE_MODE: 'read' } },
      says: /may not both write and read caches \(ACTIONS_CACHE_MODE is "read"\)/,
      advises: /refresh by `workflow_dispatch`/,
    },
  };
  for (const [why, trouble] of Object.entries(refused))
    test(`${why} says so`, async () => {
      await using repository = await withBaseline();
      await assertTrouble(repository, trouble, (job) => repository.refresh({ ...CHANGED, ...job }));
    });

  test('since it is an old run that was started again says so, before an engine starts', async () => {
    await using repository = await withBaseline();
    const before = repository.stored();
    const outcome = await repository.refresh({ ...CHANGED, env: { GITHUB_RUN_ID: '1' } });
    await assertFailed(repository, before, outcome, {
      code: 'refresh-not-allowed',
      says: /The baseline comes from run \d+, which is newer than this run 1: an older commit's bits would/,
      advises: /Start a new run instead of running an old one again/,
    });
    assert.doesNotMatch(outcome.log, /Engine, lifetime/);
  });

  test('since another one did so meanwhile says whose, and stores nothing', async () => {
    await using repository = await withBaseline();
    repository.cache.onCall = (call) => {
      if (call === 'download') repository.cache.put({ ...seed, key: newerKey() });
    };
    const outcome = await repository.refresh(CHANGED);
    const keys = repository.cache.entries.map(({ key }) => key);
    assert.deepEqual(keys, [seed.key, newerKey()]);
    await assertFailed(repository, repository.stored(), outcome, {
      code: 'store-refused',
      says: new RegExp(
        `not stored: another refresh \\(run 9999999999999.*"${newerKey()}".* it was "${seed.key}"`,
      ),
      advises: /Look at that one, and refresh anew/,
    });
  });

  test('as the newest says which one counts', async () => {
    await using repository = await withBaseline();
    const { cache } = repository;
    cache.onCall = (call) => {
      if (call !== 'FinalizeCacheEntryUpload') return;
      cache.onCall = (next) => {
        if (next !== LOOKUP) return;
        cache.onCall = () => undefined;
        cache.put({ ...seed, key: newerKey() });
      };
    };
    const outcome = await repository.refresh(CHANGED);
    const keys = cache.entries.map(({ key }) => key);
    assert.deepEqual(keys.toSpliced(1, 1), [seed.key, newerKey()], 'its own lies between the two');
    await assertFailed(repository, repository.stored(), outcome, {
      code: 'store-refused',
      says: new RegExp(`was stored, but is superseded by "${newerKey()}" .*\\(run 9999999999999`),
      advises: /`concurrency` group/,
    });
  });
});

describe('a pull request that brings its own baseline in files', () => {
  const FILES: SuiteOptions = { baseline: { store: 'files', path: BASELINES } };
  const place = () => `${BASELINES}/a/${hardwareClass}/baseline.json`;
  const textIn = async ({ runner }: Stepped): Promise<string> =>
    Buffer.from((await bytesBelow(runner.workspace))[place()] ?? '', 'base64').toString();

  test('is green only with a warning that names whose it replaces', async () => {
    await using repository = await hosted({ base: FILES });
    const honest = await repository.refresh({ suite: FILES });
    const changed = { ...FILES, ...DRIFT };
    const by = { ref: 'refs/heads/change', with: { reason: 'I say so' } };
    const brought = await repository.refresh({ suite: changed, ...by });
    for (const outcome of [honest, brought]) assertConcluded(outcome, 'reproduced', 'pass');

    repository.base[place()] = await textIn(honest);
    const replaced = await repository.step({ suite: changed, runner: brought.runner });
    assertConcluded(replaced, 'reproduced', 'pass');
    assert.match(replaced.log, /refreshed by octocat for “I say so”/);
    assertWarned(
      replaced,
      /This change brings its own baseline: .* in its own diff; .* Merging it is what approves it/,
    );
    assertWarned(replaced, /the base branch’s is of \d{4}-\d\d-\d\d, by octocat for “first one”/);

    const kept = await repository.step({ suite: FILES, runner: honest.runner });
    assertConcluded(kept, 'reproduced', 'pass');
    assert.deepEqual(annotated(kept, 'warning'), []);
    assertConcluded(await repository.step({ suite: changed, runner: honest.runner }), 'drift', 'fail');

    delete repository.base[place()];
    const first = await repository.step({ suite: FILES, runner: honest.runner });
    assertWarned(first, /brings its own baseline: .*; the base branch has none/);
  });

  test('in a folder of its own choice is judged by the base’s folder', async () => {
    await using repository = await hosted({ base: FILES });
    const mine = { ...DRIFT, baseline: { store: 'files', path: 'mine' } };
    const brought = await repository.refresh({ suite: mine, ref: 'refs/heads/change' });
    assertConcluded(brought, 'reproduced', 'pass');
    const outcome = await repository.step({ suite: mine, runner: brought.runner });
    assertConcluded(outcome, 'no-baseline', 'fail', '');
    assertWarned(outcome, ALTERED, /baseline\.path: determinism-baselines → mine/);
  });

  tried(
    'baseline’s files taken away',
    'a pull request that takes the files of its baseline away',
    'its base branch still has them: that fails, whatever the policy says',
    async () => {
      await using repository = await hosted({ base: { ...FILES, ...LAX } });
      const honest = await repository.refresh({ suite: FILES });
      repository.base[place()] = await textIn(honest);
      await rm(join(honest.runner.workspace, BASELINES), { recursive: true });
      const outcome = await repository.step({ suite: { ...FILES, ...LAX, ...DRIFT }, runner: honest.runner });
      assertConcluded(outcome, 'no-baseline', 'fail', '');
      assertWarned(outcome, /takes its baseline away: .*“first one”/);
    },
  );
});

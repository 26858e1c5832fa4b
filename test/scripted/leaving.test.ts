import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { stepHere } from '../e2e/support/here.ts';
import { verified } from '../e2e/support/looked-at.ts';
import { type Runner, runStep } from '../e2e/support/spawn.ts';
import { checkout, type SuiteOptions } from '../e2e/support/suites.ts';
import {
  annotated,
  assertConcluded,
  assertFailed,
  assertWarned,
  cached,
  type Hosted,
  type HostedOptions,
  hosted as hostedBy,
  type Stepped,
} from '../e2e/support/trust.ts';
import type { Put } from '../support/cache-server.ts';
import { tried } from '../support/tried.ts';

/*
 * A pull request that makes some prompts compute something else, and takes them away, or asks something else in their
 * place: whatever it does, they are measured, and count.
 */

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

/** In this process; one story goes through the built action. */
const hosted = (options: HostedOptions) => hostedBy(action, { by: stepHere, ...options });

type Prompt = NonNullable<SuiteOptions['prompts']>[number];

const KEPT: Prompt = { id: 'p0', text: 'Short' };
const TEN: readonly Prompt[] = [
  KEPT,
  ...Array.from({ length: 9 }, (_, i) => ({ id: `p${i + 1}`, text: `Question ${i + 1}` })),
];
/** The engine computes something else of all but the first. */
const DRIFT: SuiteOptions = { args: { shift: 1, where: 'Question' } };
const TAKEN = /Taken away by this change/;

type Files = Readonly<Record<string, string>>;

/** A base branch with a baseline of what it asks. */
async function based(base: SuiteOptions, files: Files = {}, by = stepHere): Promise<Hosted> {
  const repository = await hosted({ base, seeds: [await baselineOf(base, files)], by });
  Object.assign(repository.base, files);
  return repository;
}

const baselines = new Map<string, Promise<Put>>();

/** What a refresh stores, made once. */
function baselineOf(base: SuiteOptions, files: Files): Promise<Put> {
  const key = JSON.stringify([base, files]);
  const made = baselines.get(key) ?? refreshed(base, files);
  baselines.set(key, made);
  return made;
}

async function refreshed(base: SuiteOptions, files: Files): Promise<Put> {
  await using repository = await hosted({ base });
  await using runner = await checkout();
  for (const [path, text] of Object.entries(files)) await runner.write(path, text);
  assertConcluded(await repository.refresh({ suite: base, runner }), 'reproduced', 'pass');
  const [entry] = repository.cache.entries;
  assert.ok(entry);
  return { key: entry.key, version: entry.version, archive: entry.archive };
}

/** Its own report follows from the files that it left. */
async function assertVerified({ outputs }: Stepped): Promise<void> {
  const { agrees, lines } = await verified(outputs['report-path'] ?? '');
  assert.ok(agrees, lines.join('\n'));
}

describe('a change that takes nine of ten drifting prompts away', () => {
  tried(
    'prompts that drift, taken away',
    'a pull request that takes nine of ten drifting prompts out of its suite',
    'what the base branch asks is measured until the merge, and its policy decides',
    async () => {
      await using repository = await based({ prompts: TEN }, {}, runStep);
      const whole = await repository.step({ suite: { ...DRIFT, prompts: TEN } });
      assertConcluded(whole, 'drift', 'fail');
      const cut = await repository.step({ suite: { ...DRIFT, prompts: [KEPT] } });
      assertConcluded(cut, 'drift', 'fail');
      const line = /Drift: 9 of 10 prompts .*, 1 of 10 kept by this change, on /;
      assert.match(cut.log, line);
      assert.match(cut.summary.split('\n')[0] ?? '', line);
      assert.equal(cut.outputs['drift-count'], '9');
      assertWarned(
        cut,
        /Taken away by this change: 9 of the prompts and texts that refs\/heads\/main asks .*: p1, p2/,
      );
      assert.match(
        annotated(cut, 'error').join('\n'),
        /Drift: prompt p1: .* This change takes the prompt away or alters it; until the merge it counts\./,
      );
      assert.match(
        cut.log,
        /takes away or alters 9 prompts and texts of refs\/heads\/main, or is behind it: p1, .*They are measured too until it is merged: 10 prompts and texts instead of 1\./,
      );
      assert.doesNotMatch(cut.log, /^accept:/m, 'no record to accept that would never come again');
      await assertVerified(cut);
    },
  );

  test('and passes where they reproduce, with a notice', async () => {
    await using repository = await based({ prompts: TEN });
    const honest = await repository.step({ suite: { prompts: [KEPT] } });
    assertConcluded(honest, 'reproduced', 'pass');
    assert.match(honest.log, /\nReproduced: 10 prompts, 1 of 10 kept by this change, on /);
    assert.match(honest.log, /::notice .*Taken away by this change/);
    assert.deepEqual(annotated(honest, 'warning'), []);
    await assertVerified(honest);
    // What is merged is compared as it is.
    assertConcluded(
      await repository.step({ event: 'push', suite: { prompts: [KEPT] } }),
      'reproduced',
      'pass',
    );
  });
});

describe('whatever a change does to a prompt that drifts, it counts:', () => {
  const filed: SuiteOptions = { prompts: [KEPT, { id: 'two', file: 'prompts/two.txt' }] };
  // What else it may do, and what policies let pass, is in test/unit/use-cases/leaving.test.ts.
  test('another text in its file, where the suite stays as it is', async () => {
    await using repository = await based(filed, { 'prompts/two.txt': 'Question' });
    await using runner = await checkout();
    await runner.write('prompts/two.txt', 'Question');
    const honest = await repository.step({ suite: filed, runner });
    assertConcluded(honest, 'reproduced', 'pass');
    assert.doesNotMatch(honest.log, TAKEN);
    await runner.write('prompts/two.txt', 'Harmless');
    const outcome = await repository.step({ suite: { ...filed, ...DRIFT }, runner });
    assertConcluded(outcome, 'drift', 'fail');
    assert.match(outcome.log, /\nDrift: 1 of 3 prompts .*, 1 of 2 kept by this change, on /);
  });

  for (const [what, differs] of [
    ['still asks it', {}],
    ['no longer asks it', { prompts: [KEPT] }],
  ] as const)
    test(`a file that the base branch itself has lost, where the change ${what}: an error, and no verdict`, async () => {
      await using repository = await based(filed, { 'prompts/two.txt': 'Question' });
      delete repository.base['prompts/two.txt'];
      await using runner = await checkout();
      await runner.write('prompts/two.txt', 'Question');
      const outcome = await repository.step({ suite: { ...filed, ...differs }, runner });
      await assertFailed(repository, repository.stored(), outcome, {
        code: 'prompt-file-invalid',
        says: /refs\/heads\/main .* can be read:\n? *.*two: `prompts\/two\.txt` is no file there/s,
        advises: /Repair the suite or its files on that branch/,
      });
    });
});

describe('a suite that a change moves', () => {
  const moved = async (repository: Hosted, suite: SuiteOptions, runner: Runner, path = 'other.yml') => {
    await runner.write(path, cached(suite));
    return await repository.step({ runner, with: { suite: path } });
  };

  test('is compared where it asks all that the baseline knows', async () => {
    await using repository = await based({ prompts: TEN });
    await using runner = await checkout();
    assertConcluded(await moved(repository, { prompts: TEN }, runner), 'reproduced', 'pass');
    assertConcluded(await moved(repository, { ...DRIFT, prompts: TEN }, runner), 'drift', 'fail');
  });

  tried(
    'suite renamed and cut',
    'a suite that asks less under a name that the base branch does not have: another one, other letters, or in a submodule',
    'it is compared with the baseline’s prompts, and refused before a model is loaded',
    async () => {
      await using repository = await based({ prompts: TEN });
      await using runner = await checkout();
      await runner.write(
        '.gitmodules',
        '[submodule "sub"]\n\tpath = sub\n\turl = https://evil.example/sub\n',
      );
      await runner.write('sub/.git', 'gitdir: ../.git/modules/sub\n');
      await runner.write('sub/model/config.json', '{}\n');
      for (const path of ['other.yml', 'Determinism.yml', 'sub/determinism.yml']) {
        const outcome = await moved(repository, { ...DRIFT, prompts: [KEPT] }, runner, path);
        await assertFailed(repository, repository.stored(), outcome, {
          code: 'pull-request-limited',
          says: new RegExp(
            `has no suite at \`${path}\`.*no longer asks 9 of the baseline’s prompts and texts as they were: p1, p2`,
          ),
          advises: /Keep them as they are until the suite has its new place/,
        });
        assert.doesNotMatch(outcome.log, /Engine, lifetime-1/);
      }
    },
  );
});

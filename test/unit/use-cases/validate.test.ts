import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { knownChanges } from '../../../src/changes/known/index.ts';
import { UserError } from '../../../src/errors.ts';
import type { ValidateSettings } from '../../../src/job/settings.ts';
import { ValidateAnswer } from '../../../src/report/answers.ts';
import { validate } from '../../../src/use-cases/validate.ts';
import { Job, SUITE } from '../support/job.ts';

/** Of a job's suite; it must start nothing. */
async function validated(
  job: Job,
  settings: Partial<ValidateSettings> = {},
  modelFiles?: () => Promise<readonly string[]>,
) {
  const tools = job.tools();
  const open = {
    ...tools.open,
    ...(modelFiles && { modelFiles }),
    runtime: () => assert.fail('an engine'),
    github: () => assert.fail('GitHub'),
  };
  const { value, ...rest } = await validate(
    { suite: 'suite.yml', recordsPath: '/', ...settings },
    { ...tools, open },
  );
  return { ...rest, value: ValidateAnswer.parse(value) };
}

describe('validate', () => {
  test('tells engine starts, and that nothing is known of their time without a record', async () => {
    const { verdict, lines, value } = await validated(new Job());
    assert.equal(verdict, 'pass');
    assert.deepEqual(
      value.estimates.map(({ what, starts, perhaps, minutes }) => [what, starts, perhaps, minutes]),
      [
        ['check', 1, 4, null],
        ['refresh', 4, 0, null],
        ['power', 1 + knownChanges.length, 0, null],
      ],
    );
    assert.equal(value.falseAlarm, 1 / 256);
    assert.match(
      lines.join('\n'),
      /called drifted with a chance of at most 0\.4 %: 5 starts must differ alike from the baseline’s 4/,
    );
    assert.match(lines[0] ?? '', /^No earlier record of this suite lies beside its report below \/: /);
    assert.match(lines.at(-1) ?? '', /^suite\.yml is a suite: 2 prompts and 1 text\./);
  });

  test('tells time by what earlier records of the suite took, times its GPUs', async () => {
    const job = new Job();
    await job.refreshed();
    for (const { record } of job.disk.folders.values())
      for (const lifetime of record?.record.lifetimes ?? []) {
        lifetime.loadSeconds = 60;
        for (const pass of lifetime.passes) pass.seconds = 6;
      }
    const [check, refresh] = (await validated(job)).value.estimates;
    // The check's passes: generate twice, force, score; a refresh's further starts have no `again`.
    assert.deepEqual([check?.starts, check?.unknown], [1, []]);
    assert.equal(check?.minutes, 1 + ((check?.seconds ?? 0) - 60) / 60);
    assert.equal(((check?.seconds ?? 0) - 60) % 6, 0);
    assert.ok((refresh?.minutes ?? 0) > 3, String(refresh?.minutes));

    job.suite = `${SUITE}runtime: { gpus: 2 }\n`;
    assert.equal((await validated(job)).value.estimates[0]?.minutes, 2 * (check?.minutes ?? 0));

    job.suite = SUITE.replace('name: suite', 'name: other');
    assert.equal((await validated(job)).value.records, 0);
  });

  test('leaves passes out that no record has, and says so', async () => {
    const job = new Job();
    await job.refreshed();
    job.suite = SUITE.replace('[rerun, baseline]', '[rerun, baseline, order]');
    const { lines, value } = await validated(job);
    assert.ok((value.estimates[0]?.unknown.length ?? 0) > 0);
    assert.match(lines.join('\n'), /check: 1 engine start, .*; at least .*, without .*generate-/);
  });

  test('warns of a model’s folder that is not here, and knows that the suite may run elsewhere', async () => {
    const gone = new UserError('model-missing', 'The model is not there: /m does not exist.', 'Fetch it.');
    const { verdict, lines, value } = await validated(new Job(), {}, () => Promise.reject(gone));
    assert.deepEqual([verdict, value.model], ['warn', gone.message]);
    assert.equal(lines.at(-2), `suite.yml:3:1  ${gone.message} A run needs it where it runs.`);
    const { verdict: whole, value: none } = await validated(new Job());
    assert.deepEqual([whole, none.model], ['pass', null]);
  });

  test('holds a check and a refresh to the budget, and cannot hold what is unknown', async () => {
    const job = new Job();
    job.suite = `${SUITE}policy: { budget-minutes: 2 }\n`;
    assert.equal((await validated(job)).verdict, 'warn');
    await job.refreshed();
    assert.equal((await validated(job)).verdict, 'pass');
    for (const { record } of job.disk.folders.values())
      for (const lifetime of record?.record.lifetimes ?? []) lifetime.loadSeconds = 60;
    const { verdict, value, lines } = await validated(job);
    assert.deepEqual([verdict, value.over], ['fail', ['refresh']]);
    assert.match(lines.at(-2) ?? '', /^Over the budget of 2 minutes: refresh\./);
  });

  for (const [what, from, to, code, place] of [
    [
      'an image that is a tag',
      'engine:',
      'runtime: { image: vllm/vllm-openai:v1 }\nengine:',
      'image-not-pinned',
      4,
    ],
    ['an unknown key', 'engine:', 'engin: 1\nengine:', 'suite-invalid', 4],
    ['a placeholder', 'path: model', 'id: a/b, revision: FILL-IN', 'suite-invalid', 3],
    ['another', 'engine:', 'runtime: { image: "a/b@sha256:FILL-IN" }\nengine:', 'suite-invalid', 4],
  ] as const)
    test(`refuses ${what}, with its line`, async () => {
      const job = new Job();
      job.suite = SUITE.replace(from, to);
      await assert.rejects(
        validated(job),
        (error: { code: string; places: readonly { line: number; message: string }[] }) => {
          assert.deepEqual([error.code, error.places[0]?.line], [code, place]);
          if (to.includes('FILL-IN'))
            assert.match(error.places[0]?.message ?? '', /: fill in the (commit|digest)/);
          return true;
        },
      );
    });
});

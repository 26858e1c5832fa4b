import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openRecord } from '../../src/disk/record-folder.ts';
import { softwareOf } from '../../src/record/software.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { reportOf } from '../e2e/support/reports.ts';
import { runStep } from '../e2e/support/spawn.ts';
import { checkout, type SuiteOptions, suite } from '../e2e/support/suites.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

async function check(args: NonNullable<SuiteOptions['args']>) {
  const options = { args, relations: ['rerun'] };
  await using runner = await checkout(options);
  await runner.write('determinism.yml', suite(options));
  const outcome = await runStep(action, runner, {
    with: { runtime: 'process', 'record-path': '../checked' },
  });
  const { conclusion } = outcome.outputs;
  return {
    outcome,
    ...(conclusion === undefined || conclusion === ''
      ? {}
      : {
          report: await reportOf(outcome),
          software: softwareOf((await openRecord(outcome.outputs['record-path'] ?? '')).record),
        }),
  };
}

describe('a real harness, whose engine says what is in force', () => {
  test('tells beside the verdict what was asked for in vain, and lists what it runs with', async () => {
    const { outcome, report, software } = await check({
      max_num_seqs: 4,
      effective: { max_num_seqs: 1 },
      variables: { PYTHONHASHSEED: '7' },
    });
    assert.equal(report?.conclusion, 'reproduced', outcome.log);
    const told = report.context.notices.map(({ level, title, message }) => [level, title, message]);
    assert.deepEqual(told, [
      [
        'warning',
        'Asked for, not in force',
        '`max_num_seqs` was asked for as `4`, and is `1` in the running engine.',
      ],
      [
        'notice',
        'Deterministic defaults that are not in force',
        '`PYTHONHASHSEED` was asked for as `0`, and is `7` in the running engine.',
      ],
    ]);
    assert.match(outcome.log, /::warning title=Asked for%2C not in force/);
    const libc = Object.keys(software?.objects ?? {}).some((name) => /\/(?:libc|ld-musl)[.-]/.test(name));
    assert.ok(libc, 'the harness’s own process has loaded it');
  });

  test('is stopped before it measures anything where a verdict stands on it', async () => {
    const { outcome, report } = await check({ enforce_eager: true, effective: { enforce_eager: false } });
    assert.equal(report, undefined);
    assert.match(outcome.log, /engine-not-as-asked/);
    assert.match(
      outcome.log,
      /`enforce_eager: true` was asked for, and the running engine says that it is not/,
    );
    assert.notEqual(outcome.exitCode, 0);
  });
});

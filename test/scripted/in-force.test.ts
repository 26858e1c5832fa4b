import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
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

/** As a reader sees it. */
const shown = (text: string) =>
  text.replace(/&#(\d+);/g, (_, code) => String.fromCodePoint(Number(code))).replace(/<[^>]*>/g, '');

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

  test('tells of a file that serving reads and it does not, on every surface', async () => {
    const options = { args: { effective: { generation_config: 'vllm' } } };
    await using runner = await checkout(options);
    const run = async (mode: 'refresh' | 'check', penalty: number) => {
      await runner.write('model/generation_config.json', JSON.stringify({ repetition_penalty: penalty }));
      return await runStep(action, runner, {
        with: { mode, runtime: 'process', ...(mode === 'refresh' && { reason: 'first one' }) },
        event: 'workflow_dispatch',
      });
    };
    const stored = await run('refresh', 1.1);
    assert.equal(stored.exitCode, 0, stored.log);
    assert.deepEqual((await reportOf(await run('check', 1.1))).context.notices, []);
    const outcome = await run('check', 1.3);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'reproduced', outcome.log);
    const message =
      /generation_config\.json.*repetition_penalty.* 1\.1 → 1\.3.*not measured under .*as-served.* measures it/s;
    assert.match(report.context.notices[0]?.message ?? '', message);
    const page = await readFile(report.context.htmlPath, 'utf8');
    for (const [surface, text] of Object.entries({ log: outcome.log, summary: outcome.summary, page }))
      assert.match(shown(text), message, surface);
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

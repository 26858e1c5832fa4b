import assert from 'node:assert/strict';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { type Runner, runStep, Step } from '../e2e/support/spawn.ts';
import { checkout, suite } from '../e2e/support/suites.ts';
import { hunted, hunter } from '../support/hunting.ts';
import { tried } from '../support/tried.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const SECRET = ['a-secret-', 'of-the-job'] as const;

/** A suite whose engine hunts for its job; the number of that is written into its home once it runs. */
async function hunting(runner: Runner): Promise<void> {
  const config = join(runner.workspace, '.git/config');
  const pid = join(runner.home, 'pid');
  for (const path of [config, join(runner.temp, 'credentials')]) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, SECRET.join(''));
  }
  const wanted = {
    ...{ secret: SECRET, job: ['main', '.js'] as const, sockets: [] },
    hidden: [runner.temp, join(runner.temp, '_runner_file_commands'), config],
    sealed: [join(action.path, 'dist/post.js'), join(runner.workspace, 'determinism.yml')],
    covers: [runner.temp],
  };
  const program = await hunter(wanted, `int(open(${JSON.stringify(pid)}).read())`);
  const wait = `while not os.path.exists(${JSON.stringify(pid)}): time.sleep(0.01)\n`;
  await runner.write('determinism.yml', suite({ args: { on_load: `${wait}${program}` } }));
}

const INPUTS = { runtime: 'process', 'hub-token': SECRET.join(''), 'github-token': SECRET.join('') } as const;
const ENV = { ACTIONS_RUNTIME_TOKEN: SECRET.join('') } as const;

async function found(runner: Runner, inputs: Readonly<Record<string, string>>) {
  await using step = await Step.start(action, runner, 'main', { with: { ...INPUTS, ...inputs }, env: ENV });
  await writeFile(join(runner.home, 'pid.new'), String(step.pid));
  await rename(join(runner.home, 'pid.new'), join(runner.home, 'pid'));
  const outcome = await step.ended;
  const log = await readFile(`${outcome.outputs['record-path']}.log`, 'utf8');
  return { outcome, ...hunted(log) };
}

describe('the engine of the process runtime', () => {
  tried(
    'job’s tokens, hunted by an engine',
    'an engine of the `process` runtime that looks through processes, memory, descriptors and files',
    'it sees no process but its own, and of the job’s files none',
    async () => {
      await using runner = await checkout();
      await hunting(runner);
      const { outcome, found: what } = await found(runner, {});
      assert.deepEqual(what, []);
      assert.match(outcome.log, /It sees no process and none of the files of the job/);
      assert.doesNotMatch(outcome.summary, /not isolated/);
      assert.deepEqual([outcome.env, outcome.path], ['', '']);
    },
  );

  tried(
    'job’s tokens, where isolation is off',
    'the same engine, where the workflow says `isolation: none`',
    'not held, since it was asked for: log, summary and a notice say so',
    async () => {
      await using runner = await checkout();
      await hunting(runner);
      const { outcome, found: what } = await found(runner, { isolation: 'none' });
      assert.ok(what.includes('the secret in environ'), what.join('\n'));
      assert.match(outcome.log, /not isolated from the job as it could be: `isolation: none` was asked for/);
      assert.match(outcome.summary, /The engine was not isolated/);
      const notice = outcome.commands.find(({ properties }) =>
        /not isolated/.test(properties['title'] ?? ''),
      );
      assert.equal(notice?.command, 'notice');
    },
  );

  test('an isolation that is none of the three is refused', async () => {
    await using runner = await checkout();
    const { outputs, log } = await runStep(action, runner, { with: { isolation: 'some' } });
    assert.equal(outputs['error-code'], 'input-invalid', log);
  });
});

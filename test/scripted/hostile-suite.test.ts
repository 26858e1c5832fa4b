import assert from 'node:assert/strict';
import { readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { MAX_SUITE_BYTES } from '../../src/suite/parse.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault, type Fault } from '../e2e/support/faults.ts';
import { stepHere } from '../e2e/support/here.ts';
import { type Runner, runStep } from '../e2e/support/spawn.ts';
import { checkout, type SuiteOptions, suite } from '../e2e/support/suites.ts';
import { hosted } from '../e2e/support/trust.ts';
import { tried } from '../support/tried.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

/** The suite as it lies there is refused, and nothing was started. */
async function refused(runner: Runner, fault: Fault): Promise<void> {
  await assertFault(await stepHere(action, runner, { with: { runtime: 'process' } }), runner, fault);
}

describe('a suite of a pull request', () => {
  tried(
    'suite that is slow to read',
    'a suite that takes minutes and gigabytes to read',
    'at most 256 KiB, read in time and memory that grow with its size alone',
    async () => {
      await using runner = await checkout();
      await runner.write('determinism.yml', '"'.repeat(MAX_SUITE_BYTES));
      await refused(runner, {
        code: 'suite-invalid',
        says: /determinism\.yml has 131071 problems/,
        advises: /Correct the lines above/,
      });
      await runner.write('determinism.yml', '"'.repeat(2 * MAX_SUITE_BYTES));
      await refused(runner, {
        code: 'suite-missing',
        says: /is larger than 262144 bytes/,
        advises: /relative to the repository/,
      });
    },
  );

  tried(
    'suite with a variable that loads code',
    'a variable that loads a library into the engine’s Python, or chooses other GPUs',
    'a list of the variables that tune numbers: `engine.env` takes no others, and no value with a slash',
    async () => {
      const names = ['OPENSSL_CONF', 'VLLM_PLUGINS', 'CUDA_VISIBLE_DEVICES', 'HF_HUB_OFFLINE'];
      const others = Object.fromEntries(names.map((name) => [name, 'x']));
      await using runner = await checkout({ env: { ...others, VLLM_USE_MODEL: '../model/evil.so' } });
      const outcome = await stepHere(action, runner, { with: { runtime: 'process' } });
      const told = [
        ...names.map(
          (name) =>
            new RegExp(
              `determinism\\.yml:\\d+:\\d+ {2}\`engine\\.env\\.${name}\`: a suite sets what tunes numbers`,
            ),
        ),
        /`engine\.env\.VLLM_USE_MODEL`: .*a value that names a place is refused/,
      ];
      for (const says of told)
        await assertFault(outcome, runner, { code: 'suite-invalid', says, advises: /docs\/suite\.md/ });
    },
  );

  tried(
    'suite with gigabytes of prompts',
    'gigabytes of prompts, by naming one large file again and again',
    'at most 48 Mi characters of files and 64 MiB a command, counted before an engine is started',
    async () => {
      await using runner = await checkout();
      await runner.write('big.txt', 'x'.repeat(4 * 1024 * 1024));
      const named = (count: number) =>
        suite({ prompts: Array.from({ length: count }, (_, i) => ({ id: `p${i}`, file: 'big.txt' })) });
      await runner.write('determinism.yml', named(20));
      await refused(runner, {
        code: 'prompt-file-invalid',
        says: /the files before `big\.txt` hold more than \d+ characters together/,
        advises: /inside the repository/,
      });
      // As JSON writes it, six times as long.
      await runner.write('big.txt', '\u0001'.repeat(2 * 1024 * 1024));
      await runner.write('determinism.yml', named(8));
      await refused(runner, {
        code: 'suite-invalid',
        says: /come to more than 64 MiB/,
        advises: /part them into several suites/,
      });
    },
  );

  tried(
    'model with code or pickled weights',
    'remote code, pickled weights, or a path outside of the model, on a fork’s pull request',
    'refused before the model is loaded, also where the base branch asks for it; elsewhere a notice beside the verdict',
    async () => {
      const asked: SuiteOptions = {
        model: '/opt/models/m',
        runtime: { image: `sha256:${'b2'.repeat(32)}` },
        args: { trust_remote_code: true },
      };
      await using repository = await hosted(action, { base: asked });
      const outcome = await repository.step({ fork: true, suite: asked, with: { runtime: 'docker' } });
      await assertFault(outcome, outcome.runner, {
        code: 'pull-request-limited',
        says: /comes from another repository, and `trust_remote_code` runs Python that comes with the model/,
        advises: /bring it into a branch of this repository/,
      });

      await using runner = await checkout({ args: { trust_remote_code: true } });
      await runner.write('model/pytorch_model.bin', 'weights');
      const { commands } = await stepHere(action, runner, { with: { runtime: 'process' } });
      const [notice] = commands.filter(({ properties }) =>
        properties['title']?.startsWith('Code and files beside the pinned engine'),
      );
      assert.equal(notice?.command, 'notice');
      assert.match(notice.data, /`trust_remote_code` runs Python .* pytorch_model\.bin/);
    },
  );

  tried(
    'suite that is a link, or behind `..`',
    'a suite that is a link to a file of the runner, whose lines the errors would quote',
    'the suite and its prompts’ files lie in the checkout by their real path; of others nothing is read',
    async () => {
      await using runner = await checkout();
      const secret = join(runner.home, 'credentials');
      await writeFile(secret, 'apiVersion: deterministic-ml/v1\nname: SECRET VALUE\nSECRET: "\\SECRET"\n');
      await runner.write('../../../home/outside.yml', suite());
      await rm(join(runner.workspace, 'determinism.yml'));
      await symlink(secret, join(runner.workspace, 'determinism.yml'));
      for (const path of ['determinism.yml', '../../../home/outside.yml', secret]) {
        const outcome = await stepHere(action, runner, { with: { runtime: 'process', suite: path } });
        await assertFault(outcome, runner, {
          code: 'suite-missing',
          says: /lies outside the repository/,
          advises: /relative to the repository/,
        });
        assert.doesNotMatch(outcome.log + outcome.summary, /SECRET/);
      }
    },
  );

  tried(
    'suite or prompt in `.git`',
    'a prompt, or a suite, from `.git`, where a checkout may have left the job’s token',
    '`.git` is no part of the repository’s content: nothing is read there',
    async () => {
      await using runner = await checkout();
      await runner.write('.git/config', '[http]\n extraheader = AUTHORIZATION: basic c2VjcmV0\n');
      await runner.write('determinism.yml', suite({ prompts: [{ id: 'a', file: '.git/config' }] }));
      const outcome = await stepHere(action, runner, { with: { runtime: 'process' } });
      await assertFault(outcome, runner, {
        code: 'prompt-file-invalid',
        says: /`\.git\/config` lies in `\.git`/,
        advises: /inside the repository/,
      });
      assert.doesNotMatch(outcome.log + outcome.summary, /c2VjcmV0|AUTHORIZATION/);
    },
  );

  tried(
    'record’s place a link',
    'a link in the checkout where the record’s log will be, to a file of the runner’s user',
    'what lies there is replaced and never written through; a folder on the way that is a link is refused',
    async () => {
      await using runner = await checkout({ args: { on_load: 'print("ENGINE SAYS: a key of mine")' } });
      const victim = join(runner.home, 'authorized_keys');
      await writeFile(victim, 'ssh-ed25519 the owner\n');
      await symlink(victim, join(runner.workspace, 'record.log'));
      await symlink(runner.home, join(runner.workspace, 'out'));
      const named = (path: string) => ({ with: { runtime: 'process', 'record-path': path } });
      const written = await runStep(action, runner, named('record'));
      assert.equal(written.outputs['conclusion'], 'no-baseline', written.log);
      assert.match(await readFile(join(runner.workspace, 'record.log'), 'utf8'), /a key of mine/);
      await assertFault(await stepHere(action, runner, named('out/authorized')), runner, {
        code: 'input-invalid',
        says: /out is a link of the checkout/,
        advises: /record-path/,
      });
      assert.equal(await readFile(victim, 'utf8'), 'ssh-ed25519 the owner\n');
      assert.deepEqual((await readdir(runner.home)).sort(), ['authorized_keys']);
    },
  );

  test('on Windows or macOS no engine is started, and the error says where one could be', async () => {
    await using runner = await checkout();
    const pretend = join(runner.home, 'pretend.mjs');
    await writeFile(pretend, 'Object.defineProperty(process, "platform", { value: "darwin" });');
    const outcome = await runStep(action, runner, {
      with: { runtime: 'process' },
      env: { NODE_OPTIONS: `--import=${pretend}` },
    });
    await assertFault(outcome, runner, {
      code: 'platform-unsupported',
      says: /Linux only, and this machine runs macOS/,
      advises: /runner with Linux/,
    });
  });
});

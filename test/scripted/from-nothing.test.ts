import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { actRepository, type JobResult } from '../e2e/support/act.ts';
import { builtAction } from '../e2e/support/action.ts';
import { aHubModel, startHub } from '../support/hub-server.ts';
import { OneProcess } from '../support/one-process.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/*
 * What the README promises to somebody who has nothing: `init`, commit, refresh, and every step after it with the files that
 * `init` wrote and the commands that reports print. The engine is the scripted one, so that it takes a minute at most and no
 * container: that the workflows and the real engine go together is act.test.ts's to show, and what is tried here, whether the
 * files and commands fit each other, no engine has a part in. Hence the one edit by hand: no image, for the process runtime.
 */
test('from nothing: init, a refresh, a green check, a drift, its acceptance, green again', {
  timeout: 10 * 60_000,
}, async (t) => {
  const model = aHubModel();
  await using folder = await temporaryFolder();
  await using hub = await startHub(model);
  await using action = await builtAction('scripted');
  await using repo = await actRepository({ folder: folder.path, action: action.path, isEmpty: true });
  const place = join(folder.path, 'repository');
  const suite = join(place, 'determinism.yml');
  const edit = async (from: string | RegExp, to: string) => {
    const before = await readFile(suite, 'utf8');
    const after = before.replace(from, to);
    assert.notEqual(after, before, `no ${from} in ${before}`);
    await writeFile(suite, after);
  };
  await using there = new OneProcess(place, {
    PATH: process.env['PATH'] ?? '',
    HOME: folder.path,
    HF_ENDPOINT: hub.endpoint,
  });
  const cli = (...words: readonly string[]) => there.run(join(action.path, 'dist/cli.js'), words);
  const flags = ['--env', `HF_ENDPOINT=${hub.endpoint}`];
  const check = () => repo.pullRequest(t.signal, 'check.yml', flags);
  const told = ({ outputs, succeeded }: JobResult) =>
    `${outputs['conclusion']}${outputs['accepted'] === 'true' ? ' (accepted)' : ''}, ${succeeded ? 'green' : 'red'}`;

  // No registry answers there: the digest stays open, and the suite is refused until somebody fills it in.
  const written = await cli(
    ...['init', '--from', `vllm serve ${model.id} --dtype float32 --port 8000`],
    ...['--gpus', 'none', '--image', '127.0.0.1:9/acme/vllm:1'],
  );
  assert.equal(written.exitCode, 0, written.stderr);
  assert.match(written.stdout, /^Fill in `runtime\.image`: /m);
  assert.match((await cli('validate')).stderr, /^suite-invalid: [\s\S]*fill in the /m);
  await edit(/^ {2}image: .*\n/m, '');
  const valid = await cli('validate');
  assert.equal(valid.exitCode, 0, valid.stderr);

  await repo.adoptWorkflows();
  await repo.merge();
  const first = await repo.onMain('workflow_dispatch', 'refresh.yml', {
    ...{ inputs: { reason: 'first baseline' }, signal: t.signal, flags },
  });
  assert.equal(told(first), 'reproduced, green', first.log.join('\n'));
  const same = await check();
  assert.equal(told(same), 'reproduced, green', same.log.join('\n'));

  await edit(/^( {2}serve: .*\n)/m, '$1  args: { logprob: -0.5 }\n');
  const drifted = await check();
  assert.equal(told(drifted), 'drift, red', drifted.log.join('\n'));
  const accepted = await cli(
    ...['accept', `${drifted.record}.report.json`, '--reason', 'the new kernel is meant'],
  );
  assert.equal(accepted.exitCode, 0, accepted.stderr);
  const green = await check();
  assert.equal(told(green), 'drift (accepted), green', green.log.join('\n'));
});

/** What docs/compatibility.md promises: a record and a report of the release before are read, and anywhere. */
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { OneProcess } from '../support/one-process.ts';
import { temporaryFolder } from './support/folder.ts';

const program = fileURLToPath(new URL('../../src/cli.ts', import.meta.url));
/** A drift, its baseline and its report, as they were written when `record/v2` was new. Never made anew. */
const RECORDS = fileURLToPath(new URL('../fixtures/records-v2', import.meta.url));

/** The command line on a system that says it is another. */
async function machine(platform: string) {
  const folder = await temporaryFolder();
  const pretend = join(folder.path, 'pretend.mjs');
  await writeFile(pretend, `Object.defineProperty(process, 'platform', { value: '${platform}' });`);
  await cp(RECORDS, join(folder.path, 'records'), { recursive: true });
  const there = new OneProcess(folder.path, { PATH: process.env['PATH'] ?? '' }, pretend);
  return {
    path: folder.path,
    cli: (...words: string[]) => there.run(program, words),
    async [Symbol.asyncDispose]() {
      await there[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

describe('records and reports of the release before', () => {
  for (const platform of ['win32', 'darwin'])
    test(`can be verified, shown, compared and explained on ${platform}`, async () => {
      await using here = await machine(platform);
      const { cli } = here;
      const verified = await cli('verify', 'records/drift.report.json');
      assert.match(verified.stdout, /^The report agrees with its record and baseline\.$/m, verified.stderr);
      assert.equal(verified.exitCode, 0);
      const shown = await cli('report', 'records/drift.report.json', '--json');
      assert.match(shown.stdout, /"conclusion": *"drift"/, shown.stderr);
      // A report stands for the record that lies beside it.
      const pair = ['records/drift.report.json', 'records/drift.baseline'];
      const compared = await cli('compare', ...pair);
      assert.match(compared.stdout, /^one: same tokens, other log-probability bits/m, compared.stderr);
      const explained = await cli('explain', ...pair, '--record-path', 'explained');
      assert.match(explained.stdout, /2 groups of equal bits/, explained.stderr);
    });
});

describe('an engine', () => {
  for (const [platform, name] of [
    ['win32', 'Windows'],
    ['darwin', 'macOS'],
  ] as const)
    test(`is not started on ${name}, with one clear error`, async () => {
      await using here = await machine(platform);
      await writeFile(
        join(here.path, 'determinism.yml'),
        'apiVersion: deterministic-ml/v1\nname: a\nmodel: { path: model }\nengine: { name: vllm }\nsampling: { max_tokens: 1 }\nprompts:\n  - { id: one, text: x }\nbaseline: { store: files }\n',
      );
      const { exitCode, stdout, stderr } = await here.cli('check', 'determinism.yml', '--runtime', 'process');
      assert.deepEqual(
        [exitCode, stderr.split('\n')[0]],
        [2, `platform-unsupported: An engine is started on Linux only, and this machine runs ${name}.`],
        stdout,
      );
      assert.equal(stderr.match(/platform-unsupported/g)?.length, 1, stderr);
    });
});

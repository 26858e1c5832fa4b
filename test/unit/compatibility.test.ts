/** What docs/compatibility.md promises: a record and a report of the release before are read, and anywhere. */
import assert from 'node:assert/strict';
import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { COMPILED } from '../support/recipes.ts';
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
  return {
    path: folder.path,
    cli: async (...words: string[]) =>
      await execa(process.execPath, ['--import', pretend, program, ...words], {
        cwd: folder.path,
        env: { ...COMPILED, PATH: process.env['PATH'] ?? '' },
        extendEnv: false,
        reject: false,
      }),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

describe('records and reports of the release before', () => {
  for (const platform of ['win32', 'darwin'])
    test(`can be verified, shown, compared and explained on ${platform}`, async () => {
      await using here = await machine(platform);
      const { cli } = here;
      const [verified, shown, compared, explained] = await Promise.all([
        cli('verify', 'records/drift.report.json'),
        cli('report', 'records/drift.report.json', '--json'),
        // A report stands for the record that lies beside it.
        cli('compare', 'records/drift.report.json', 'records/drift.baseline'),
        cli('explain', 'records/drift.report.json', 'records/drift.baseline', '--record-path', 'explained'),
      ]);
      assert.match(verified.stdout, /^The report agrees with its record and baseline\.$/m, verified.stderr);
      assert.equal(verified.exitCode, 0);
      assert.match(shown.stdout, /"conclusion": *"drift"/, shown.stderr);
      assert.match(compared.stdout, /^one: same tokens, other log-probability bits/m, compared.stderr);
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

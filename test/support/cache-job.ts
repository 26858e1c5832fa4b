/** Runs inside act's job: does with the real environment of a job what the first argument's file says. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createCacheStore } from '../../src/baseline/cache/store.ts';
import { UserError } from '../../src/errors.ts';
import type { Job } from './cache-act.ts';
import { bytesBelow } from './cache-baseline.ts';

const [, , asked = '', answer = ''] = process.argv;
const { what, key, folder = '', replaces }: Job = JSON.parse(await readFile(asked, 'utf8'));
const store = createCacheStore({
  env: process.env,
  tempFolder: process.env['RUNNER_TEMP'] ?? join(answer, '..'),
  log: (line) => process.stdout.write(`${line}\n`),
  // act has no API of GitHub's to ask.
  trustedRefs: [],
  ownRef: process.env['GITHUB_REF'] ?? '',
});

async function done(): Promise<object> {
  if (what === 'save') return { key: await store.save(key, folder, replaces) };
  const lookup = await store.find(key);
  if (lookup.kind === 'absent') {
    const protocol = /protocol (v\d)/.exec(lookup.explanation.join('\n'))?.[1];
    return { kind: lookup.kind, otherClasses: lookup.otherClasses, protocol };
  }
  await using found = lookup;
  return { kind: found.kind, key: found.key, bytes: await bytesBelow(found.folder) };
}

const result = await done().catch((error: unknown) => {
  if (error instanceof UserError) return { error: `${error.code}: ${error.message}` };
  throw error;
});
await writeFile(answer, JSON.stringify(result));

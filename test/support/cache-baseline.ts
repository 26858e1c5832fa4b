import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BASELINE_SCHEMA, type BaselineKey, type BaselineMeta } from '../../src/baseline/port.ts';

/** A key that differs from others by what is given. */
export function baselineKey(differs: Partial<BaselineKey> = {}): BaselineKey {
  return {
    suite: 'Serving-1',
    hardwareClass: 'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1',
    runId: '17000000001',
    runAttempt: '1',
    record: 'ab'.repeat(32),
    ...differs,
  };
}

/** Writes a folder as `refresh` makes it; to a store, the bytes of record and bodies mean nothing. */
export async function writeBaseline(
  folder: string,
  key: BaselineKey,
  body = 'bits \0\u0001',
): Promise<string> {
  const meta: BaselineMeta = {
    schema: BASELINE_SCHEMA,
    suite: key.suite,
    hardwareClass: key.hardwareClass,
    record: key.record,
    recordFile: 'ef'.repeat(32),
    provenance: {
      repository: 'octo/models',
      commit: '0'.repeat(40),
      ref: 'refs/heads/main',
      workflow: 'refresh.yml',
      runId: key.runId,
      runAttempt: key.runAttempt,
      runUrl: 'https://github.com/octo/models/actions/runs/17000000001',
      actor: 'octocat',
      event: 'workflow_dispatch',
      reason: 'first one',
      createdAt: '2026-11-23T04:00:00.000Z',
      tool: '0.1.0',
      image: '',
      model: 'cd'.repeat(32),
      pullRequest: null,
    },
    chain: [],
    yardstick: [],
    envelope: { lifetimes: 1, digests: [key.record] },
  };
  await mkdir(join(folder, 'bodies'), { recursive: true });
  await writeFile(join(folder, 'bodies', 'cd'.repeat(32)), body);
  await writeFile(join(folder, 'record.json'), JSON.stringify({ large: 'x'.repeat(20_000) }), {
    mode: 0o600,
  });
  await writeFile(join(folder, 'baseline.json'), JSON.stringify(meta, null, 2));
  return folder;
}

/** All files below a folder with their bytes, for comparing whole folders. */
export async function bytesBelow(folder: string): Promise<Record<string, string>> {
  const bytes: Record<string, string> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    bytes[path.slice(folder.length + 1)] = entry.isFile() ? await readFile(path, 'base64') : 'folder';
  }
  return bytes;
}

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { ERROR_CODES } from '../../src/errors.ts';

test('every error code is explained in docs/troubleshooting.md, and no other', async () => {
  const text = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');
  const explained = [...text.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, code]) => code);
  assert.deepEqual(explained.sort(), [...ERROR_CODES, 'internal-error'].sort());
});

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { CONCLUSIONS } from '../../src/compare/conclusion.ts';
import { ERROR_CODES } from '../../src/errors.ts';

const text = await readFile(new URL('../../docs/troubleshooting.md', import.meta.url), 'utf8');

/** What the rows of a generated table begin with. */
function named(marker: string): string[] {
  const [, table = ''] = text.split(new RegExp(`<!-- /?${marker} -->`));
  return [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, name]) => name ?? '');
}

test('every error code is explained in docs/troubleshooting.md, and no other', () => {
  assert.deepEqual(named('errors').sort(), [...ERROR_CODES, 'internal-error'].sort());
});

test('so is every conclusion', () => assert.deepEqual(named('conclusions'), [...CONCLUSIONS]));

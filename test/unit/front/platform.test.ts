import assert from 'node:assert/strict';
import { test } from 'node:test';
import { refusePlatform } from '../../../src/front/platform.ts';
import { thrownBy } from '../support/suites.ts';

test('an engine is started on Linux, and elsewhere an error says where it could be', () => {
  refusePlatform('linux');
  for (const [platform, name] of [
    ['win32', 'Windows'],
    ['darwin', 'macOS'],
    ['freebsd', 'freebsd'],
  ] as const) {
    const error = thrownBy(() => refusePlatform(platform));
    assert.equal(error.code, 'platform-unsupported');
    assert.ok(error.message.endsWith(`this machine runs ${name}.`), error.message);
    assert.match(error.hint, /Linux.*`verify`/);
  }
});

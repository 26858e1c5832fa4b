import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cacheService, cacheVersion } from '../../../../src/baseline/cache/service.ts';
import { plain } from '../../../../src/baseline/foreign.ts';
import { UserError } from '../../../../src/errors.ts';

const env = {
  ACTIONS_CACHE_SERVICE_V2: 'True',
  ACTIONS_RESULTS_URL: 'https://results.example/',
  ACTIONS_CACHE_URL: 'https://old.example/secret/',
  ACTIONS_RUNTIME_TOKEN: 'token',
};

describe('which cache service a job has', () => {
  for (const [what, differs, expected] of [
    ['GitHub says v2', {}, ['v2', 'results.example']],
    ['without the v2 variable', { ACTIONS_CACHE_SERVICE_V2: '' }, ['v1', 'old.example']],
    ['data residency', { GITHUB_SERVER_URL: 'https://octo.ghe.com' }, ['v2', 'results.example']],
    ['Enterprise Server', { GITHUB_SERVER_URL: 'https://git.corp.example' }, ['v1', 'old.example']],
  ] as const)
    test(what, () => {
      const { protocol, host } = cacheService({ ...env, ...differs });
      assert.deepEqual([protocol, host], expected);
    });

  for (const [mode, mayRead, mayWrite] of [
    ['', true, true],
    ['read', true, false],
    ['write', true, true],
    ['write-only', false, true],
    ['none', false, false],
    ['something new', true, true],
  ] as const)
    test(`ACTIONS_CACHE_MODE "${mode}"`, () => {
      const service = cacheService({ ...env, ACTIONS_CACHE_MODE: mode });
      assert.deepEqual([service.mayRead, service.mayWrite], [mayRead, mayWrite]);
    });

  for (const [what, differs, says] of [
    ['no address', { ACTIONS_RESULTS_URL: undefined }, /ACTIONS_RESULTS_URL is not set/],
    ['no token', { ACTIONS_RUNTIME_TOKEN: '' }, /ACTIONS_RUNTIME_TOKEN is not set/],
    ['no URL', { ACTIONS_RESULTS_URL: 'results' }, /ACTIONS_RESULTS_URL is no http/],
    ['a file', { ACTIONS_RESULTS_URL: 'file:///etc/' }, /ACTIONS_RESULTS_URL is no http/],
  ] as const)
    test(`${what} is an outage`, () => {
      assert.throws(
        () => cacheService({ ...env, ...differs }),
        (error) =>
          error instanceof UserError && error.code === 'store-unavailable' && says.test(error.message),
      );
    });
});

test('each compression and system has a version of its own', () => {
  const versions = [
    cacheVersion('gzip', 'linux'),
    cacheVersion('zstd-without-long', 'linux'),
    cacheVersion('gzip', 'win32'),
    cacheVersion('zstd-without-long', 'win32'),
  ];
  assert.equal(new Set(versions).size, 4);
});

describe('foreign text in a line of the log', () => {
  for (const [what, text, shown] of [
    ['keeps what is harmless', 'Failed: 503 – später', 'Failed: 503 – später'],
    ['breaks up workflow commands', 'x ##[add-path]a ::set-env::b', 'x # #[add-path]a : :set-env: :b'],
    ['stays on one line', 'a\r\n::error::b\u2028c', 'a : :error: :b c'],
    ['has no control characters', '\u001b[31mred\u0007\u202e', '[31mred'],
    ['hides signatures', 'https://x.example/b?sv=1&sig=a%2Bb&x=2', 'https://x.example/b?sv=1&sig=***&x=2'],
    ['is capped', 'a'.repeat(301), `${'a'.repeat(300)}…`],
  ] as const)
    test(what, () => assert.equal(plain(text), shown));
});

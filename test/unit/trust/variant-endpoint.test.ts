import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Permission } from '../../../src/trust/events.ts';
import { refuseVariantEndpoint } from '../../../src/trust/judge.ts';
import { suiteOf } from '../support/endpoint.ts';
import { SUITE } from '../support/job.ts';
import { loaded, thrownBy } from '../support/suites.ts';

const ASKS = loaded(suiteOf('https://api.example/v1'), []);
const STARTS = loaded(SUITE, []);
const NAMED = { args: { url: 'https://api.example/v1' } };

const permission = (judge: Permission['judge'], limits: Permission['limits'] = 'none'): Permission => ({
  ...{ judge, limits, stores: 'nothing' },
});

describe('a variant that asks an endpoint', () => {
  test('may, where it names itself whom: it is the base branch’s', () => {
    refuseVariantEndpoint(permission('base'), STARTS, ASKS, NAMED);
    refuseVariantEndpoint(permission('checkout'), STARTS, ASKS, {});
    // One that is started asks nobody.
    refuseVariantEndpoint(permission('base', 'fork'), STARTS, STARTS, {});
  });

  test('may not, where a pull request’s arguments would say whom', () => {
    const error = thrownBy(() => refuseVariantEndpoint(permission('base'), STARTS, ASKS, {}));
    assert.equal(error.code, 'pull-request-limited');
    assert.match(error.message, /https:\/\/api\.example\/v1, which the variant itself does not name/);
  });

  test('never does for a stranger’s change', () => {
    const error = thrownBy(() => refuseVariantEndpoint(permission('base', 'fork'), ASKS, ASKS, NAMED));
    assert.match(error.message, /would be paid with the key of this one/);
  });
});

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packBody, unpackBody } from '../../../src/record/body.ts';
import { type Channel, describeChannel } from '../../../src/record/channels.ts';
import { rejectedBy } from '../support/suites.ts';

const SKETCHES: Channel = {
  ...{ name: 'roles', kind: 'sketches', k: 2, names: ['embed', 'layers.0.größe'] },
  values: Float64Array.of(1, -0.1, 2, 1e-300),
};

test('sketches come out of a body as they went in, whatever lies before them', () => {
  const text: Channel = { name: 'text', kind: 'text', text: 'abc' };
  assert.deepEqual(unpackBody(packBody([text, SKETCHES]), 'x'), [text, SKETCHES]);
  assert.deepEqual(describeChannel(SKETCHES).nans, 0);
  const { values } = SKETCHES;
  assert.equal(describeChannel({ ...SKETCHES, values: values.map((one) => one / 0) }).nans, 4);
});

test('sketches that are not as many as their names are damage', async () => {
  for (const broken of [
    { ...SKETCHES, names: ['embed'] },
    { ...SKETCHES, k: 3 },
    { ...SKETCHES, values: SKETCHES.values.slice(1) },
  ]) {
    const error = await rejectedBy((async () => unpackBody(packBody([broken]), 'x'))());
    assert.equal(error.code, 'record-invalid');
  }
});

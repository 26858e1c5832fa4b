import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { packBody, unpackBody } from '../../../src/record/body.ts';
import { type Channel, describeChannel, stepsOf } from '../../../src/record/channels.ts';
import { blake2b, digestJson, sha256 } from '../../../src/record/digest.ts';
import { bitsOf, float32, uint32 } from '../../../src/record/words.ts';
import { body, channelsOf, modules } from '../support/records.ts';
import { thrownBy } from '../support/suites.ts';

const bits = body({ promptTokens: [1, 2, 2_147_483_647], text: 'Grüße 🌍' });
const sample = channelsOf(bits);
const describeBody = (channels: readonly Channel[]) => channels.map(describeChannel);
const textIn = (channels: readonly Channel[]) =>
  channels.flatMap((one) => (one.kind === 'text' ? [one.text] : []))[0];

/** Nine bit patterns that numbers do not survive everywhere. */
const AWKWARD = Buffer.from(
  [
    '00000080', // -0
    '0000807f', // infinity
    '000080ff', // -infinity
    '0000c07f', // NaN
    '0000ffff', // the NaN that a broken model gave
    '0100807f', // a signalling NaN
    '01000000', // the smallest subnormal
    'ffff7f7f', // the largest float32
    'cdcccc3d', // 0.1
  ].join(''),
  'hex',
);

describe('a packed body', () => {
  test('comes back as it was, bit by bit', () => {
    const values = float32(AWKWARD);
    const original = {
      ...bits,
      tokens: Uint32Array.from(values, (_, i) => i),
      logprobs: values,
      k: 1,
      topIds: Uint32Array.from(values, () => 7),
      topLogprobs: values,
    };
    const packed = packBody([
      ...channelsOf(original),
      { name: 'modules', kind: 'digests', digests: modules({ mlp: 'x' }, 2) },
    ]);
    const channels = unpackBody(packed, 'x');
    const back = stepsOf(channels);
    assert.deepEqual(back.promptTokens, original.promptTokens);
    assert.deepEqual(back.tokens, original.tokens);
    assert.deepEqual(back.topIds, original.topIds);
    assert.equal(back.k, 1);
    assert.equal(textIn(channels), 'Grüße 🌍');
    assert.deepEqual(channels.at(-1), {
      name: 'modules',
      kind: 'digests',
      digests: modules({ mlp: 'x' }, 2),
    });
    assert.deepEqual([...bitsOf(back.logprobs)], [...uint32(AWKWARD)]);
    assert.deepEqual([...bitsOf(back.topLogprobs)], [...uint32(AWKWARD)]);
    assert.deepEqual(packBody(channels), packed);
  });

  test('may be empty', () => {
    const empty = channelsOf(body({ promptTokens: [], tokens: [], text: '' }));
    assert.deepEqual(unpackBody(packBody(empty), 'x'), empty);
  });

  test('has no half characters: they are told apart from nothing in UTF-8', () => {
    const half = channelsOf(body({ text: 'a\ud800' }));
    assert.equal(textIn(unpackBody(packBody(half), 'x')), 'a\ufffd');
    assert.deepEqual(describeBody(half), describeBody(unpackBody(packBody(half), 'x')));
  });

  const packed = packBody(sample);
  const patched = (offset: number, value: number) => {
    const bytes = Buffer.from(packed);
    bytes.writeUInt32LE(value, offset);
    return bytes;
  };
  for (const [name, bytes, message] of [
    ['nothing', Buffer.alloc(0), /is not a packed observation/],
    ['only a header', packed.subarray(0, 12), /has 12 bytes where 28 or more belong/],
    ['cut short', packed.subarray(0, -1), /has 207 bytes where 208 or more belong/],
    ['too long', Buffer.concat([packed, Buffer.alloc(1)]), /has 209 bytes where its header says 208/],
    [
      'of another kind',
      Buffer.from(packed.toString('latin1').replace('DMLB', 'XXXX'), 'latin1'),
      /not a packed/,
    ],
    ['of the first version', Buffer.from('DMLBODY1'.padEnd(96, '0')), /not a packed observation/],
    ['with more channels than bytes', patched(8, 6), /has 208 bytes where 224 or more belong/],
    ['with billions of channels', patched(8, 4_294_967_295), /has 4294967295 channels/],
    ['with a channel of no kind', patched(12, 9), /has a channel 1 that cannot be read/],
    ['with a name of billions of bytes', patched(20, 4_294_967_292), /has 208 bytes where/],
    ['with data of billions of bytes', patched(24, 4_294_967_292), /has 208 bytes where/],
    ['filled with other than zeros', patched(28 + 12, 0xff00_006e), /is filled with other than zeros/],
    ['with half a number', patched(24, 11), /is filled with other than zeros|cannot be read/],
  ] as const)
    test(`that is ${name} is refused`, () => {
      const error = thrownBy(() => unpackBody(Buffer.from(bytes), 'abc'));
      assert.equal(error.code, 'record-invalid');
      assert.match(error.message, message);
      assert.match(error.message, /^body abc /);
    });

  for (const [change, message] of [
    [{ logprobs: new Float32Array(3) }, '3 log-probabilities where 2 belong'],
    [{ topIds: new Uint32Array(3) }, '3 ids in `top-k` where 4 belong'],
    [{ topLogprobs: new Float32Array(3) }, '3 log-probabilities in `top-k` where 4 belong'],
  ] as const)
    test(`cannot be made with ${message}`, () => {
      const error = thrownBy(() => packBody(channelsOf({ ...bits, ...change })));
      assert.equal(error.message, `an observation has ${message}.`);
    });

  test('cannot be made with a channel twice', () => {
    const [first] = sample;
    assert.ok(first);
    assert.match(thrownBy(() => packBody([...sample, first])).message, /the channel `prompt-tokens` twice/);
  });
});

for (const read of [uint32, float32])
  test(`${read.name}: 5 bytes are no numbers`, () => {
    assert.match(thrownBy(() => read(Buffer.alloc(5))).message, /no whole number of 4-byte values/);
  });

/** Each computed by Python's struct and hashlib from the documented layout, not by this code. */
describe('known digests', () => {
  test('of an observation', () => {
    assert.deepEqual(describeBody(sample), [
      {
        name: 'prompt-tokens',
        count: 3,
        sha256: '74aa326617f00d2d252a24a9b0a9669c8f96fc9531abfbfb344cd9ca2aa9c633',
        nans: null,
        blake2b: null,
      },
      {
        name: 'tokens',
        count: 2,
        sha256: '50ac472466c102b9f97990af92e6c7acc1e76efbfd9b10904c4e2cfd533b0ca8',
        nans: null,
        blake2b: null,
      },
      {
        name: 'logprobs',
        count: 2,
        sha256: '347c3e0cd6e847bfd3a59586f16c13e52a4076ed7d7a6addf4e5a1fb3c6b8e80',
        nans: 0,
        blake2b: null,
      },
      {
        name: 'top-k',
        count: 2,
        sha256: 'f52f97a57bb9547d738fd3472b58e15c76d01fac0e16c23100b3631d88bccace',
        nans: 0,
        blake2b: null,
      },
      {
        name: 'text',
        count: 12,
        sha256: '8db31f8a6161989c85a6209bc474492b5431c306c9319dd648c1b8682ad5c880',
        nans: null,
        blake2b:
          '29a5b7dea6793995b9f61f159ceca7729f9b2cd4cb859e3d0b1ec04c1077ba673cef0faaa2cd145841764047dd0183f5ed371c747fc78c0180e1ff8b5922de5b',
      },
    ]);
  });

  test('of a packed body', () => {
    assert.equal(
      sha256(packBody(sample)),
      '3a6593cea7cd0cb652fdbd2f469debdb5364adf790ba98b882ad20a018c860c9',
    );
  });

  test('of canonical JSON: keys sorted, numbers in their shortest form, no blanks', () => {
    const value = { '😀': null, '\u20ac': 1, b: '\u000f\n', a: [1e30, 4.5, 2e-3] };
    assert.equal(digestJson(value), '67c2434b6aa1c84f53c76be9c6aee19911a785da8e6a24e82da28115c71e1366');
  });

  test('of the empty text', () => {
    assert.equal(sha256(''), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
    assert.match(blake2b(''), /^786a02f742015903c6c6fd852552d272912f4740e15847618a86e217f71f5419/);
  });
});

test('NaN is counted, in the chosen and in the top log-probabilities', () => {
  const broken = body({ logprobs: [Number.NaN, -1], top: [[[1, Number.NaN]], [[2, Number.NaN]]] });
  assert.deepEqual(
    describeBody(channelsOf(broken)).map(({ nans }) => nans),
    [null, null, 1, 2, null],
  );
});

test('numbers are read from any place in memory, and never from another', () => {
  const packed = packBody(sample);
  for (const offset of [0, 1, 2, 3, 4]) {
    const memory = Buffer.alloc(packed.length + 16, 0xee);
    packed.copy(memory, offset);
    const back = unpackBody(memory.subarray(offset, offset + packed.length), 'x');
    assert.deepEqual(describeBody(back), describeBody(sample));
    assert.deepEqual(packBody(back), packed);
  }
  const part = channelsOf({ ...bits, promptTokens: bits.promptTokens.subarray(1) });
  assert.equal(describeBody(part)[0]?.count, 2);
  assert.deepEqual([...stepsOf(unpackBody(packBody(part), 'x')).promptTokens], [2, 2_147_483_647]);
});

describe('what no engine can mean is refused:', () => {
  const cases: Readonly<Record<string, readonly [Partial<Parameters<typeof body>[0]>, RegExp]>> = {
    'a prompt token beyond any vocabulary': [{ promptTokens: [2 ** 31] }, /the token id 2147483648/],
    'a token beyond any vocabulary': [{ tokens: [2 ** 32 - 1] }, /the token id 4294967295/],
    'a listed token beyond any vocabulary': [
      { tokens: [1], top: [[[2 ** 31, -1]]] },
      /the token id 2147483648/,
    ],
    'a log-probability of infinity': [{ tokens: [1], logprobs: [Number.POSITIVE_INFINITY] }, /infinity/],
    'a listed one of infinity': [{ tokens: [1], top: [[[1, Number.POSITIVE_INFINITY]]] }, /infinity/],
  };
  for (const [name, [bits, message]] of Object.entries(cases))
    test(name, () => {
      const error = thrownBy(() => describeBody(channelsOf(body(bits))));
      assert.equal(error.code, 'record-invalid');
      assert.match(error.message, message);
    });
  test('but for negative infinity, which sampling gives to what it rules out', () => {
    const never = Number.NEGATIVE_INFINITY;
    const ruledOut = channelsOf(body({ tokens: [1], logprobs: [never], top: [[[1, never]]] }));
    assert.deepEqual(describeBody(ruledOut)[2]?.nans, 0);
  });
});

test('a value without a JSON form has no digest', () => {
  assert.throws(() => digestJson(undefined), TypeError);
});

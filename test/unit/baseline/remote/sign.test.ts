import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { placeIn } from '../../../../src/baseline/remote/s3.ts';
import { EMPTY_SHA256, signed } from '../../../../src/baseline/remote/sign.ts';
import { sha256 } from '../../../../src/record/digest.ts';

/* The examples of AWS's own documentation of the signature. */

const KEYS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
  sessionToken: undefined,
};
const NOW = new Date('2013-05-24T00:00:00Z');
const BUCKET = 'https://examplebucket.s3.amazonaws.com';

describe('a signature', () => {
  for (const [what, method, path, headers, body, expected] of [
    [
      'of a GET of a part',
      'GET',
      '/test.txt',
      { range: 'bytes=0-9' },
      EMPTY_SHA256,
      'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
    ],
    [
      'of a PUT',
      'PUT',
      '/test%24file.text',
      { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
      sha256('Welcome to Amazon S3.'),
      '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
    ],
    [
      'of a list',
      'GET',
      '/?max-keys=2&prefix=J',
      {},
      EMPTY_SHA256,
      '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
    ],
  ] as readonly (readonly [string, string, string, Record<string, string>, string, string])[])
    test(`${what} is AWS’s own`, () => {
      const { authorization } = signed(
        { method, url: new URL(`${BUCKET}${path}`), headers, body },
        KEYS,
        'us-east-1',
        NOW,
      );
      assert.equal(authorization?.split('Signature=')[1], expected);
    });

  test('covers the token of credentials that end', () => {
    const unsigned = { method: 'GET', url: new URL(BUCKET), headers: {}, body: EMPTY_SHA256 };
    const { authorization, ...headers } = signed(
      unsigned,
      { ...KEYS, sessionToken: 'abc' },
      'us-east-1',
      NOW,
    );
    assert.equal(headers['x-amz-security-token'], 'abc');
    assert.match(authorization ?? '', /SignedHeaders=[^,]*x-amz-security-token/);
  });
});

describe('where a bucket is', () => {
  const place = (more: Readonly<Record<string, string>>) =>
    placeIn({
      ...{ DETERMINISM_S3_BUCKET: 'models', AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
      ...more,
    });

  test('the environment says, as AWS’s own tools read it', () => {
    assert.equal(
      place({ AWS_REGION: 'eu-central-1' }).base.href,
      'https://models.s3.eu-central-1.amazonaws.com/',
    );
    assert.equal(
      place({ AWS_DEFAULT_REGION: 'eu-central-1', DETERMINISM_S3_BUCKET: 'a.b' }).base.href,
      'https://s3.eu-central-1.amazonaws.com/a.b/',
    );
    const other = place({ AWS_ENDPOINT_URL: 'https://minio.example.org:9000/s3/' });
    assert.deepEqual(
      [other.base.href, other.region],
      ['https://minio.example.org:9000/s3/models/', 'us-east-1'],
    );
  });

  test('is refused where it is none', () => {
    for (const wrong of [
      {},
      { AWS_REGION: 'eu/../x' },
      { AWS_REGION: 'eu-central-1', DETERMINISM_S3_BUCKET: 'A/b' },
      { AWS_ENDPOINT_URL: 'https://a:b@example.org' },
      { AWS_ENDPOINT_URL: 'http://example.org' },
      { AWS_ENDPOINT_URL: 'ftp://127.0.0.1' },
    ] as readonly Readonly<Record<string, string>>[])
      assert.throws(() => place(wrong), { code: 'store-unavailable' }, JSON.stringify(wrong));
  });
});

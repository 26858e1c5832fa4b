import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseImage } from '../../../../src/runtime/docker/images.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

describe('naming an image', () => {
  for (const [reference, registry, repository] of [
    [`vllm/vllm-openai@${DIGEST}`, 'docker.io', 'vllm/vllm-openai'],
    [`vllm/vllm-openai:v0.30.0@${DIGEST}`, 'docker.io', 'vllm/vllm-openai'],
    [`python@${DIGEST}`, 'docker.io', 'python'],
    [`ghcr.io/org/engine@${DIGEST}`, 'ghcr.io', 'ghcr.io/org/engine'],
    [`localhost/engine@${DIGEST}`, 'localhost', 'localhost/engine'],
    [`registry:5000/a/b:tag@${DIGEST}`, 'registry:5000', 'registry:5000/a/b'],
    [`registry:5000/a/b@${DIGEST}`, 'registry:5000', 'registry:5000/a/b'],
  ] as const)
    test(reference.replace(DIGEST, 'sha256:…'), () => {
      assert.deepEqual(parseImage(reference), { kind: 'registry', registry, repository, digest: DIGEST });
    });

  test('an id is an image of this machine', () => {
    assert.deepEqual(parseImage(DIGEST), { kind: 'local', digest: DIGEST });
  });

  for (const reference of [
    'vllm/vllm-openai',
    'vllm/vllm-openai:v0.30.0',
    'engine@sha256:abc',
    `engine@sha512:${'ab'.repeat(64)}`,
    `@${DIGEST}`,
    `--privileged@${DIGEST}`,
    `a b@${DIGEST}`,
    DIGEST.slice('sha256:'.length),
  ])
    test(`${reference.slice(0, 40)} is refused`, () => {
      assert.throws(() => parseImage(reference), { code: 'image-not-pinned', hint: /imagetools inspect/ });
    });
});

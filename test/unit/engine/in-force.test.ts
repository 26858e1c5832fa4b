import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { engines, missingFoundation } from '../../../src/engine/engines/index.ts';
import { transformers } from '../../../src/engine/engines/transformers.ts';
import { vllm } from '../../../src/engine/engines/vllm.ts';
import { notInForce } from '../../../src/fingerprint/in-force.ts';
import type { EngineSettings } from '../../../src/fingerprint/schema.ts';

const settings = (
  requested: EngineSettings['requested'],
  effective: EngineSettings['effective'],
): EngineSettings => ({ requested, dropped: [], effective });
const told = (
  requested: EngineSettings['requested'],
  effective: EngineSettings['effective'],
  environment: Readonly<Record<string, string>> = {},
) =>
  notInForce(settings(requested, effective), environment).map(
    ({ name, asked, inForce }) => `${name}: ${asked} -> ${inForce}`,
  );

describe('what was asked for', () => {
  test('is in force where the engine says the same, in its own way of saying it', () => {
    for (const [asked, is] of [
      [true, true],
      [0, 0],
      [0.5, 0.5],
      ['bfloat16', 'bfloat16'],
      ['half', 'float16'],
      ['torch.float32', 'float32'],
      ['fp8', 'fp8_e4m3'],
      ['cuda', 'cuda:0'],
      ['FLASH_ATTN', 'flash_attn'],
    ] as const)
      assert.deepEqual(told({ x: asked }, { x: is }), [], `${asked}`);
  });

  test('is not where it says another', () => {
    assert.deepEqual(told({ enable_chunked_prefill: false }, { enable_chunked_prefill: true }), [
      'enable_chunked_prefill: false -> true',
    ]);
    assert.deepEqual(told({ block_size: 16 }, { block_size: 128 }), ['block_size: 16 -> 128']);
    assert.deepEqual(told({ dtype: 'float16' }, { dtype: 'bfloat16' }), ['dtype: float16 -> bfloat16']);
    assert.deepEqual(told({ quantization: 'fp8' }, { quantization: null }), ['quantization: fp8 -> null']);
    assert.deepEqual(told({ seed: 0 }, { seed: false }), ['seed: 0 -> false']);
  });

  test('is nothing that could fail where the choice was left to the engine', () => {
    for (const asked of ['auto', null, -1]) assert.deepEqual(told({ x: asked }, { x: 'something' }), []);
  });

  test('is not known where the engine tells nothing, or nothing that could be compared', () => {
    assert.deepEqual(told({ x: 1, y: 1, z: { a: 1 }, off: false }, { y: 'unknown', z: 'b', off: null }), []);
  });

  test('may be a variable, which the engine sets otherwise or does not know', () => {
    const environment = { CUBLAS_WORKSPACE_CONFIG: ':4096:8', VLLM_OLD: '1', PYTHONHASHSEED: '0' };
    const effective = {
      'environment.CUBLAS_WORKSPACE_CONFIG': ':16:8',
      'environment.VLLM_OLD': '(not known to this engine)',
      // Nobody asked for it here.
      'environment.constructor': 'x',
    };
    assert.deepEqual(told({}, effective, environment), [
      'CUBLAS_WORKSPACE_CONFIG: :4096:8 -> :16:8',
      'VLLM_OLD: 1 -> (not known to this engine)',
    ]);
  });
});

describe('what a verdict stands on', () => {
  const missing = (
    engine: (typeof engines)[number],
    requested: EngineSettings['requested'],
    effective: EngineSettings['effective'],
    environment = {},
  ) => missingFoundation(engine, settings(requested, effective), environment);
  const invariant = { VLLM_BATCH_INVARIANT: '1' };

  test('is missing where it was asked for and the engine says no', () => {
    assert.equal(missing(vllm, { enforce_eager: true }, { enforce_eager: false }), 'enforce_eager: true');
    for (const effective of [
      { batch_invariant: false },
      { batch_invariant: true, 'environment.VLLM_BATCH_INVARIANT': '0' },
      { batch_invariant: 'unknown', 'environment.VLLM_BATCH_INVARIANT': '(not known to this engine)' },
    ])
      assert.equal(missing(vllm, {}, effective, invariant), 'VLLM_BATCH_INVARIANT: "1"');
    assert.equal(
      missing(transformers, { deterministic_algorithms: true }, { deterministic_algorithms: false }),
      'deterministic_algorithms: true',
    );
  });

  test('is there where the engine says so, or nothing', () => {
    assert.equal(missing(vllm, { enforce_eager: true }, { enforce_eager: true }), undefined);
    for (const effective of [{ batch_invariant: true }, { batch_invariant: 'unknown' }, {}])
      assert.equal(missing(vllm, {}, effective, invariant), undefined);
  });

  test('is not missed by a suite that does not ask for it', () => {
    assert.equal(missing(vllm, { enforce_eager: false }, { enforce_eager: false }), undefined);
    assert.equal(missing(vllm, {}, { batch_invariant: false }, { VLLM_BATCH_INVARIANT: '0' }), undefined);
    for (const engine of engines) assert.equal(missing(engine, {}, {}), undefined);
  });
});

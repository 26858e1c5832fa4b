import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { diffEnvironments, type Environment } from '../../../src/fingerprint/diff.ts';
import { hardwareClass } from '../../../src/fingerprint/hardware-class.ts';
import { Fingerprint } from '../../../src/fingerprint/schema.ts';
import { RecordFile } from '../../../src/record/schema.ts';
import { FINGERPRINT } from '../support/records.ts';

const { cpu } = FINGERPRINT.ambient;
const gpu = (computeCapability: string, smCount: number | 'unknown', name = 'GPU') => ({
  name,
  uuidHash: 'a'.repeat(16),
  computeCapability,
  smCount,
  memoryBytes: 80_000_000_000,
});

describe('the hardware class', () => {
  const H100 = 'NVIDIA H100 80GB HBM3';
  const cases: readonly (readonly [string, Parameters<typeof hardwareClass>[0], string])[] = [
    [
      'of an H100, as torch tells of it',
      { gpus: [gpu('9.0', 132, H100)], cpu },
      'nvidia-h100-80gb-hbm3-cc9.0-sm132-x1',
    ],
    [
      'of two',
      { gpus: [gpu('9.0', 132, H100), gpu('9.0', 132, H100)], cpu },
      'nvidia-h100-80gb-hbm3-cc9.0-sm132-x2',
    ],
    [
      'of a MIG slice, which has a name and fewer SMs',
      { gpus: [gpu('9.0', 16, `${H100} MIG 1g.10gb`)], cpu },
      'nvidia-h100-80gb-hbm3-mig-1g.10gb-cc9.0-sm16-x1',
    ],
    [
      'of an H200, which has as many SMs',
      { gpus: [gpu('9.0', 132, 'NVIDIA H200')], cpu },
      'nvidia-h200-cc9.0-sm132-x1',
    ],
    [
      'of two kinds, in any order',
      { gpus: [gpu('9.0', 132, H100), gpu('8.0', 108, 'NVIDIA A100-SXM4-80GB')], cpu },
      'nvidia-a100-sxm4-80gb-cc8.0-sm108-nvidia-h100-80gb-hbm3-cc9.0-sm132-x2',
    ],
    [
      // test/harness/test_program.py has the same, of a record that a program makes.
      'of more kinds than it has room for',
      {
        gpus: [
          gpu('12.0', 188, 'NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition'),
          gpu('12.0', 188, 'NVIDIA RTX 6000 Ada Generation'),
          gpu('12.0', 188, 'NVIDIA RTX PRO 5000 Blackwell Generation Laptop GPU'),
        ],
        cpu,
      },
      'nvidia-rtx-6000-ada-generation-cc12.0-sm188-nvidia-rtx-pro-5000-blackwell-generation-laptop-gpu-cc12.0-sm188-nvi-2e491c7bb6d8-x3',
    ],
    [
      'of AMD',
      { gpus: [gpu('gfx942', 304, 'AMD Instinct MI300X')], cpu },
      'amd-instinct-mi300x-gfx942-sm304-x1',
    ],
    [
      'of Intel',
      { gpus: [gpu('xe-3000000', 512, 'Intel(R) Data Center GPU Max 1550')], cpu },
      'intel-r-data-center-gpu-max-1550-xe-3000000-sm512-x1',
    ],
    [
      'of a GPU that tells nothing',
      { gpus: [gpu('unknown', 'unknown', 'unknown')], cpu },
      'unknown-ccunknown-smunknown-x1',
    ],
    ['of a CPU', { gpus: [], cpu }, 'cpu-genuineintel-x86-64-v4'],
    [
      'of a CPU that tells nothing',
      { gpus: [], cpu: { ...cpu, vendor: 'unknown', level: 'unknown' } },
      'cpu-unknown-unknown',
    ],
    [
      'of a CPU with a strange name',
      { gpus: [], cpu: { ...cpu, vendor: '/a b/::c', level: 'Ü' } },
      'cpu-a-b-c',
    ],
  ];
  for (const [name, ambient, expected] of cases)
    test(name, () => {
      assert.equal(hardwareClass(ambient), expected);
      assert.ok(RecordFile.shape.hardwareClass.safeParse(hardwareClass(ambient)).success);
    });

  test('does not depend on a card’s memory or its serial number, nor on the order of cards', () => {
    const [a, b] = [gpu('9.0', 132, H100), { ...gpu('9.0', 132, H100), uuidHash: 'b', memoryBytes: 1 }];
    assert.equal(hardwareClass({ gpus: [a], cpu }), hardwareClass({ gpus: [b], cpu }));
    const [c] = [gpu('8.0', 108)];
    assert.equal(hardwareClass({ gpus: [a, c], cpu }), hardwareClass({ gpus: [c, a], cpu }));
  });

  test('of very many kinds is still a key', () => {
    const gpus = Array.from({ length: 64 }, (_, i) => gpu(`9.${i}`, i));
    const all = hardwareClass({ gpus, cpu });
    assert.ok(RecordFile.shape.hardwareClass.safeParse(all).success);
    // What is cut off tells them apart all the same: how many, and of which kind the last one is.
    const twice = hardwareClass({ gpus: [...gpus, ...gpus.slice(0, 1)], cpu });
    const other = hardwareClass({ gpus: [...gpus.slice(0, -1), gpu('9.99', 99)], cpu });
    assert.deepEqual([all.slice(-4), twice.slice(-4)], ['-x64', '-x65']);
    assert.equal(new Set([all, twice, other]).size, 3);
  });
});

const settings = {
  requested: { seed: 0, dtype: 'bfloat16' },
  dropped: [],
  effective: { dtype: 'bfloat16', max_num_seqs: 4 },
};
const BEFORE: Environment = { fingerprint: FINGERPRINT, settings };
const diff = (after: Environment) =>
  diffEnvironments(BEFORE, after).map(
    ({ half, field, before, after: now }) => `${half} ${field}: ${before} -> ${now}`,
  );
const declared = (change: Partial<Fingerprint['declared']>): Environment => ({
  settings,
  fingerprint: { ...FINGERPRINT, declared: { ...FINGERPRINT.declared, ...change } },
});
const ambient = (change: Partial<Fingerprint['ambient']>): Environment => ({
  settings,
  fingerprint: { ...FINGERPRINT, ambient: { ...FINGERPRINT.ambient, ...change } },
});

describe('what changed between two environments', () => {
  test('is nothing for the same', () => assert.deepEqual(diff(structuredClone(BEFORE)), []));

  test('is told by name, with both values and whose change it is', () => {
    assert.deepEqual(diff(declared({ libraries: { torch: '2.14.0', python: '3.11.2' } })), [
      'declared libraries.torch: 2.13.0 -> 2.14.0',
    ]);
    assert.deepEqual(diff(ambient({ driver: '600.1' })), ['ambient driver: none -> 600.1']);
  });

  test('can be a fact more or less', () => {
    assert.deepEqual(diff(declared({ environment: { NEW: '1' } })), [
      'declared environment.NEW: (absent) -> 1',
      'declared environment.PYTHONHASHSEED: 0 -> (absent)',
    ]);
    assert.ok(
      diff(ambient({ gpus: [gpu('9.0', 132)] })).includes(
        'ambient gpus[0].computeCapability: (absent) -> 9.0',
      ),
    );
  });

  test('is not that a record from before some facts were told lacks them', () => {
    const old = gpu('9.0', 132);
    const told = { ...old, vendor: 'nvidia', vbios: '96.00', mig: 'none' };
    const between = (
      before: readonly (typeof told | typeof old)[],
      after: readonly (typeof told | typeof old)[],
      topology?: string,
    ) =>
      diffEnvironments(
        ambient({ gpus: [...before] }),
        ambient({ gpus: [...after], ...(topology === undefined ? {} : { topology }) }),
      ).map(({ field, before: was, after: is }) => `${field}: ${was} -> ${is}`);
    assert.deepEqual(between([old], [told], 'none'), []);
    assert.deepEqual(between([told], [{ ...told, vbios: '97.00', mig: '1g.10gb' }]), [
      'gpus[0].mig: none -> 1g.10gb',
      'gpus[0].vbios: 96.00 -> 97.00',
    ]);
    assert.equal(hardwareClass({ gpus: [told], cpu }), hardwareClass({ gpus: [old], cpu }));
  });

  test('is nothing that the engine says nothing of', () => {
    const silent = { ...settings, effective: { ...settings.effective, kv_cache_memory_bytes: null } };
    assert.deepEqual(diff({ fingerprint: FINGERPRINT, settings: silent }), []);
  });

  test('can be what NCCL chose; that records told nothing of it once is none', () => {
    const told = (facts: Readonly<Record<string, string>>) => ({
      fingerprint: FINGERPRINT,
      settings: { ...settings, effective: { ...settings.effective, ...facts } },
    });
    const ring = { 'nccl.algorithms': 'AllReduce RING/LL', ranks: '2' };
    assert.deepEqual(diff(told(ring)), []);
    assert.deepEqual(
      diffEnvironments(told(ring), told({ ...ring, 'nccl.algorithms': 'AllReduce NVLS/SIMPLE' })).map(
        ({ field, before, after }) => `${field}: ${before} -> ${after}`,
      ),
      ['engine.effective.nccl.algorithms: AllReduce RING/LL -> AllReduce NVLS/SIMPLE'],
    );
  });

  test('can be one file of the model', () => {
    const files = [{ path: 'model.safetensors', bytes: 10, sha256: 'd4'.repeat(32) }];
    const model = { ...FINGERPRINT.declared.model, files };
    assert.deepEqual(diff(declared({ model })), [
      `declared model.files.model.safetensors: sha256:${'c3'.repeat(32)} -> sha256:${'d4'.repeat(32)}`,
    ]);
  });

  test('puts the repository’s doing before the runner’s', () => {
    const both = {
      settings: { ...settings, requested: { ...settings.requested, seed: 1 } },
      fingerprint: {
        declared: { ...FINGERPRINT.declared, engine: { name: 'vllm', version: '0.31.0' } },
        ambient: { ...FINGERPRINT.ambient, driver: '600', kernel: '6.2' },
      },
    };
    assert.deepEqual(diff(both), [
      'declared engine.requested.seed: 0 -> 1',
      'declared engine.version: 0.30.0 -> 0.31.0',
      'ambient driver: none -> 600',
      'ambient kernel: 6.1 -> 6.2',
    ]);
  });

  test('tells a setting once where the engine does what it is asked', () => {
    const float32 = {
      fingerprint: FINGERPRINT,
      settings: {
        ...settings,
        requested: { ...settings.requested, dtype: 'float32' },
        effective: { ...settings.effective, dtype: 'float32' },
      },
    };
    assert.deepEqual(diff(float32), ['declared engine.requested.dtype: bfloat16 -> float32']);
  });

  test('tells what the engine made of it where that is something else', () => {
    const silent = {
      fingerprint: FINGERPRINT,
      settings: { ...settings, effective: { ...settings.effective, dtype: 'float16' } },
    };
    assert.deepEqual(diff(silent), ['declared engine.effective.dtype: bfloat16 -> float16']);
  });

  test('sees a changed type', () => {
    const text = {
      fingerprint: FINGERPRINT,
      settings: { ...settings, requested: { ...settings.requested, seed: null } },
    };
    assert.deepEqual(diff(text), ['declared engine.requested.seed: 0 -> null']);
  });
});

test('a fingerprint never leaves a fact out', () => {
  assert.ok(Fingerprint.safeParse(FINGERPRINT).success);
  for (const half of ['declared', 'ambient'] as const)
    for (const field of Object.keys(FINGERPRINT[half])) {
      const { [field]: _, ...rest } = FINGERPRINT[half] as Readonly<Record<string, unknown>>;
      assert.ok(!Fingerprint.safeParse({ ...FINGERPRINT, [half]: rest }).success, field);
    }
});

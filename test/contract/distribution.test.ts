import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import manifest from '../../package.json' with { type: 'json' };
import { type Built, buildPython, project } from '../../scripts/release/python.ts';
import { repository } from '../../scripts/setup/cache.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { ensureMypy, ensureWheelTools } from '../../scripts/setup/tools.ts';
import { compareSides } from '../../src/compare/sides.ts';
import { readHarness } from '../../src/disk/harness-files.ts';
import { findRecords } from '../../src/disk/record-batch.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { hardwareClass } from '../../src/fingerprint/hardware-class.ts';
import { records, reports } from '../../src/front/wiring.ts';
import { digestJson } from '../../src/record/digest.ts';
import { damage } from '../../src/record/intact.ts';
import { softwareOf } from '../../src/record/software.ts';
import { answerOf } from '../../src/use-cases/compare-lines.ts';
import { verify } from '../../src/use-cases/verify.ts';
import { type Clean, clean } from '../support/distribution.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/* The Python distribution, as its users get it: the built wheel, in an environment that holds nothing else. */

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
let place: string;
let built: Built;
let bare: Clean;
/** With torch beside it. */
let full: Clean;
/** With pytest and NumPy: an import of torch takes seconds. */
let tested: Clean;
before(async () => {
  place = owned.use(await temporaryFolder()).path;
  built = await buildPython(project, join(place, 'build'));
  bare = await clean(built.wheel, join(place, 'bare'));
  const engine = await ensureEngine();
  full = await clean(built.wheel, join(place, 'full'), {
    base: engine.python,
    beside: [engine.sitePackages],
  });
  const numpy = join(place, 'numpy');
  await mkdir(numpy);
  for (const name of ['numpy', 'numpy.libs'])
    await symlink(join(engine.sitePackages, name), join(numpy, name));
  tested = await clean(built.wheel, join(place, 'tested'), {
    base: engine.python,
    beside: [numpy, await ensureWheelTools()],
  });
});

describe('the distribution', () => {
  test('is of this version, and has this licence', async () => {
    assert.match(built.wheel, new RegExp(`deterministic_ml-${manifest.version}-py3-none-any\\.whl$`));
    assert.equal(
      await readFile(join(project, 'LICENSE'), 'utf8'),
      await readFile(join(repository, 'LICENSE'), 'utf8'),
    );
  });

  test('gives the same wheel from its source distribution', async () => {
    await execa('tar', ['xzf', built.sdist, '-C', place]);
    const again = await buildPython(
      join(place, `deterministic_ml-${manifest.version}`),
      join(place, 'again'),
    );
    assert.deepEqual(await readFile(again.wheel), await readFile(built.wheel));
  });

  test('needs nothing else, and pins nothing', async () => {
    const told = await bare.run(
      'import importlib.metadata as m; print(*m.requires("deterministic-ml"), sep="\\n")',
    );
    assert.deepEqual(told.split('\n').sort(), ["torch; extra == 'torch'", "vllm; extra == 'vllm'"]);
  });

  test('is typed: a program that is wrong about it is told so', async () => {
    const wrong = join(place, 'wrong.py');
    const program =
      'from deterministic_ml.v1 import in_force\nreveal_type(in_force()["x"].state)\nin_force(1)\n';
    await writeFile(wrong, program);
    const { stdout } = await execa(
      'python3',
      ['-m', 'mypy', '--strict', '--python-executable', bare.python, wrong],
      {
        env: { PYTHONPATH: await ensureMypy() },
        cwd: place,
        reject: false,
      },
    );
    assert.match(stdout, /wrong\.py:2: note: Revealed type is "Literal\['in-force'\]/);
    assert.match(stdout, /wrong\.py:3: error: Too many arguments for "in_force"/);
    assert.match(stdout, /Found 1 error/);
  });

  test('is in the harness of an engine that runs a user’s program, and of no other', async () => {
    const { files } = await readHarness(project);
    assert.deepEqual(
      Object.keys(files).filter((name) => /program|v1\.py/.test(name)),
      [],
    );
    assert.ok('deterministic_ml/seeding.py' in files);
    const whole = await readHarness(project, { program: true });
    assert.ok(
      'deterministic_ml/v1.py' in whole.files && 'deterministic_ml/program/emitter.py' in whole.files,
    );
  });
});

const LATE = `
import json, os
from deterministic_ml.v1 import in_force, set_deterministic
os.environ["PYTHONHASHSEED"] = "0"
set_deterministic(7)
print(json.dumps({**in_force().as_dict(), "not-taken": [knob.name for knob in in_force().not_taken]}))`;

/** And after it records of tensors, for each folder and factor that it is given. */
const LATE_AND_TENSORS = `${LATE}
import sys, numpy, torch
from deterministic_ml.v1 import record
for folder, factor in zip(sys.argv[1::2], sys.argv[2::2]):
    base = torch.arange(6.).reshape(2, 3) * float(factor)
    print(record(folder, name="step", tensors={
        "plain": base, "numpy": numpy.asarray(base), "turned": base.t(), "half": base.bfloat16(), "one": base[0, 0],
        "complex": torch.complex(base, base).conj(), "none": torch.zeros(0, 4), "bool": base > 2,
        "eight": base.to(torch.float8_e4m3fn)}, numbers={"whole": 2**70}))`;

const recordFolder = (name: string) => join(place, 'records', name);

let computed: Promise<string> | undefined;
/** What one process tells: an import of torch takes seconds. */
async function withTorch() {
  const records = { full: '1', again: '1', other: '2' };
  const words = Object.entries(records).flatMap(([name, factor]) => [recordFolder(name), factor]);
  computed ??= full.run(LATE_AND_TENSORS, {}, words);
  const [late = '', ...digests] = (await computed).split('\n');
  const [tensors, again, other] = Object.keys(records).map((name, index) => ({
    folder: recordFolder(name),
    digest: digests[index] ?? '',
  }));
  assert.ok(tensors && again && other);
  return { late, tensors, again, other };
}

describe('in_force', () => {
  test('tells a knob that came too late, without torch', async () => {
    const told = JSON.parse(await bare.run(LATE));
    assert.deepEqual(told['PYTHONHASHSEED'], {
      ...{ state: 'too-late', asked: '0', value: 'random' },
      why: 'Python read it when it started.',
    });
    assert.deepEqual(told['not-taken'], ['PYTHONHASHSEED']);
    assert.deepEqual(JSON.parse(await bare.run(LATE, { PYTHONHASHSEED: '0' }))['not-taken'], []);
  });

  test('reads back from torch what set_deterministic asked for', async () => {
    const { late } = await withTorch();
    const told = JSON.parse(late);
    for (const [name, value] of [
      ['torch.deterministic_algorithms', true],
      ['torch.backends.cudnn.deterministic', true],
      ['torch.backends.cudnn.benchmark', false],
      ['torch.initial_seed', 7],
    ] as const)
      assert.deepEqual(told[name], { state: 'in-force', asked: value, value, why: '' }, name);
    assert.equal(typeof told['torch.backends.cuda.flash_sdp_enabled'].value, 'boolean');
    // The newer settings of TF32, in a version that has them.
    assert.equal(told['torch.backends.cuda.matmul.fp32_precision'].value, 'none');
    assert.deepEqual(told['not-taken'], ['PYTHONHASHSEED']);
  });
});

const RECORD = `
import sys
from deterministic_ml.v1 import record
print(record(sys.argv[1], name="step", numbers={"loss": [0.1, float(sys.argv[2])]}, texts={"answer": "Grüße 🙂"},
             inputs={"rate": 1e-7, "steps": [1, None, True]}))`;

describe('record', () => {
  const write = async (name: string, factor = '1') => {
    const folder = recordFolder(name);
    return { folder, digest: await bare.run(RECORD, {}, [folder, factor]) };
  };

  test('is one that this program reads whole, without torch and with it', async () => {
    const numbers = await write('bare');
    const { tensors } = await withTorch();
    for (const [{ folder, digest }, results] of [
      [numbers, 2],
      [tensors, 10],
    ] as const) {
      const opened = await openRecord(folder);
      for await (const problem of damage(opened)) assert.fail(problem);
      const { record } = opened;
      assert.deepEqual(
        [record.digest, record.source, record.observations.length],
        [digest, 'imported', results],
      );
      assert.equal(record.fingerprint.declared.engine.name, 'script');
      assert.equal(record.hardwareClass, hardwareClass(record.fingerprint.ambient));
      assert.equal(record.tool, manifest.version);
      assert.equal(softwareOf(record)?.python?.['deterministic-ml'], manifest.version);
      const { agrees } = await verify({ reportPath: folder }, { reports, records });
      assert.equal(agrees, true);
    }
    const { lifetimes } = (await openRecord(tensors.folder)).record;
    assert.equal(lifetimes[0]?.settings.requested['torch.backends.cudnn.benchmark'], false);
    assert.equal(lifetimes[0]?.settings.effective['torch.initial_seed'], 7);
  });

  test('of the same bits has the same digest, wherever they lie, and is the same to compare', async () => {
    const { tensors: one, again, other } = await withTorch();
    assert.equal((await openRecord(one.folder)).record.digest, again.digest);
    assert.equal((await write('here')).digest, (await write('there')).digest, 'of two processes');
    const channels = new Map(
      (await openRecord(one.folder)).record.observations.map(({ prompt, channels: [channel] }) => [
        prompt,
        channel,
      ]),
    );
    assert.equal(channels.get('plain')?.sha256, channels.get('numpy')?.sha256, 'torch and numpy');
    assert.notEqual(channels.get('plain')?.sha256, channels.get('turned')?.sha256, 'the shape counts');
    const side = async (name: string) => ({
      kind: 'record' as const,
      name,
      record: await records.open(name),
    });
    const compared = async (right: string) => {
      const [a, b] = [await side(one.folder), await side(right)];
      return await answerOf(
        await compareSides(a.record, b.record, 'identical'),
        'identical',
        a,
        b,
        '/page.html',
      );
    };
    assert.equal((await compared(again.folder)).verdict, 'pass');
    const { verdict, lines } = await compared(other.folder);
    assert.equal(verdict, 'fail');
    assert.match(
      lines.join('\n'),
      /^plain: tensors: other bits in float32\[2, 3\]: A has [0-9a-f]{16}, B [0-9a-f]{16}$/m,
    );
    assert.match(
      lines.join('\n'),
      /: 3 results identical, 7 not\.$/m,
      'a zero, a whole number, and what has no values',
    );
  });

  test('replaces an older one, and nothing else', async () => {
    const { folder } = await write('replaced');
    await write('replaced', '3');
    assert.deepEqual((await readdir(folder)).sort(), ['bodies', 'record.json']);
    await writeFile(join(folder, 'thesis.txt'), '');
    await assert.rejects(write('replaced'), /holds `thesis\.txt`, which is no part of a record/);
    assert.ok((await readdir(join(place, 'records'))).every((name) => !/partial|old/.test(name)));
  });

  test('has canonical JSON, byte for byte as here', async () => {
    const numbers = [
      0, -0, 1, -1.5, 0.1, 1e21, 1e20, 123456789012345680000, 1e-6, 1e-7, 5e-324, 1.7976931348623157e308,
    ];
    const bits = new DataView(new ArrayBuffer(8));
    for (let seed = 1, count = 0; count < 2000; count++) {
      // xorshift: any bits, the same each time.
      for (const half of [0, 4]) {
        seed ^= seed << 13;
        seed ^= seed >>> 17;
        seed ^= seed << 5;
        bits.setInt32(half, seed);
      }
      const value = bits.getFloat64(0);
      if (Number.isFinite(value)) numbers.push(value);
    }
    const value = { numbers, '😀': 1, '\uffff': 2, é: ['\u0000\u001f\u007f"\\/\u2028', null, true], '': {} };
    const hex = numbers.map((one) => {
      bits.setFloat64(0, one);
      return Buffer.from(bits.buffer).toString('hex');
    });
    const file = join(place, 'values.json');
    await writeFile(file, JSON.stringify({ value, hex }));
    const told = await bare.run(
      `
import hashlib, json, struct, sys
from deterministic_ml.program.canonical import canonical
told = json.load(open(sys.argv[1], encoding="utf-8"))
told["value"]["numbers"] = [struct.unpack(">d", bytes.fromhex(one))[0] for one in told["hex"]]
print(hashlib.sha256(canonical(told["value"])).hexdigest())`,
      {},
      [file],
    );
    assert.equal(told, digestJson(value));
  });
});

const TEST = String.raw`
import os, numpy, pytest
FACTOR = float(os.environ.get("FACTOR", "1"))

def test_step(deterministic_ml_snapshot):
    deterministic_ml_snapshot(
        tensors={"logits": numpy.arange(6.).reshape(2, 3) * FACTOR, "same": numpy.ones(2)},
        texts={"answer": f"one\ntwo {FACTOR}\n"},
    )

@pytest.mark.parametrize("what", ["a/b", "a-b"])
def test_each(what, deterministic_ml_snapshot):
    deterministic_ml_snapshot(texts={"what": what})
    deterministic_ml_snapshot(numbers={"length": len(what)}, name="length")
`;

describe('the pytest plugin', () => {
  /** In a folder of its own. */
  async function project(test: string) {
    const folder = await mkdtemp(join(place, 'project-'));
    await writeFile(join(folder, 'test_model.py'), test);
    return {
      folder,
      async pytest(words: readonly string[] = [], factor = '1') {
        const { stdout, stderr, exitCode } = await execa(
          tested.python,
          ['-m', 'pytest', '-p', 'no:cacheprovider', '-q', ...words],
          {
            cwd: folder,
            extendEnv: false,
            env: { PATH: process.env['PATH'], FACTOR: factor },
            reject: false,
          },
        );
        return { exitCode, told: `${stdout}${stderr}` };
      },
    };
  }

  test('fails on a changed tensor, and accepts it with a reason', async () => {
    const { folder, pytest } = await project(TEST);
    const first = await pytest();
    assert.equal(first.exitCode, 1);
    assert.match(first.told, /Nothing was compared: no record was accepted on cpu-/);
    assert.ok(!(await readdir(folder)).includes('snapshots'));

    const accepted = await pytest(['--accept', 'the first ones']);
    assert.equal(accepted.exitCode, 0, accepted.told);
    assert.match(accepted.told, /Reason: the first ones\n(?:test_.* on cpu-\S+: new -> [0-9a-f]{16}\n){5}/);
    assert.equal((await pytest()).exitCode, 0);

    const changed = await pytest([], '2');
    assert.equal(changed.exitCode, 1);
    assert.match(changed.told, /^logits: other bits in float64\[2, 3\]: was [0-9a-f]{16}, is [0-9a-f]{16}$/m);
    assert.match(changed.told, /^ {4}-two 1\.0\n {4}\+two 2\.0$/m);
    assert.match(changed.told, /The record was accepted at \S+: the first ones/);
    assert.doesNotMatch(changed.told, /^same/m);
    assert.match(changed.told, /1 failed, 2 passed/);

    const meant = await pytest(['--accept', 'twice as much'], '2');
    assert.match(meant.told, /test_step on cpu-\S+: [0-9a-f]{16} -> [0-9a-f]{16}\n/);
    assert.doesNotMatch(meant.told, /test_each/, 'what did not change is not accepted again');
    assert.equal((await pytest([], '2')).exitCode, 0);
    assert.equal((await pytest()).exitCode, 1);

    const [record] = (await findRecords([join(folder, 'snapshots/test_model/test_step')])).map(
      (one) => one.folder,
    );
    assert.equal((await verify({ reportPath: record ?? '' }, { reports, records })).agrees, true);
    const log = await readFile(`${record}.accepted.jsonl`, 'utf8');
    assert.deepEqual(
      log
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).reason),
      ['the first ones', 'twice as much'],
    );
  });

  test('accepts nothing without a reason', async () => {
    const { folder, pytest } = await project(TEST);
    const { exitCode, told } = await pytest(['--accept', ' ']);
    assert.equal(exitCode, 4);
    assert.match(told, /--accept needs a reason/);
    assert.deepEqual(await readdir(folder), ['test_model.py']);
  });

  test('is not green where nothing was compared', async () => {
    const { pytest } = await project(`
import pytest
def test_never(deterministic_ml_snapshot): pass
def test_skipped(deterministic_ml_snapshot): pytest.skip("elsewhere")
def test_nan(deterministic_ml_snapshot): deterministic_ml_snapshot(numbers={"loss": float("nan")})
def test_twice(deterministic_ml_snapshot):
    deterministic_ml_snapshot(numbers={"loss": 1})
    deterministic_ml_snapshot(numbers={"loss": 1})
`);
    const { told } = await pytest(['--accept', 'whatever']);
    assert.match(told, /The test never calls `deterministic_ml_snapshot`: nothing was compared/);
    assert.match(told, /Nothing was compared: NaN in `loss` \(1 times\)/);
    assert.match(told, /Two snapshots of one test need names/);
    assert.match(told, /2 failed, 1 passed, 1 skipped, 1 error/);
  });

  test('believes no record whose bytes were changed, and no result that is gone', async () => {
    const { folder, pytest } = await project(TEST);
    await pytest(['--accept', 'x', '-k', 'step']);
    await writeFile(join(folder, 'test_model.py'), TEST.replace(', "same": numpy.ones(2)', ''));
    const gone = await pytest(['-k', 'step']);
    assert.match(gone.told, /^same: is in the record, and was not computed$/m);
    const [record = ''] = (await findRecords([folder])).map((one) => one.folder);
    for (const name of await readdir(join(record, 'bodies')))
      await writeFile(join(record, 'bodies', name), 'x');
    await writeFile(join(folder, 'test_model.py'), TEST);
    assert.match(
      (await pytest(['-k', 'step'])).told,
      /Nothing was compared: .* of other bytes than its name says/,
    );
  });
});

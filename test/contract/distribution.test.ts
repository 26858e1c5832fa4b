import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import manifest from '../../package.json' with { type: 'json' };
import { repository } from '../../scripts/setup/cache.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { ensureMypy } from '../../scripts/setup/tools.ts';
import { readHarness } from '../../src/disk/harness-files.ts';
import { type Built, build, type Clean, clean, project } from '../support/distribution.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/* The Python distribution, as its users get it: the built wheel, in an environment that holds nothing else. */

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
let place: string;
let built: Built;
let bare: Clean;
before(async () => {
  place = owned.use(await temporaryFolder()).path;
  built = await build(project, join(place, 'build'));
  bare = await clean(built.wheel, join(place, 'bare'));
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
    const again = await build(join(place, `deterministic_ml-${manifest.version}`), join(place, 'again'));
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

  test('is in no harness that is sent to an engine', async () => {
    const { files } = await readHarness(project);
    assert.deepEqual(
      Object.keys(files).filter((name) => /program|v1\.py/.test(name)),
      [],
    );
    assert.ok('deterministic_ml/seeding.py' in files);
  });
});

const LATE = `
import json, os
from deterministic_ml.v1 import in_force, set_deterministic
os.environ["PYTHONHASHSEED"] = "0"
set_deterministic(7)
print(json.dumps({**in_force().as_dict(), "not-taken": [knob.name for knob in in_force().not_taken]}))`;

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
    const engine = await ensureEngine();
    const full = await clean(built.wheel, join(place, 'full'), {
      base: engine.python,
      beside: [engine.sitePackages],
    });
    const told = JSON.parse(await full.run(LATE));
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

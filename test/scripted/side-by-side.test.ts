import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { openRecord } from '../../src/disk/record-folder.ts';
import { uuidHash } from '../../src/runtime/groups.ts';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { cancelInMidGeneration } from '../e2e/support/cancel.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { stepHere } from '../e2e/support/here.ts';
import { relationOf, reportOf } from '../e2e/support/reports.ts';
import { type Runner, runStep, type StepOptions } from '../e2e/support/spawn.ts';
import { checkout, processesOf, type SuiteOptions } from '../e2e/support/suites.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

/** A machine with three cards, which nobody else has; `torch` sees those that CUDA would show to its process. */
interface Machine extends AsyncDisposable {
  readonly runner: Runner;
  /** As the record calls them, in the order in which the runner names them. */
  readonly names: readonly string[];
  readonly step: StepOptions;
}

/** @param code Python that an engine runs as it loads, which may ask for `card`: its number on this machine */
async function machine(code: string, options: SuiteOptions = {}): Promise<Machine> {
  const cards = Array.from({ length: 3 }, () => `GPU-${randomUUID()}`);
  const runner = await checkout({
    ...{ lifetimes: 3, runtime: { gpus: 1, memory: '1MiB' } },
    ...options,
    args: {
      on_load: `import pathlib
card = ${JSON.stringify(cards)}.index(os.environ["CUDA_VISIBLE_DEVICES"])
home = pathlib.Path("__HOME__")
${code}`,
      ...options.args,
    },
  });
  const text = await readFile(join(runner.workspace, 'determinism.yml'), 'utf8');
  await runner.write('determinism.yml', text.replaceAll('__HOME__', runner.home));
  await runner.write('../../../home/stubs/torch/__init__.py', TORCH);
  return {
    runner,
    names: cards.map((uuid) => `GPU ${uuidHash(uuid).slice(0, 8)}`),
    step: {
      with: {
        ...{ mode: 'refresh', reason: 'first one', runtime: 'process', isolation: 'none' },
        'gpu-devices': cards.join(','),
      },
      env: { PYTHONPATH: join(runner.home, 'stubs') },
      event: 'workflow_dispatch',
    },
    [Symbol.asyncDispose]: () => runner[Symbol.asyncDispose](),
  };
}

const TORCH = `
import os
from types import SimpleNamespace as Of
GPUS = [one for one in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if one]
__config__ = Of(show=lambda: "")
backends = Of(cpu=Of(get_cpu_capability=lambda: "AVX2"), cudnn=Of(version=lambda: 91000))
version = Of(cuda="13.0" if GPUS else None, hip=None)
cuda = Of(
    is_available=lambda: bool(GPUS),
    device_count=lambda: len(GPUS),
    get_device_properties=lambda i: Of(
        name="NVIDIA H100 80GB HBM3", uuid=GPUS[i], major=9, minor=0, multi_processor_count=132,
        total_memory=85_000_000_000,
    ),
)
`;

/** Waits until all three engines have come here: one after the other they never would. */
const MEET = `(home / f"here-{card}").touch()
while len(list(home.glob("here-*"))) < 3: time.sleep(0.01)`;

describe('the lifetimes of a refresh on a machine with three GPUs', () => {
  test('run side by side, each on a card of its own, and the report says which', async () => {
    await using given = await machine(MEET);
    const { runner, names, step } = given;
    const outcome = await runStep(action, runner, step);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'reproduced', outcome.log);
    const { record } = await openRecord(outcome.outputs['record-path'] ?? '');
    assert.deepEqual(
      record.lifetimes.map(({ lifetime, devices }) => [
        lifetime,
        ...(devices?.gpus ?? []).map(({ uuidHash: hash }) => `GPU ${hash.slice(0, 8)}`),
      ]),
      names.map((name, at) => [`lifetime-${at + 1}`, name]),
    );
    assert.match(
      outcome.log,
      new RegExp(`::group::Engines, lifetime-1 to lifetime-3 side by side on ${names.join('; ')}`),
    );
    for (const [at, name] of names.entries()) {
      assert.match(outcome.log, new RegExp(`^lifetime-${at + 1} \\(${name}\\): [\\d.]+ s$`, 'm'));
      assert.match(outcome.summary, new RegExp(`\\| lifetime&#45;${at + 1}, cold, on ${name} \\|`));
    }
    assert.match(relationOf(report, 'restart').evidence, new RegExp(`on ${names.join(' and on ')}$`));
    assert.deepEqual(await processesOf(runner), []);
  });

  test('name the card that disagrees with its twins', async () => {
    await using given = await machine(`${MEET}\nargs["logprob"] = -0.5 if card == 1 else -0.25`);
    const { runner, names, step } = given;
    const outcome = await stepHere(action, runner, step);
    const report = await reportOf(outcome);
    assert.deepEqual([report.conclusion, report.verdict], ['unstable', 'fail'], outcome.log);
    const [a, b, c] = names;
    const notice = report.context.notices.find(({ title }) => title === `Suspect ${b}`);
    assert.ok(
      notice?.message.startsWith(
        `lifetime-2 on ${b} gave other bits than lifetime-1 on ${a} and lifetime-3 on ${c}, which all gave the same.`,
      ),
      notice?.message,
    );
    assert.ok(outcome.summary.includes(`Suspect ${b}`));
    assert.ok(outcome.commands.some(({ properties }) => properties['title'] === `Suspect ${b}`));
  });

  test('share one log, in which each line says whose it is', async () => {
    await using given = await machine(`${MEET}\nprint(f"I am card {card}", flush=True)`);
    const { runner, names, step } = given;
    const { outputs } = await stepHere(action, runner, step);
    const log = await readFile(`${outputs['record-path']}.log`, 'utf8');
    for (const [at, name] of names.entries())
      assert.ok(log.includes(`[lifetime-${at + 1} (${name})] I am card ${at}\n`), log);
  });
});

describe('of engines that run side by side', () => {
  const rest = 'else: time.sleep(600)';

  test('one that dies ends the run with its name, and leaves no other running', async () => {
    await using given = await machine(`${MEET}\nif card == 2: os.kill(os.getpid(), 9)\n${rest}`);
    const { runner, names, step } = given;
    await assertFault(await runStep(action, runner, step), runner, {
      code: 'engine-died',
      says: new RegExp(`lifetime-3 \\(${names[2]}\\): The engine died of SIGKILL`),
      advises: /last lines/,
    });
    assert.deepEqual(await processesOf(runner), []);
  });

  test('one that hangs is named too', async () => {
    // One that loads and uses the CPU shows a sign of life; one that sleeps at a token shows none.
    await using given = await machine(`${MEET}\nif card == 2: args["on_step"] = "time.sleep(600)"`);
    const { runner, names, step } = given;
    await assertFault(
      await stepHere(action, runner, { ...step, with: { ...step.with, 'inactivity-minutes': '0.1' } }),
      runner,
      {
        code: 'engine-hung',
        says: new RegExp(`lifetime-3 \\(${names[2]}\\): The engine gave no sign of life for 6 s`),
        advises: /inactivity-minutes/,
      },
    );
    assert.deepEqual(await processesOf(runner), []);
  });

  test('all are gone soon after the run is cancelled', async () => {
    await using given = await machine(MEET, { args: { on_step: 'time.sleep(0.3)' }, maxTokens: 200 });
    const { runner, step } = given;
    await cancelInMidGeneration(
      action,
      runner,
      step,
      undefined,
      /lifetime-1 \(.*\) generate-alone: .* \| lifetime-2 /,
    );
  });

  test('those that confirm a drift run on the cards that are there, the first one’s own among them', async () => {
    await using given = await machine('args["logprob"] = -0.25', { confirm: 2, lifetimes: 1 });
    const { runner, names, step } = given;
    const stored = await stepHere(action, runner, step);
    assert.equal(stored.outputs['conclusion'], 'reproduced', stored.log);
    const text = await readFile(join(runner.workspace, 'determinism.yml'), 'utf8');
    await runner.write('determinism.yml', text.replace('= -0.25', '= -0.5'));
    const outcome = await stepHere(action, runner, {
      ...step,
      with: { ...step.with, mode: 'check' },
      event: 'push',
    });
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'drift', outcome.log);
    assert.deepEqual(
      report.work.starts?.map(({ lifetime, on }) => [lifetime, on]),
      [
        ['lifetime-1', names[0]],
        ['lifetime-2', names[0]],
        ['lifetime-3', names[1]],
      ],
    );
  });
});

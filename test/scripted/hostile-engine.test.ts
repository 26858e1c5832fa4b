import assert from 'node:assert/strict';
import { after, before, describe } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { assertFault } from '../e2e/support/faults.ts';
import { runStep } from '../e2e/support/spawn.ts';
import { checkout, suite } from '../e2e/support/suites.ts';
import { tried } from '../support/tried.ts';

let action: Action;
before(async () => {
  action = await builtAction('scripted');
});
after(() => action[Symbol.asyncDispose]());

const PROCESS = { runtime: 'process' } as const;

/** What code in the engine's own process can do: find what speaks for the harness, nonce and all. */
const AS_THE_HARNESS = `
import gc
from deterministic_ml.harness.channel import Channel
channel = next(one for one in gc.get_objects() if isinstance(one, Channel))
emit = channel.emit
`;

describe('code in the engine that speaks as the harness', () => {
  tried(
    'log flooded with progress',
    'a flood of progress under ever new names, to fill the job’s log',
    'at most 60 lines of progress a minute reach the log',
    async () => {
      await using runner = await checkout({
        args: {
          on_load: `${AS_THE_HARNESS}
for i in range(20000): emit("progress", what=f"{i}" + "x" * 100, done=1, total=2, tokens=3)`,
        },
      });
      const { exitCode, outputs, log } = await runStep(action, runner, { with: PROCESS });
      assert.deepEqual([exitCode, outputs['conclusion']], [1, 'no-baseline'], log.slice(-2000));
      const flooded = log.split('\n').filter((line) => /^\d+x{100}: /.test(line));
      // Two minutes may begin in one run on a slow machine.
      assert.ok(flooded.length > 0 && flooded.length <= 180, `${flooded.length} lines`);
      assert.ok(log.length < 100_000, `${log.length} characters`);
    },
  );

  tried(
    'event repeated by code in the engine',
    'one prompt observed again and again, to fill the disk or to replace what was measured',
    'each request is observed once, and gives no more tokens than it was asked for; a record has at most 4 GiB',
    async () => {
      for (const [observation, says] of [
        ['emit(event, **fields); emit(event, **fields)', /generate-alone gave `one` twice/],
        [
          `
  for one in fields["channels"]:
   if one["name"] == "tokens": one["data"] = "AAAA" * 100000
  emit(event, **fields)`,
          /generate-alone gave more than the 4 tokens that `one` was asked for/,
        ],
      ] as const) {
        await using runner = await checkout({
          args: {
            on_load: `${AS_THE_HARNESS}
def forged(event, **fields):
 if event == "observation":
  ${observation.trim()}
 else: emit(event, **fields)
channel.emit = forged`,
          },
        });
        await assertFault(await runStep(action, runner, { with: PROCESS }), runner, {
          code: 'protocol-violation',
          says,
          advises: /Nothing of this lifetime is used/,
        });
      }
    },
  );

  tried(
    'event without a witness',
    'observations that no counter of the engine bears out',
    'what a relation rests on must stand in the witness of the very pass; else it is unmeasured, and not green',
    async () => {
      await using runner = await checkout({
        relations: ['rerun'],
        args: { on_pass: 'witness["generatedTokens"] = 0' },
      });
      const { exitCode, outputs, log } = await runStep(action, runner, { with: PROCESS });
      assert.deepEqual([exitCode, outputs['conclusion'], outputs['verdict']], [1, 'unmeasured', 'fail'], log);
    },
  );

  tried(
    'event forged by code in the engine',
    'code that an engine’s argument, an image or a model’s remote code brings, which tells the baseline’s numbers in place of its own, in turn and with the right counters',
    'not held: who may bring such code decides, so review `runtime`, `engine` and `model`; a fork may not bring any, and the report names it',
    async () => {
      await using runner = await checkout();
      const step = { event: 'workflow_dispatch', with: { ...PROCESS, mode: 'refresh', reason: 'first one' } };
      const stored = await runStep(action, runner, step);
      assert.equal(stored.exitCode, 0, stored.log);
      const lying = 'args["logprob"] = -0.25';
      await runner.write('determinism.yml', suite({ args: { logprob: -0.5 } }));
      assert.equal((await runStep(action, runner, { with: PROCESS })).outputs['conclusion'], 'drift');
      await runner.write('determinism.yml', suite({ args: { logprob: -0.5, on_load: lying } }));
      const believed = await runStep(action, runner, { with: PROCESS });
      assert.equal(believed.outputs['conclusion'], 'reproduced', believed.log);
      assert.match(believed.summary, /on&#95;load/, 'the argument that did it is told as a changed fact');
    },
  );
});

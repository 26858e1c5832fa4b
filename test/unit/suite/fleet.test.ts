import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parseFleet } from '../../../src/suite/fleet.ts';
import { thrownBy } from '../support/suites.ts';

const FLEET = `apiVersion: deterministic-ml/v1
suite: determinism.yml
at-once: 2
timeout-minutes: 30
launchers:
  - { name: h100, launcher: ssh gpu7, python: /opt/vllm/bin/python, model: /models/m }
  - { name: a100, launcher: "srun --gres=gpu:a100:1", timeout-minutes: 90, optional: true }
`;

describe('a fleet', () => {
  test('is a suite, and who is asked', () => {
    const { members, ...fleet } = parseFleet(FLEET, 'fleet.yml');
    assert.deepEqual(fleet, { file: 'fleet.yml', suite: 'determinism.yml', atOnce: 2, required: 'measure' });
    assert.deepEqual(
      members.map(({ name, timeoutSeconds, isOptional, place }) => [
        name,
        timeoutSeconds,
        isOptional,
        place.line,
      ]),
      [
        ['h100', 1800, false, 6],
        ['a100', 5400, true, 7],
      ],
    );
    assert.equal(members[0]?.launch.argv.at(-1), 'gpu7');
    assert.deepEqual(members[1]?.launch, {
      argv: ['srun', '--gres=gpu:a100:1'],
      python: 'python3',
      model: undefined,
    });
  });

  test('is what the example is', async () => {
    const example = await readFile(new URL('../../../examples/fleet.yml', import.meta.url), 'utf8');
    assert.deepEqual(
      parseFleet(example, 'fleet.yml').members.map(({ name }) => name),
      ['h100', 'a100', 'h200', 'l40s'],
    );
  });

  test('tells all that is wrong with it at once, by their lines', () => {
    const { code, message } = thrownBy(() =>
      parseFleet(
        `apiVersion: deterministic-ml/v1
suit: determinism.yml
at-once: 0
require: everything
launchers:
  - { name: a/b, launcher: ssh gpu7 }
  - { name: h100, launcher: "ssh -o StrictHostKeyChecking=no gpu7" }
  - { name: h100 }
`,
        'fleet.yml',
      ),
    );
    assert.equal(code, 'fleet-invalid');
    for (const line of [
      /fleet\.yml:\d+:\d+ {2}`suite` is missing/,
      /fleet\.yml:2:1 {2}`suit` is not a key of the fleet: did you mean `suite`\?/,
      /fleet\.yml:3:1 {2}`at-once`: is a whole number from 1 to 64/,
      /fleet\.yml:4:1 {2}`require`: is `measure`, `identical` or a distance such as `within 2x floor`/,
      /fleet\.yml:6:\d+ {2}`launchers\[0\]\.name`: is a name of letters/,
      /fleet\.yml:8:\d+ {2}`launchers\[2\]\.launcher` is missing/,
      /fleet\.yml:8:\d+ {2}`h100` is named twice/,
    ])
      assert.match(message, line);
  });

  test('has no launcher that would let anybody answer', () => {
    const { message, places } = thrownBy(() =>
      parseFleet(FLEET.replace('ssh gpu7', 'ssh -oStrictHostKeyChecking=no gpu7'), 'fleet.yml'),
    );
    assert.match(
      message,
      /`h100` has no launcher that could be started: `StrictHostKeyChecking=no` is refused/,
    );
    assert.equal(places[0]?.line, 6);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cancelled } from '../../../src/errors.ts';
import { headlineOf } from '../../../src/tell/headline.ts';
import { fleet } from '../../../src/use-cases/fleet.ts';
import { type EngineOptions, ScriptedEngine } from '../support/engine.ts';
import { Job } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

const ASKS = { mode: { name: 'fleet', needs: 'long' } } as const;

const fleetOf = (members: readonly string[], more = '') => `apiVersion: deterministic-ml/v1
suite: suite.yml
${more}
launchers:
${members.map((one) => `  - ${one}`).join('\n')}
`;

/** A fleet of those that are there, each with an engine of its own; who is not, cannot be reached. */
function job(members: readonly string[], there: Readonly<Record<string, EngineOptions>>, more = '') {
  const one = new Job();
  const engines = new Map(
    Object.entries(there).map(([name, options]) => [name, new ScriptedEngine(options)]),
  );
  one.fleet = fleetOf(members, more);
  for (const [name, engine] of engines) one.far.set(name, () => engine);
  const run = () => fleet({ ...one.settings('workflow_dispatch'), ...ASKS, fleet: 'fleet.yml' }, one.tools());
  return { one, engines, run };
}

const named = (...names: readonly string[]) => names.map((name) => `{ name: ${name}, launcher: ${name} }`);
const other = { computes: () => ({ shift: 1 }) };

describe('a fleet', () => {
  test('says who computed the same, and leaves a record of each', async () => {
    const { one, engines, run } = job(named('h100', 'h200', 'a100'), { h100: {}, h200: {}, a100: other });
    const { explained, fleet: view, htmlPath } = await run();
    const [family] = explained.families;
    assert.deepEqual(
      family?.groupings[0]?.groups.map(({ cases }) => cases.map((at) => family.cases[at]?.name)),
      [['h100', 'h200'], ['a100']],
    );
    // Tokens that others chose would be other questions: each prompt by itself is what all are asked alike.
    assert.deepEqual(family?.groupings[0]?.unmeasured, []);
    assert.deepEqual(
      [...engines.values()].flatMap(({ passes }) => passes.map(({ pass }) => pass)),
      ['generate-alone', 'generate-alone', 'generate-alone'],
    );
    assert.deepEqual(view?.measured, ['h100', 'h200', 'a100']);
    const headline = headlineOf('explained', { explained, apart: [], fleet: view, htmlPath });
    assert.deepEqual(
      [headline.verdict, headline.line],
      ['pass', 'Of 3 launchers: 3 launchers fall into 2 groups of equal bits.'],
    );
    for (const name of ['h100', 'h200', 'a100']) assert.ok(one.disk.folders.has(`/record-1/${name}`), name);
    assert.match(one.disk.files.get(htmlPath) ?? '', /3 launchers fall into 2 groups/);
    for (const engine of engines.values()) assert.deepEqual([engine.running, engine.disposed], [0, true]);
  });

  test('tells who gave nothing, by name and reason, and the rest goes on', async () => {
    const { one, run } = job(named('gone', 'h100', 'ill'), {
      h100: {},
      ill: { computes: () => ({ error: { code: 'engine-failed', message: 'CUDA error' } }) },
    });
    const { fleet: view } = await run();
    assert.deepEqual(view?.absent.map(({ name, code }) => [name, code]).toSorted(), [
      ['gone', 'launcher-unreachable'],
      ['ill', 'engine-failed'],
    ]);
    assert.equal(view?.verdict, 'fail');
    assert.match(
      view?.line ?? '',
      /h100 alone was measured, and compared with nobody; (gone, ill|ill, gone) gave nothing\./,
    );
    assert.ok(one.lines.includes('gone: gave nothing: launcher-unreachable: nobody is there'));
  });

  test('may lack who is optional, and be held to identical bits', async () => {
    const gone = '{ name: gone, launcher: gone, optional: true }';
    const verdict = async (there: Readonly<Record<string, EngineOptions>>, more = '') =>
      (await job([...named('a', 'b'), gone], there, more).run()).fleet?.verdict;
    assert.equal(await verdict({ a: {}, b: {} }), 'warn');
    assert.equal(await verdict({ a: {}, b: {}, gone: {} }, 'require: identical'), 'pass');
    assert.equal(await verdict({ a: {}, b: other, gone: {} }, 'require: identical'), 'fail');
  });

  test('may be held to a distance: all are scored on the same tokens before they choose their own', async () => {
    const promptTokens = Array.from({ length: 60 }, (_, at) => at);
    const machine = (nats: number, shift = 0) => ({
      computes: () => ({ promptTokens, rounding: 0.01, nats, shift }),
    });
    const far = async (nats: number) => {
      const there = { a: machine(-0.25), b: machine(-0.25), c: machine(nats, 1) };
      const { engines, run } = job(named('a', 'b', 'c'), there, 'require: within 2x floor');
      return { ...(await run()), passes: [...engines.values()].map((one) => one.passes) };
    };
    const near = await far(-0.265);
    assert.deepEqual(
      near.passes[0]?.map(({ pass }) => pass),
      ['score-alone', 'score-strangers', 'score-noise', 'generate-alone'],
    );
    assert.deepEqual(near.explained.families[0]?.groupings[0]?.unmeasured, []);
    assert.equal(near.fleet?.verdict, 'pass');
    const says = (times: string, status: string) =>
      new RegExp(
        `2 groups of equal bits. Across classes, within 2x floor: ${status}: .* ${times} the floor on 177 `,
      );
    assert.match(near.fleet?.line ?? '', says('1.5x', 'held'));
    const other = await far(-0.35);
    assert.equal(other.fleet?.verdict, 'fail');
    assert.match(other.fleet?.line ?? '', says('10x', 'broken'));
  });

  test('of which nobody measured anything is an error, never green', async () => {
    const { run } = job(['{ name: a, launcher: a, optional: true }'], {});
    const error = await rejectedBy(run());
    assert.equal(error.code, 'fleet-unmeasured');
    assert.match(
      error.message,
      /None of 1 launcher measured anything:\n {2}a: launcher-unreachable: nobody is there/,
    );
  });

  test('runs so many at once, and no more', async () => {
    let now = 0;
    let most = 0;
    const held = {
      hold: async () => {
        most = Math.max(most, ++now);
        await new Promise((resolve) => setTimeout(resolve, 20));
        now--;
      },
    };
    const names = ['a', 'b', 'c', 'd', 'e'];
    await job(named(...names), Object.fromEntries(names.map((name) => [name, held])), 'at-once: 2').run();
    assert.equal(most, 2);
  });

  test('ends with all that it started where it is cancelled', async () => {
    const { one, engines, run } = job(
      named('a', 'b', 'c'),
      { a: { hold: () => stopped() }, b: { hold: () => stopped() }, c: {} },
      'at-once: 2',
    );
    const stopped = async () => {
      one.abort.abort(cancelled());
      await new Promise((resolve) => setTimeout(resolve, 20));
    };
    assert.equal((await rejectedBy(run())).code, 'cancelled');
    for (const engine of engines.values()) assert.equal(engine.running, 0);
    assert.deepEqual(engines.get('c')?.starts, []);
  });
});

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import { modeInput } from '../../scripts/generate.ts';
import { knownChanges } from '../../src/changes/known/index.ts';
import { relations } from '../../src/compare/relations/index.ts';
import { engines } from '../../src/engine/engines/index.ts';
import { inputModes, modes } from '../../src/front/modes.ts';
import { stores } from '../../src/front/stores.ts';
import { SUITE_SCHEMA } from '../../src/front/suites.ts';
import { lists } from '../../src/issues/index.ts';
import { makePlan, type Plan } from '../../src/run/plan.ts';
import { entriesOf, without } from '../support/without.ts';
import { SUITE } from './support/job.ts';
import { loaded } from './support/suites.ts';

/*
 * Every entry of every list is taken out, by itself: that takes just its own away, and what is left is as it was.
 * Surfaces are in test/unit/tell/surfaces.test.ts, the engines' Python half in test/harness/test_parts.py.
 */

/** Runs a test for each entry of a list, with what it names. */
async function each<T>(
  list: string,
  all: readonly T[],
  nameOf: (one: T) => string,
  check: (
    taken: { readonly name: string; readonly rest: readonly string[] },
    load: (path: string) => Promise<string>,
  ) => Promise<void>,
): Promise<void> {
  const entries = await entriesOf(list);
  const names = all.map(nameOf);
  test(`${list}: an entry for each name`, () => {
    assert.equal(entries.length, names.length);
    assert.equal(new Set(names).size, names.length);
  });
  for (const [index, entry] of entries.entries()) {
    const name = names[index] ?? '';
    test(`${list} without \`${name}\``, async () => {
      const rest = names.filter((one) => one !== name);
      await check({ name, rest }, (path) => without(path, list, entry));
    });
  }
}

/** A suite as YAML gives it, with other keys. */
const suiteWith = (keys: object) => ({ ...(parse(SUITE) as object), ...keys });

/** A plan as text: its functions are others wherever they were imported anew. */
const text = (plan: Plan) =>
  JSON.stringify(plan, (_, value: unknown) => (typeof value === 'function' ? String(value) : value), 1);

/** What a suite of this one relation plans. */
const planOf = (plan: typeof makePlan, relation: string, purpose: 'check' | 'refresh') =>
  plan(loaded(SUITE.replace('[rerun, baseline]', `[${relation}]`), []), purpose);

describe('a relation', async () => {
  await each(
    'compare/relations/index.ts',
    relations,
    ({ name }) => name,
    async ({ name, rest }, load) => {
      const { SUITE_SCHEMA: schema }: typeof import('../../src/front/suites.ts') = await import(
        await load('front/suites.ts')
      );
      const isKnown = (relation: string) => schema.safeParse(suiteWith({ relations: [relation] })).success;
      assert.deepEqual([isKnown(name), rest.filter(isKnown)], [false, rest]);
      const asked = schema.parse(suiteWith({ relations: undefined })).relations;
      assert.deepEqual(
        asked,
        SUITE_SCHEMA.parse(suiteWith({ relations: undefined })).relations.filter((one) => one !== name),
      );
      const { makePlan: plan }: typeof import('../../src/run/plan.ts') = await import(
        await load('run/plan.ts')
      );
      for (const one of rest)
        assert.equal(text(planOf(plan, one, 'check')), text(planOf(makePlan, one, 'check')), one);
      assert.throws(() => planOf(plan, name, 'check'), new RegExp(`no relation is called ${name}`));
      // What a refresh asks for by itself.
      const [kept = ''] = rest;
      assert.deepEqual(
        planOf(plan, kept, 'refresh').claims,
        planOf(makePlan, kept, 'refresh').claims.filter(({ relation }) => relation !== name),
      );
    },
  );
});

/** Of one of probes, without what it cannot have. */
function suiteOf(engine: string): string {
  const { model, sampling, prompts, score, ...rest } = parse(SUITE) as Readonly<Record<string, unknown>>;
  const { probes, program } = engines.find(({ name }) => name === engine) ?? {};
  const asked =
    probes !== undefined
      ? rest
      : program === true
        ? { ...rest, prompts }
        : { ...rest, model, sampling, prompts, score };
  // One that is asked over the network.
  if (engines.some(({ name, remote }) => name === engine && remote !== undefined))
    return JSON.stringify({
      ...{ ...asked, model: { served: 'model' } },
      engine: { name: engine, args: { url: 'https://api.example/v1' } },
    });
  return JSON.stringify({ ...asked, engine: { name: engine } });
}

describe('an engine', async () => {
  await each(
    'engine/engines/index.ts',
    engines,
    ({ name }) => name,
    async ({ name, rest }, load) => {
      const { SUITE_SCHEMA: schema }: typeof import('../../src/front/suites.ts') = await import(
        await load('front/suites.ts')
      );
      const isKnown = (engine: string) => schema.safeParse(parse(suiteOf(engine))).success;
      assert.deepEqual([isKnown(name), rest.filter(isKnown)], [false, rest]);
      const { makePlan: plan }: typeof import('../../src/run/plan.ts') = await import(
        await load('run/plan.ts')
      );
      const of = (make: typeof makePlan, engine: string) => make(loaded(suiteOf(engine), []), 'check');
      for (const one of rest) assert.equal(text(of(plan, one)), text(of(makePlan, one)), one);
      assert.throws(() => of(plan, name), new RegExp(`no engine is called ${name}`));
    },
  );
});

describe('a package’s known issues', async () => {
  const nameOf = ({ engine }: (typeof lists)[number]) => engine ?? 'torch';
  await each('issues/index.ts', lists, nameOf, async ({ rest }, load) => {
    const { lists: left }: typeof import('../../src/issues/index.ts') = await import(
      await load('issues/index.ts')
    );
    assert.deepEqual(left.map(nameOf), rest);
  });
});

test('an engine has both its halves: the host’s list and the harness’s name the same', async () => {
  const harness = await readFile(
    new URL('../../docker/harness/deterministic_ml/engines/__init__.py', import.meta.url),
    'utf8',
  );
  const [, names = ''] = /^ENGINES = \(\n([\s\S]*?)^\)$/m.exec(harness) ?? [];
  assert.deepEqual(
    [...names.matchAll(/^ {4}"(\w+)",$/gm)].map(([, name]) => name),
    engines.filter(({ remote }) => remote === undefined).map(({ name }) => name),
  );
});

describe('a store', async () => {
  await each(
    'front/stores.ts',
    stores,
    ({ name }) => name,
    async ({ name, rest }, load) => {
      const { SUITE_SCHEMA: schema }: typeof import('../../src/front/suites.ts') = await import(
        await load('front/suites.ts')
      );
      const isKnown = (store: string) => schema.safeParse(suiteWith({ baseline: { store } })).success;
      assert.deepEqual([isKnown(name), rest.filter(isKnown)], [false, rest]);
      for (const baseline of [undefined, {}])
        assert.equal(
          schema.parse(suiteWith({ baseline })).baseline.store,
          rest[0],
          'the first of those left',
        );
      const { stores: left }: typeof import('../../src/front/stores.ts') = await import(
        await load('front/stores.ts')
      );
      assert.deepEqual(
        left.map((one) => one.name),
        rest,
      );
    },
  );
});

describe('a known change', async () => {
  await each(
    'changes/known/index.ts',
    knownChanges,
    ({ id }) => id,
    async ({ rest }, load) => {
      const { knownChanges: left }: typeof import('../../src/changes/known/index.ts') = await import(
        await load('changes/known/index.ts')
      );
      const told = (all: typeof knownChanges) =>
        all.map(({ id, what, equivalent, yardstick, remedy }) => ({
          id,
          what,
          equivalent,
          yardstick,
          remedy,
        }));
      assert.deepEqual(told(left), told(knownChanges.filter(({ id }) => rest.includes(id))));
    },
  );
});

describe('a mode', async () => {
  await each(
    'front/modes.ts',
    modes,
    ({ name }) => name,
    async ({ name, rest }, load) => {
      const front: typeof import('../../src/front/modes.ts') = await import(await load('front/modes.ts'));
      assert.deepEqual(
        front.modes.map((one) => one.name),
        rest,
      );
      assert.equal(front.commandLines().length, rest.length);
      assert.doesNotMatch(front.commandLines().join('\n'), new RegExp(`^${name} `, 'm'));
      const { parseInputs }: typeof import('../../src/front/inputs.ts') = await import(
        await load('front/inputs.ts')
      );
      const given: Readonly<Record<string, string>> = { reason: 'first', 'expected-reports': '1' };
      const asked = (mode: string) =>
        parseInputs((input) => (input === 'mode' ? mode : (given[input] ?? '')), 'action', {}, '/harness');
      const offered = inputModes.map((one) => one.name).filter((one) => one !== name);
      for (const one of offered) assert.equal(asked(one).mode.name, one);
      assert.throws(() => asked(name), {
        code: 'input-invalid',
        message: `\`mode\` is \`${name}\`, but must be ${offered.map((one) => `\`${one}\``).join(' or ')}.`,
      });
      assert.doesNotMatch(modeInput(front.inputModes), new RegExp(`\`${name}\` `));
    },
  );
});

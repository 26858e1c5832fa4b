import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tried } from '../support/tried.ts';
import { FIRST_SEED, fuzz } from './support/fuzz.ts';
import { surfacesToFuzz } from './support/fuzzed.ts';

tried(
  'anything that is read, at random',
  'suites, fleets, records, reports, events, captures, archives, results of other programs, turned over at random by byte and by value',
  'what is wrong is a named error, never a bug: 10,000 inputs each time, and a million in docs/evidence',
  async (t) => {
    await using surfaces = await surfacesToFuzz();
    for (const surface of surfaces.all)
      await t.test(surface.name, async () => {
        for (const seed of surface.seeds) await surface.take(seed);
        const { crashes, taken, named } = await fuzz(surface, surface.share, FIRST_SEED);
        assert.equal(crashes.map(({ error }) => error).join('\n'), '');
        const refused = Object.values(named).reduce((sum, count) => sum + count, 0);
        assert.equal(taken + refused, surface.share);
      });
  },
  { timeout: 300_000 },
);

test('a fuzzer finds what ends otherwise than by name, and the same each time', async () => {
  const broken = {
    name: 'broken',
    share: 1,
    seeds: [Buffer.from('{"a":1}')],
    take: (bytes: Buffer) => JSON.parse(bytes.toString()) as unknown,
  };
  const inputs = async (seed: number) => (await fuzz(broken, 200, seed)).crashes.map(({ input }) => input);
  assert.match((await fuzz(broken, 200, 1)).crashes[0]?.error ?? '', /^SyntaxError/);
  assert.deepEqual(await inputs(1), await inputs(1));
  assert.notDeepEqual(await inputs(1), await inputs(2));
});

test('a module whose name is half of a character, which one of a million inputs had, breaks the protocol', async () => {
  await using surfaces = await surfacesToFuzz();
  const events = surfaces.all.find(({ name }) => name === 'events of a harness');
  const [seed] = events?.seeds ?? [];
  const half = Buffer.from(String(seed).replace('model.norm', '\\ud800'));
  assert.notDeepEqual(half, seed);
  await assert.rejects(async () => await events?.take(half), {
    code: 'protocol-violation',
    message: /`modules` names something by half of a character/,
  });
});

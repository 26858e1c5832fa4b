import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Session } from '../../../src/engine/session.ts';
import { stepsOf } from '../../../src/record/channels.ts';
import { makePlan, type Plan } from '../../../src/run/plan.ts';
import { Recording } from '../../../src/run/recording.ts';
import { type EngineOptions, ScriptedEngine } from '../support/engine.ts';
import { SUITE } from '../support/job.ts';
import { MemoryDisk } from '../support/memory.ts';
import { FINGERPRINT, reread } from '../support/records.ts';
import { loaded, rejectedBy } from '../support/suites.ts';

const PROMPTS = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', text: 'The sky is' },
];

/** A record that grows on a disk in memory, and an engine to grow it with. */
class Growing {
  readonly disk = new MemoryDisk();
  readonly engine: ScriptedEngine;
  readonly plan: Plan;

  constructor(options: EngineOptions = {}, suite = SUITE) {
    this.engine = new ScriptedEngine(options);
    this.plan = makePlan(loaded(suite, PROMPTS), 'refresh');
  }

  async begin(known: ReadonlyMap<string, Uint32Array> = new Map()): Promise<Recording> {
    return new Recording(this.plan, FINGERPRINT, known, await this.disk.create('/record'));
  }

  async add(recording: Recording, lifetime: string, passes = this.plan.passes): Promise<void> {
    await using session = await Session.open(
      {
        ...{ harness: { boot: '', files: {} }, start: () => this.engine.start() },
        ...{ inactivitySeconds: 30, deadlineSeconds: 30, signal: new AbortController().signal },
        ...{ onOutput: () => {}, onProgress: () => {} },
        placeOf: () => ({ file: 'suite.yml', line: 1, column: 1 }),
        enginePlace: { file: 'suite.yml', line: 4, column: 1 },
      },
      { engine: 'vllm', model: '/model', knownDigests: {} },
      this.plan.environment,
    );
    await session.expect('fingerprint');
    const start = { how: 'cold', process: recording.lifetimes + 1 } as const;
    await recording.add({ session, start, took: { open: 1, import: 0 } }, lifetime, passes, this.plan.args);
  }

  /** The tokens that a prompt was given, of each pass of a kind. */
  given(kind: 'force' | 'score', prompt: string): (string | null)[] {
    return this.engine.passes
      .filter((pass) => pass.kind === kind)
      .flatMap(({ requests }) => requests.filter(({ id }) => id === prompt).map(({ tokens }) => tokens));
  }
}

const base64 = (...ids: readonly number[]) => Buffer.from(Uint32Array.from(ids).buffer).toString('base64');

describe('a record that grows', () => {
  test('names what was installed in each start, and holds a list once', async () => {
    const lists = [{ python: { torch: '2.11.0' } }, { python: { torch: '2.11.0' } }, { python: {} }];
    const growing = new Growing({ software: (start) => lists[start - 1] });
    await using recording = await growing.begin();
    for (const name of ['one', 'two', 'three']) await growing.add(recording, name);
    const { lifetimes, software } = reread((await recording.commit()).record);
    assert.deepEqual(
      lifetimes.map((one) => software.get(one.software ?? '')),
      lists,
    );
    assert.equal(software.size, 2);
  });

  test('breaks off before it measures anything where what a verdict stands on is not in force', async () => {
    const growing = new Growing({ effective: { enforce_eager: false } });
    await using recording = await growing.begin();
    const error = await rejectedBy(growing.add(recording, 'one'));
    assert.equal(error.code, 'engine-not-as-asked');
    assert.match(
      error.message,
      /`enforce_eager: true` was asked for, and the running engine says that it is not/,
    );
    assert.deepEqual(growing.engine.passes, []);
  });

  test('calls probes in the first start alone, and keeps what they gave beside the passes', async () => {
    const probes = { seconds: 0.5, calls: { 'matmul float32 1x2x2': 'a'.repeat(64) }, unavailable: null };
    const growing = new Growing({ probes });
    await using recording = await growing.begin();
    for (const name of ['one', 'two']) await growing.add(recording, name);
    assert.deepEqual(
      growing.engine.loads.map((load) => load.probes),
      [true, false],
    );
    const { lifetimes } = reread((await recording.commit()).record);
    assert.deepEqual(
      lifetimes.map((one) => one.probes),
      [probes, undefined],
    );
    // The model's bits are the same with them and without.
    assert.equal(lifetimes[0]?.digest, lifetimes[1]?.digest);
  });

  test('breaks off where the harness lists what no image can have', async () => {
    const growing = new Growing({ software: () => ({ python: { torch: 2 } }) });
    await using recording = await growing.begin();
    assert.equal((await rejectedBy(growing.add(recording, 'one'))).code, 'protocol-violation');
  });

  test('is one that can be read again, with all that was planned', async () => {
    const growing = new Growing();
    await using recording = await growing.begin();
    await growing.add(recording, 'lifetime-1');
    await growing.add(recording, 'lifetime-2', growing.plan.repeats);
    const { record } = await recording.commit();
    assert.deepEqual(reread(record), record);
    const [first, second] = record.lifetimes;
    assert.deepEqual(
      first?.passes.map(({ pass }) => pass),
      growing.plan.passes.map(({ pass }) => pass),
    );
    assert.deepEqual(
      second?.passes.map(({ pass }) => pass),
      growing.plan.repeats.map(({ pass }) => pass),
    );
    assert.equal(recording.lifetimes, 2);
    assert.deepEqual([record.suite.name, record.hardwareClass], ['suite', 'cpu-genuineintel-x86-64-v4']);
  });

  test('shows a side of what there is until now, which the next lifetime does not change', async () => {
    const growing = new Growing();
    await using recording = await growing.begin();
    await growing.add(recording, 'lifetime-1');
    const side = recording.side();
    await growing.add(recording, 'lifetime-2');
    assert.equal(side.record.lifetimes.length, 1);
    assert.equal(recording.side().record.lifetimes.length, 2);
  });

  test('learns the tokens of a prompt from what is generated first, and gives them to all that follows', async () => {
    const growing = new Growing({ computes: ({ start }) => ({ shift: start }) });
    await using recording = await growing.begin();
    await growing.add(recording, 'lifetime-1');
    await growing.add(recording, 'lifetime-2', growing.plan.repeats);
    const { record, readTokens } = await recording.commit();
    const known = record.known.find(({ prompt }) => prompt === 'sky');
    const tokens = await readTokens(known?.sha256 ?? '');
    assert.deepEqual([known?.count, tokens.length], [4, 4]);
    const told = base64(...tokens);
    assert.deepEqual(growing.given('force', 'sky'), [told, told]);
    // A score alone, one among strangers and one with noise in the first start, one alone in the second.
    assert.deepEqual(growing.given('score', 'sky'), [told, told, told, told]);
  });

  test('keeps the baseline’s tokens, whatever is generated now', async () => {
    const growing = new Growing();
    await using recording = await growing.begin(new Map([['sky', Uint32Array.of(7, 8)]]));
    await growing.add(recording, 'lifetime-1');
    const { record } = await recording.commit();
    assert.deepEqual(growing.given('force', 'sky'), [base64(7, 8)]);
    assert.deepEqual(
      record.known.map(({ prompt, count }) => [prompt, count]),
      [
        ['capital', 4],
        ['sky', 2],
      ],
    );
  });

  test('at depth `score` generates only what is not known, and the same in every lifetime', async () => {
    const growing = new Growing({}, `${SUITE}depth: score\n`);
    await using recording = await growing.begin(new Map([['sky', Uint32Array.of(7, 8)]]));
    await growing.add(recording, 'lifetime-1');
    await growing.add(recording, 'lifetime-2');
    const generated = growing.engine.passes
      .filter(({ kind }) => kind === 'generate')
      .map(({ requests }) => requests.map(({ id }) => id));
    assert.deepEqual(generated, [['capital'], ['capital']]);
  });

  test('asks for the text of each token once', async () => {
    const growing = new Growing();
    await using recording = await growing.begin();
    for (const lifetime of ['lifetime-1', 'lifetime-2']) await growing.add(recording, lifetime);
    const asked = growing.engine.vocabularies.flat();
    assert.equal(growing.engine.vocabularies.length, 1, 'the second start told no new token');
    assert.equal(new Set(asked).size, asked.length);
    const { readVocabulary, record, readBody } = await recording.commit();
    const texts = await readVocabulary();
    const [first] = record.observations;
    const { tokens, topIds } = stepsOf(await readBody(first?.body ?? ''));
    for (const id of [...tokens, ...topIds]) assert.equal(texts.get(id), ` w${id}`);
  });

  test('leaves nothing where it is not committed', async () => {
    const growing = new Growing();
    {
      await using recording = await growing.begin();
      await growing.add(recording, 'lifetime-1');
    }
    assert.deepEqual([growing.disk.folders.size, growing.disk.unfinished], [0, 0]);
  });

  test('tells the engine its arguments, which of them are defaults, and the change that is to be made', async () => {
    const growing = new Growing();
    const changed = { ...growing.plan, perturbation: { kind: 'weight-bit' } } as const;
    await using recording = new Recording(
      changed,
      FINGERPRINT,
      new Map(),
      await growing.disk.create('/record'),
    );
    await growing.add(recording, 'lifetime-1');
    assert.deepEqual(growing.engine.loads[0]?.args, growing.plan.args);
    assert.deepEqual(growing.engine.loads[0]?.perturbation, { kind: 'weight-bit' });
    assert.equal(recording.side().record.lifetimes[0]?.perturbed, 'weight-bit, as told');
  });
});

describe('a pass', () => {
  test('that an engine cannot do is kept with its reason, and the record goes on', async () => {
    const growing = new Growing({ computes: () => ({ unavailable: { force: 'it cannot force' } }) });
    await using recording = await growing.begin();
    await growing.add(recording, 'lifetime-1');
    const { record } = recording.side();
    const force = record.lifetimes[0]?.passes.find(({ kind }) => kind === 'force');
    assert.equal(force?.unavailable, 'it cannot force');
    assert.equal(
      record.observations.some(({ pass }) => pass === force?.pass),
      false,
    );
    assert.ok(record.observations.some(({ pass }) => pass.startsWith('score')));
  });

  test('that ends without what it was asked breaks the protocol', async () => {
    const growing = new Growing({ computes: () => ({ forgets: 'sky' }) });
    await using recording = await growing.begin();
    const error = await rejectedBy(growing.add(recording, 'lifetime-1'));
    assert.equal(error.code, 'protocol-violation');
    assert.match(error.message, /generate-alone ended without `sky`/);
    assert.equal(recording.lifetimes, 0, 'nothing of this lifetime is used');
  });

  test('that gives a prompt twice, or more tokens than it was asked for, breaks the protocol', async () => {
    for (const [computes, says] of [
      [{ repeats: 'sky' }, /generate-alone gave `sky` twice/],
      [{ babbles: 1 }, /generate-alone gave more than the \d+ tokens that `capital` was asked for/],
    ] as const) {
      const growing = new Growing({ computes: () => computes });
      await using recording = await growing.begin();
      const error = await rejectedBy(growing.add(recording, 'lifetime-1'));
      assert.equal(error.code, 'protocol-violation');
      assert.match(error.message, says);
    }
  });

  test('that gives what nobody asked for breaks the protocol', async () => {
    const growing = new Growing({ computes: () => ({ invents: 'moon' }) });
    await using recording = await growing.begin();
    const error = await rejectedBy(growing.add(recording, 'lifetime-1'));
    assert.equal(error.code, 'protocol-violation');
    assert.match(error.message, /generate-alone gave what nobody asked for/);
  });
});

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { knownChanges } from '../../../src/changes/known/index.ts';
import type { Perturbed, Power } from '../../../src/report/power.ts';
import { power } from '../../../src/use-cases/power.ts';
import type { Computes, EngineOptions, Load } from '../support/engine.ts';
import { ASKS, Job, SUITE } from '../support/job.ts';
import { rejectedBy } from '../support/suites.ts';

async function measured(
  computes: (load: Load) => Computes = () => ({}),
  options: EngineOptions = {},
): Promise<Power & { readonly job: Job }> {
  const job = new Job();
  const found = await power(
    { ...job.settings('workflow_dispatch'), ...ASKS.power },
    job.tools({ computes, ...options }),
  );
  return { ...found, job };
}

function one({ perturbations: all }: Power, id: string): Perturbed {
  const found = all.find((known) => known.id === id);
  assert.ok(found, `no ${id}`);
  return found;
}

const ifChanged =
  (changed: Computes) =>
  ({ perturbation }: Load): Computes =>
    perturbation === null ? {} : changed;

describe('power', () => {
  test('measures every known change once, beside one unchanged start', async () => {
    const found = await measured();
    assert.deepEqual(
      found.perturbations.map(({ id }) => id),
      knownChanges.map(({ id }) => id),
    );
    const made = found.perturbations.filter((known) => known.made).length;
    const { job } = found;
    assert.equal(job.engine.loads.length, 1 + made);
    assert.deepEqual([found.suite, found.hardwareClass], ['suite', 'cpu-genuineintel-x86-64-v4']);
    assert.deepEqual([job.engine.running, job.disk.unfinished, job.store.saved], [0, 0, []]);
    assert.deepEqual(
      [...job.disk.folders.keys()].filter((folder) => !folder.startsWith('/record-1.power/')),
      [],
    );
    assert.ok(job.disk.folders.has('/record-1.power/unchanged'));
  });

  test('asks nothing but what a baseline is compared by, whatever relations the suite names', async () => {
    const job = new Job();
    job.suite = SUITE.replace('[rerun, baseline]', '[rerun, prefix-cache, baseline]');
    await power({ ...job.settings('workflow_dispatch'), ...ASKS.power }, job.tools());
    const [first] = job.engine.passes;
    assert.equal(first?.pass, 'generate-alone');
    assert.deepEqual(
      job.engine.passes.filter(({ pass }) => /again|warm/.test(pass)),
      [],
    );
    assert.equal(job.engine.loads[0]?.args['enable_prefix_caching'], false, 'nor with what they need');
  });

  test('counts a change that nothing shows as missed, and says what would show it', async () => {
    const found = await measured();
    const { caught, by, noticed, note } = one(found, 'weight-bit');
    assert.deepEqual([caught, by, noticed], [false, [], []]);
    assert.match(note, /^add /);
    assert.equal(found.real.caught, 0);
    assert.ok(found.real.made > 5);
  });

  test('counts no other cut of the work as missed where no bit moves, and as noticed where one does', async () => {
    const quiet = await measured();
    const { made, caught, note } = one(quiet, 'batching');
    assert.deepEqual([made, caught], [true, null]);
    assert.match(note, /may move none/);
    const counted = quiet.perturbations.filter((known) => !known.equivalent && known.caught !== null);
    assert.equal(quiet.real.made, counted.length);
    const loud = await measured(({ start }) => (start === 1 ? {} : { nats: -0.5 }));
    assert.equal(one(loud, 'batching').caught, true);
  });

  test('counts an equivalent change that shows as a false alarm', async () => {
    const quiet = await measured();
    assert.deepEqual([quiet.equivalent.flagged, one(quiet, 'restart').note], [0, '']);
    const found = await measured(({ start }) => (start === 1 ? {} : { nats: -0.5 }));
    assert.ok(found.equivalent.made > 0);
    assert.equal(found.equivalent.flagged, found.equivalent.made);
    assert.equal(one(found, 'restart').caught, true);
  });

  test('says who notices: text and tokens', async () => {
    const found = await measured(ifChanged({ shift: 1 }));
    const { by, noticed, changed } = one(found, 'weight-bit');
    assert.ok(by.includes('text') && by.includes('tokens'), by.join());
    assert.deepEqual(
      noticed.filter((seen) => seen.by === 'text' || seen.by === 'tokens').map(({ after }) => after),
      [1, 1],
    );
    assert.equal(changed, 'weight-bit, as told');
    assert.ok(found.real.caughtByText > 0 && found.real.caughtByText < found.real.made);
  });

  test('tells the first token of any prompt at which it shows', async () => {
    const at = { capital: 3, sky: 2 } as const;
    const shift = (prompt: string, step: number) =>
      (prompt === 'capital' && step >= at.capital) || (prompt === 'sky' && step >= at.sky) ? 1 : 0;
    const { noticed } = one(await measured(ifChanged({ shift })), 'weight-bit');
    assert.equal(noticed.find(({ by }) => by === 'tokens')?.after, at.sky + 1, 'counted from 1');
  });

  test('says who notices: the bits of decoding and of scores, with how far they are apart', async () => {
    const { by, noticed, rmsNats } = one(await measured(ifChanged({ nats: -0.75 })), 'weight-bit');
    assert.deepEqual(
      by.filter((observer) => observer === 'decode' || observer === 'score'),
      ['decode', 'score'],
    );
    assert.equal(by.includes('text'), false);
    assert.equal(rmsNats, 0.5);
    const score = noticed.find((seen) => seen.by === 'score');
    assert.deepEqual([score?.after, score?.engineSeconds], [1, 0.5]);
    const decode = noticed.find((seen) => seen.by === 'decode');
    assert.equal(decode?.engineSeconds, 1, 'of both kinds of pass that decode');
  });

  test('says who notices: a trace alone', async () => {
    const { by, noticed, rmsNats } = one(await measured(ifChanged({ module: 'one bit' })), 'weight-bit');
    assert.deepEqual([by, noticed[0]?.after, rmsNats], [['trace'], 1, null]);
  });

  test('says who notices: the prompt’s own token ids', async () => {
    const { by, noticed } = one(await measured(ifChanged({ promptTokens: [9, 1, 2, 3] })), 'tokenizer-merge');
    assert.equal(by[0], 'inputs');
    assert.equal(noticed[0]?.after, 0);
  });

  test('leaves out of the count what cannot be made here, with why', async () => {
    const found = await measured(({ perturbation }) =>
      perturbation?.kind === 'round-weights'
        ? { error: { code: 'engine-rejected', message: 'its weights are packed' } }
        : {},
    );
    const { caught, note } = one(found, 'int8-weights');
    assert.deepEqual([caught, note], [null, 'its weights are packed']);
    const before = await measured();
    assert.equal(found.real.made, before.real.made - 2, 'int8 and fp8');
    assert.equal(one(found, 'cpu-quota').note, 'the engine runs in no container');
  });

  test('makes each change that it is told to, and no other', async () => {
    const { job } = await measured();
    const kinds = job.engine.loads.flatMap(({ perturbation }) =>
      perturbation === null ? [] : [perturbation.kind],
    );
    assert.ok(kinds.includes('weight-bit') && kinds.includes('chat-template-space'));
    assert.equal(job.engine.loads[0]?.perturbation, null);
    const dtypes = job.engine.loads.flatMap(({ args }) => args['dtype'] ?? []);
    assert.deepEqual(dtypes, ['float16'], 'bfloat16 is what it runs in');
  });

  test('compares with the unchanged run’s tokens: what a change generates is not what it is scored on', async () => {
    const { job } = await measured(ifChanged({ shift: 1 }));
    const given = job.engine.passes
      .filter(({ kind }) => kind === 'score')
      .map(({ requests }) => requests.flatMap(({ observed, tokens }) => (observed ? [tokens] : [])).join());
    assert.equal(new Set(given).size, 1);
  });

  test('ends with an error where the machine fails, and not with a count', async () => {
    const gone = { error: { code: 'gpu-unavailable', message: 'fell off the bus' } };
    const error = await rejectedBy(measured(ifChanged(gone)));
    assert.equal(error.code, 'gpu-unavailable');
  });

  test('is nothing that a stranger may start', async () => {
    const job = new Job();
    job.base.set('suite.yml', SUITE);
    const settings = job.settings('pull_request', { base: 'refs/heads/main', fork: true });
    assert.equal(
      (await rejectedBy(power({ ...settings, ...ASKS.power }, job.tools()))).code,
      'event-refused',
    );
    assert.deepEqual(job.engine.starts, []);
  });
});

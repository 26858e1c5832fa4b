import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { knownChanges } from '../../../src/changes/known/index.ts';
import type { Changed, Subject } from '../../../src/changes/make.ts';
import { makePlan } from '../../../src/run/plan.ts';
import { readyPass } from '../../../src/run/requests.ts';
import { FINGERPRINT } from '../support/records.ts';
import { loaded, SAMPLE } from '../support/suites.ts';

const PROMPTS = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', text: 'The sky is' },
];

function subject(change: (source: string) => string = (source) => source): Subject {
  const suite = loaded(change(SAMPLE), PROMPTS);
  const [first, second] = suite.prompts;
  assert.ok(first && second);
  const sampling = { ...second.sampling, temperature: 0.8 };
  const sampled = { ...suite, prompts: [first, { ...second, sampling }] };
  return {
    loaded: sampled,
    plan: makePlan(sampled, 'check'),
    fingerprint: FINGERPRINT,
    effective: { dtype: 'bfloat16', attention_backend: 'CPU_ATTN' },
  };
}

function made(id: string, of: Subject = subject()): Changed {
  const changed = knownChanges.find((known) => known.id === id)?.make(of);
  assert.ok(typeof changed === 'object', `${id}: ${changed}`);
  return changed;
}

test('there are enough changes of either kind, each under a name of its own', () => {
  const real = knownChanges.filter(({ equivalent }) => !equivalent);
  assert.ok(real.length >= 12, `${real.length} real ones`);
  assert.ok(knownChanges.length - real.length >= 6);
  assert.equal(new Set(knownChanges.map(({ id }) => id)).size, knownChanges.length);
  for (const { id, remedy } of real) assert.ok(remedy !== '', `${id} says what a suite that misses it lacks`);
});

test('a change leaves what is asked alone, so that it is compared and not taken for a new prompt', () => {
  const original = subject();
  for (const { id, make } of knownChanges) {
    const changed = make(original);
    if (typeof changed === 'string') continue;
    assert.deepEqual(
      changed.plan.prompts.map(({ digest }) => digest),
      original.plan.prompts.map(({ digest }) => digest),
      id,
    );
  }
});

describe('a sampler that is wrong', () => {
  test('shows only where something is sampled', () => {
    for (const id of ['temperature', 'top-p', 'seed']) {
      const [greedy, sampled] = made(id).plan.prompts;
      const [before, after] = subject().plan.prompts;
      assert.deepEqual(greedy?.sampling, before?.sampling, id);
      assert.notDeepEqual(sampled?.sampling, after?.sampling, id);
    }
  });

  test('cannot be shown by a suite that samples nothing, which is told', () => {
    const greedy = loaded(SAMPLE, PROMPTS);
    const of = { ...subject(), loaded: greedy, plan: makePlan(greedy, 'check') };
    for (const id of ['temperature', 'top-p', 'seed'])
      assert.equal(knownChanges.find((known) => known.id === id)?.make(of), 'the suite samples nothing');
  });

  test('is none where only the seed of a greedy prompt changes', () => {
    const [greedy, sampled] = made('greedy-seed').plan.prompts;
    const [before, after] = subject().plan.prompts;
    assert.notEqual(greedy?.sampling.seed, before?.sampling.seed);
    assert.deepEqual(sampled?.sampling, after?.sampling);
  });
});

test('batching really puts strangers beside a prompt, in what is compared as if it were alone', () => {
  const { plan } = made('batching');
  const pass = plan.passes.find(({ kind, arrangement }) => kind === 'generate' && arrangement === 'alone');
  assert.ok(pass);
  const ready = readyPass(plan, 'lifetime-1', pass, new Map(), new Set());
  assert.equal(ready?.command.groups[0]?.length, 3);
  assert.equal(ready?.arrangement, 'alone');
});

test('a limit of the CPU needs a container, and leaves the plan alone', () => {
  const of = subject();
  assert.match(String(knownChanges.find(({ id }) => id === 'cpu-quota')?.make(of)), /no container/);
  const { ambient } = FINGERPRINT;
  const inContainer = {
    ...of,
    fingerprint: { ...FINGERPRINT, ambient: { ...ambient, runtime: 'docker' } },
  } as const;
  const changed = made('cpu-quota', inContainer);
  assert.equal(changed.loaded.suite.runtime.cpus, 2);
  assert.deepEqual(changed.plan, of.plan);
});

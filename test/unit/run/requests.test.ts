import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { makePlan } from '../../../src/run/plan.ts';
import { readyPass } from '../../../src/run/requests.ts';
import { loaded, SAMPLE } from '../support/suites.ts';

const WITH_TEXT = SAMPLE.replace(
  'relations:',
  'score: [{ id: prose, text: "It was a dark night." }]\nrelations:',
);
const PROMPTS = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', text: 'The sky is' },
];
const KNOWN = new Map([
  ['capital', Uint32Array.of(7, 70_000)],
  ['sky', Uint32Array.of()],
]);

function ready(pass: string, known = KNOWN, change = (source: string) => source) {
  const relations = '[rerun, batch, order, prefix-cache, baseline]';
  const source = change(WITH_TEXT.replace('[rerun, baseline]', relations));
  const plan = makePlan(loaded(source, PROMPTS), 'refresh');
  const planned = plan.passes.find((one) => one.pass === pass);
  assert.ok(planned, pass);
  return readyPass(
    plan,
    'lifetime-1',
    planned,
    known,
    new Set(PROMPTS.flatMap(({ id }) => (known.has(id) ? [] : [id]))),
  );
}
const groups = (pass: string) => ready(pass)?.command.groups;

test('requests are grouped as the arrangement says', () => {
  assert.deepEqual(groups('generate-alone'), [['capital'], ['sky']]);
  assert.deepEqual(groups('generate-together'), [['capital', 'sky']]);
  assert.deepEqual(groups('generate-reversed'), [['sky', 'capital']]);
  assert.deepEqual(groups('generate-warm'), [['capital'], ['sky']]);
  assert.equal(ready('generate-warm')?.command.warm, true);
  assert.equal(ready('generate-alone')?.command.warm, false);
});

test('strangers share a prompt’s steps, one of them long, and nobody observes them', () => {
  const command = ready('generate-strangers')?.command;
  assert.deepEqual(command?.groups[0], ['capital', 'capital/short', 'capital/long']);
  const strangers = command?.requests.filter(({ observed }) => !observed) ?? [];
  assert.equal(strangers.length, 4);
  const lengths = strangers.map(({ input }) => ('text' in input ? input.text.length : 0));
  assert.ok(Math.max(...lengths) > 1000);
});

test('known tokens are decoded by force and scored, as uint32 little-endian', () => {
  const tokens = Buffer.from(Uint8Array.of(7, 0, 0, 0, 0x70, 0x11, 1, 0)).toString('base64');
  assert.equal(ready('force-alone')?.command.requests[0]?.tokens, tokens);
  assert.equal(ready('score-alone')?.command.requests[0]?.tokens, tokens);
});

test('what generated nothing cannot be forced, and is scored all the same', () => {
  assert.deepEqual(groups('force-alone'), [['capital']]);
  assert.deepEqual(groups('score-alone'), [['capital'], ['sky'], ['prose']]);
});

describe('an input', () => {
  const inputOf = (pass: string, id: string, known = KNOWN) => ready(pass, known)?.inputs.get(id);

  test('of a force or a score is another one with other known tokens', () => {
    const other = new Map([...KNOWN, ['capital', Uint32Array.of(7, 70_001)]]);
    for (const pass of ['force-alone', 'score-alone']) {
      assert.notEqual(inputOf(pass, 'capital'), inputOf(pass, 'capital', other), pass);
      assert.equal(inputOf(pass, 'capital'), inputOf(pass, 'capital', new Map(KNOWN)), pass);
    }
    assert.equal(inputOf('generate-alone', 'capital'), inputOf('generate-alone', 'capital', other));
  });

  test('is no matter of who is near', () => {
    assert.equal(inputOf('generate-alone', 'sky'), inputOf('generate-strangers', 'sky'));
    assert.equal(inputOf('score-alone', 'prose'), inputOf('score-strangers', 'prose'));
    assert.notEqual(inputOf('force-alone', 'capital'), inputOf('score-alone', 'capital'));
  });
});

test('at depth `score`, only what the baseline has no tokens of is generated', () => {
  const shallow = (source: string) =>
    source.replace('prefix-cache, ', '').replace('relations:', 'depth: score\nrelations:');
  const known = new Map([['sky', Uint32Array.of(5)]]);
  assert.deepEqual(ready('generate-alone', known, shallow)?.command.groups, [['capital']]);
  const all = new Map([...known, ['capital', Uint32Array.of(7)]]);
  assert.equal(ready('generate-alone', all, shallow), undefined);
});

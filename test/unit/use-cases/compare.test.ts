import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compare } from '../../../src/compare/compare.ts';
import { recordOf } from '../../../src/import/record.ts';
import { UNKNOWN_ENVIRONMENT } from '../../../src/import/unknown.ts';
import { packBody } from '../../../src/record/body.ts';
import type { Channel } from '../../../src/record/channels.ts';
import { digestJson, sha256 } from '../../../src/record/digest.ts';
import type { OpenedRecord, Side } from '../../../src/record/side.ts';
import { compareRecords } from '../../../src/use-cases/compare.ts';
import { MemoryDisk } from '../support/memory.ts';
import { body, side } from '../support/records.ts';
import { rejectedBy } from '../support/suites.ts';

const digests = (name: string, ...told: readonly (readonly [string, string, number?])[]): Channel => ({
  name,
  kind: 'digests',
  digests: told.map(([what, bits, nans = 0]) => ({ name: what, sha256: sha256(bits), nans })),
});
const text = (value: string): Channel => ({ name: 'text', kind: 'text', text: value });

/** A record of a program: its results by name. */
function program(results: Readonly<Record<string, Channel>>, inputs: unknown = {}): OpenedRecord {
  const answers = Object.entries(results).map(([prompt, channel]) => ({
    ...{ prompt, input: digestJson({ prompt, inputs }), finishReason: 'unknown' as const, sampling: null },
    channels: [channel],
  }));
  const record = recordOf({
    ...{ name: 'x', suite: 'script', createdAt: undefined, environment: UNKNOWN_ENVIRONMENT, answers },
    vocabulary: new Map(),
  });
  const bodies = new Map(answers.map(({ channels }) => [sha256(packBody(channels)), channels]));
  return {
    ...{ record, sha256: '' },
    readBody: async (digest) => bodies.get(digest) ?? assert.fail(),
    readTokens: async () => assert.fail(),
    readVocabulary: async () => new Map(),
  };
}

async function compared(left: OpenedRecord, right: OpenedRecord) {
  const records = new MemoryDisk();
  records.folders.set('/left', { record: left }).set('/right', { record: right });
  return await compareRecords({ paths: ['/left', '/right'] }, { records });
}

const LOGITS = digests('tensors', ['float32[2]', 'bits']);
const LOSS = digests('numbers', ['float 0.1', 'a'], ['float 0.5', 'b']);

describe('two records of programs', () => {
  test('of the same bits pass', async () => {
    const results = { logits: LOGITS, loss: LOSS, answer: text('yes') };
    const { verdict, lines } = await compared(program(results), program(results));
    assert.deepEqual(
      [verdict, lines],
      ['pass', ['Both records hold the same bits: 3 results compared, and neither has more.']],
    );
  });

  test('that differ fail, and each difference is named', async () => {
    const { verdict, lines } = await compared(
      program({ logits: LOGITS, loss: LOSS, answer: text('the sky is blue'), same: LOGITS }),
      program({
        logits: digests('tensors', ['float32[2]', 'others']),
        loss: digests('numbers', ['float 0.1', 'a'], ['float 0.75', 'c']),
        answer: text('the sky is\u001b[2J red'),
        same: LOGITS,
      }),
    );
    assert.equal(verdict, 'fail');
    assert.deepEqual(lines, [
      `logits: tensors: other bits in float32[2]: was ${sha256('bits').slice(0, 16)}, is ${sha256('others').slice(0, 16)}`,
      'loss: numbers: 1 of 2 differ, the first at 1: was float 0.5, is float 0.75',
      'answer: text: differs at character 11: was “the sky is blue”, is “the sky is\\u{1b}[2J red”',
      'Nothing that both records tell of their environments differs.',
      'The records are NOT the same: 1 result identical, 3 not.',
    ]);
  });

  test('of which one has more are not the same', async () => {
    const less = program({ logits: LOGITS });
    const more = program({ logits: LOGITS, loss: LOSS });
    assert.deepEqual((await compared(less, more)).lines[0], 'loss: only the second record asks it so');
    const { verdict, lines } = await compared(more, less);
    assert.deepEqual([verdict, lines[0]], ['fail', 'loss: only the first record has it']);
  });

  test('of other inputs, or of NaN, were not compared, and that is no pass', async () => {
    const other = await compared(program({ logits: LOGITS }), program({ logits: LOGITS }, { seed: 2 }));
    assert.equal(other.verdict, 'fail');
    assert.match(other.lines.at(-1) ?? '', /^Nothing was compared: none of the 1 prompts/);
    const broken = program({ logits: digests('tensors', ['float32[2]', 'bits', 2]) });
    const { verdict, lines } = await compared(broken, broken);
    assert.equal(verdict, 'fail');
    assert.match(lines[0] ?? '', /^logits: not compared: .*2 values of tensors are NaN/);
  });
});

describe('two records of engines', () => {
  const run = (logprobs: readonly number[]): OpenedRecord => ({
    ...side({ lifetimes: { 'lifetime-1': { 'generate-alone': { capital: body({ logprobs }) } } } }),
    sha256: '',
  });

  test('are compared as a run is with its baseline', async () => {
    assert.equal((await compared(run([-0.5, -1]), run([-0.5, -1]))).verdict, 'pass');
    const { verdict, lines } = await compared(run([-0.5, -1]), run([-0.5, -1.25]));
    assert.equal(verdict, 'fail');
    assert.match(lines[0] ?? '', /^capital: logprobs differ/);
  });

  test('hold no program’s results: a run of an engine has arranged passes', async () => {
    const script = program({ capital: text('x') });
    assert.equal((await compared(run([-0.5, -1]), script)).verdict, 'fail');
    const error = await rejectedBy(compared(script, run([-0.5, -1])));
    assert.equal(error.code, 'input-invalid');
    assert.match(error.message, /the first was told by another program/);
  });
});

test('a program’s record is no baseline of an engine: nothing tells how it arranged its passes', async () => {
  const run = side({ lifetimes: { 'lifetime-1': { 'generate-alone': { capital: body() } } } });
  const { observations, ...told } = run.record;
  const untold: Side = {
    ...run,
    record: {
      ...told,
      source: 'imported',
      observations,
      lifetimes: told.lifetimes.map((one) => ({
        ...one,
        passes: one.passes.map((pass) => ({ ...pass, arrangement: 'untold' as const })),
      })),
    },
  };
  const status = async (now: Side, before: Side) =>
    (await compare(now, before, [{ relation: 'baseline', requirement: 'identical' }]))[0]?.status;
  assert.equal(await status(run, untold), 'unmeasured');
  assert.equal(await status(untold, untold), 'held');
  assert.equal(await status(untold, run), 'held');
});

test('other than two folders are refused', async () => {
  for (const paths of [['/left'], ['/a', '/b', '/c']])
    assert.equal(
      (await rejectedBy(compareRecords({ paths }, { records: new MemoryDisk() }))).code,
      'input-invalid',
    );
});

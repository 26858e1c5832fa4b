import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { EngineSettings } from '../../../src/fingerprint/schema.ts';
import { asServed, unread } from '../../../src/report/served.ts';
import { FINGERPRINT } from '../support/records.ts';

const file = (path: string, digit: string) => ({ path, bytes: 1, sha256: digit.repeat(64) });

const side = (settings: Partial<EngineSettings>, files = [file('config.json', '1')]) => ({
  fingerprint: {
    ...FINGERPRINT,
    declared: { ...FINGERPRINT.declared, model: { ...FINGERPRINT.declared.model, files } },
  },
  lifetimes: [
    {
      ...{ lifetime: 'lifetime-1', loadSeconds: 1, perturbed: null, passes: [], digest: '0'.repeat(64) },
      settings: { requested: {}, dropped: [], effective: {}, ...settings },
    },
  ],
});

describe('a file that serving reads and this run does not', () => {
  const config = (digit: string) => [file('generation_config.json', digit)];
  const vllm = (values?: Record<string, number>) => ({
    effective: { generation_config: 'vllm' },
    ...(values && { unread: { 'generation_config.json': values } }),
  });
  const told = (record: ReturnType<typeof side>, before: ReturnType<typeof side>) =>
    unread({ record, before }).map(({ message }) => message);

  test('is told of with what changed in it', () => {
    const [message = '', ...more] = told(
      side(vllm({ repetition_penalty: 1.3 }), config('2')),
      side(vllm({ repetition_penalty: 1.1 }), config('1')),
    );
    assert.deepEqual(more, []);
    assert.match(
      message,
      /`generation_config\.json` of the model is another.*`repetition_penalty` 1\.1 → 1\.3/,
    );
    assert.match(
      message,
      /not measured under `defaults: deterministic`.*`engine\.defaults: as-served` measures it/,
    );
  });

  test('also where it is new, and by its name alone where a record does not know it', () => {
    assert.match(
      told(side(vllm({ top_k: 5 }), config('2')), side(vllm({}), []))[0] ?? '',
      /`top_k` unsaid → 5/,
    );
    assert.doesNotMatch(told(side(vllm({ top_k: 5 }), config('2')), side(vllm(), config('1')))[0] ?? '', /→/);
  });

  test('is not told of where it is the same, where nothing in it goes unread, and where it is read', () => {
    assert.deepEqual(told(side(vllm({}), config('1')), side(vllm({}), config('1'))), []);
    const same = vllm({ top_k: 5 });
    assert.deepEqual(told(side(same, config('2')), side(same, config('1'))), []);
    const auto = { effective: { generation_config: 'auto' } };
    assert.deepEqual(told(side(auto, config('2')), side(auto, config('1'))), []);
  });

  test('can be the model’s chat template', () => {
    const overridden = { effective: { generation_config: 'auto', chat_template_sha256: '0' } };
    const [message = ''] = told(
      side(overridden, [file('chat_template.jinja', '2')]),
      side(overridden, [file('chat_template.jinja', '1')]),
    );
    assert.match(message, /not measured under `--chat-template`/);
  });
});

describe('a run as it is served', () => {
  test('tells what was set all the same, what the model says, what was left out and what could be held', () => {
    const [notice] = asServed({
      record: side({
        effective: { 'sampling.temperature': 0.6 },
        served: { defaults: 'as-served', dropped: ['--port'], overruled: ['--dtype'] },
      }),
      relations: [
        { relation: 'rerun', status: 'held' },
        { relation: 'prefix-cache', status: 'measured' },
        { relation: 'batch', status: 'unmeasured' },
      ],
    });
    assert.equal(notice?.title, 'Measured as it is served');
    for (const part of [
      /`disable_log_stats: false` \(the witnesses/,
      /`VLLM_ENABLE_V1_MULTIPROCESSING=0` \(/,
      /it is `temperature` 0\.6\./,
      /could be held to a requirement: `rerun`; only looked at: `prefix-cache`; unmeasured, each with its reason: `batch`\./,
      /Left out of the command line.*: --port\./,
      /Given way to `engine\.args`: --dtype\./,
    ])
      assert.match(notice.message, part);
  });

  test('is not told of any other', () => {
    assert.deepEqual(asServed({ record: side({}), relations: [] }), []);
  });
});

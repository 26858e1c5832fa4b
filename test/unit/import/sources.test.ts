import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { UserError } from '../../../src/errors.ts';
import { casesOf } from '../../../src/explain/case-of-record.ts';
import { sources } from '../../../src/import/index.ts';
import { Problems } from '../../../src/import/problems.ts';
import { recordOf } from '../../../src/import/record.ts';
import type { Taken } from '../../../src/import/source.ts';
import { completed } from '../../../src/import/unknown.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { packRecord, parseRecord } from '../../../src/record/parse.ts';

/** What the sources take of a folder, each its own, and what is wrong with it. */
async function taken(files: Readonly<Record<string, string>>) {
  const problems = new Problems();
  let left = Object.keys(files).sort();
  const all: (Taken & { readonly by: string })[] = [];
  for (const { name, take } of sources) {
    const own = await take({ path: 'x', files: left, text: async (file) => files[file] }, problems);
    left = left.filter((file) => !own.files.includes(file));
    if (own.files.length > 0) all.push({ by: name, ...own });
  }
  let wrong: readonly string[] = [];
  try {
    problems.refuse();
  } catch (error) {
    wrong = (error as UserError).places.map(({ file, line, message }) => `${file}:${line} ${message}`);
  }
  return { all, left, wrong };
}

/** The record of a run, as it would be read again. */
function recordIn({ runs: [run] }: Taken) {
  assert.ok(run);
  const record = recordOf(run);
  const { text, passes, software } = packRecord(record);
  const bodies = new Map([...passes, ...software].map((bytes) => [sha256(bytes), bytes]));
  return parseRecord(text, 'here', (digest) => bodies.get(digest) ?? assert.fail(digest));
}

const chat = (content: string, more: object = {}) => ({
  object: 'chat.completion',
  model: 'm',
  created: 1_700_000_000,
  choices: [
    {
      index: 0,
      finish_reason: 'stop',
      message: { role: 'assistant', content },
      logprobs: { content: [{ token: 'a', logprob: -0.5, top_logprobs: [] }] },
      token_ids: [17],
    },
  ],
  prompt_token_ids: [1, 2],
  ...more,
});

describe('responses', () => {
  test('one in a file: tokens, log-probabilities and text, the model’s name, and nothing that is not told', async () => {
    const { all, wrong } = await taken({ 'a.json': JSON.stringify(chat('blue')), 'package.json': '{}' });
    assert.deepEqual(wrong, []);
    const [own] = all;
    assert.ok(own);
    const record = recordIn(own);
    assert.deepEqual(
      record.observations[0]?.channels.map(({ name, count }) => [name, count]),
      [
        ['prompt-tokens', 2],
        ['tokens', 1],
        ['told-logprobs', 1],
        ['text', 4],
      ],
    );
    assert.equal(record.fingerprint.declared.model.label, 'm');
    assert.equal(record.createdAt, '2023-11-14T22:13:20.000Z');
    const facts = casesOf(record, 'a')[0]?.facts;
    assert.ok(!facts?.has('GPU count') && !facts?.has('driver'), 'a machine that nobody told is no CPU');
  });

  test('one a line, as the batch API writes them; runs that ask the same are one suite', async () => {
    const line = (id: string, text: string) =>
      JSON.stringify({ custom_id: id, response: { status_code: 200, body: chat(text) } });
    const { all, wrong } = await taken({
      'a.jsonl': `${line('sky', 'blue')}\n${line('sea', 'green')}\n`,
      'b.jsonl': `${line('sky', 'blue')}\n${line('sea', 'grey')}\n`,
    });
    assert.deepEqual(wrong, []);
    const runs = all[0]?.runs ?? [];
    assert.equal(new Set(runs.map(({ suite }) => suite)).size, 1);
    assert.deepEqual(
      runs[0]?.answers.map(({ prompt }) => prompt),
      ['sky', 'sea'],
    );
  });

  test('what is broken is told with its line, and other JSON is left alone', async () => {
    const { wrong, left } = await taken({
      'a.jsonl': `${JSON.stringify(chat('x'))}\n{"object": "chat.completion", "choices": []}\n{"cut`,
      'b.json': '{"object": "chat.completion",\n "choices": [',
      'c.json': '{"other": 1}',
    });
    assert.deepEqual(left, ['c.json']);
    assert.deepEqual(
      wrong.map((one) => one.split(' ')[0]),
      ['x/a.jsonl:3', 'x/b.json:2'],
    );
    const broken = await taken({ 'a.json': JSON.stringify(chat('x', { choices: [{ token_ids: [-1] }] })) });
    assert.match(broken.wrong.join(), /`choices\.0\.token_ids\.0`/);
    const uneven = await taken({
      'a.json': JSON.stringify(
        chat('x', { choices: [{ token_ids: [1, 2], logprobs: { token_logprobs: [-1] }, text: 'x' }] }),
      ),
    });
    assert.match(uneven.wrong.join(), /has 1 log-probabilities of 2 tokens/);
  });

  test('what is deep or has half a character is refused, not read', async () => {
    const deep = `{"object": "chat.completion", "choices": ${'['.repeat(5000)}${']'.repeat(5000)}}`;
    assert.match((await taken({ 'a.json': deep })).wrong.join(), /nested deeper/);
    const half = `{"object": "chat.completion", "choices": [{"text": "\\ud800"}]}`;
    assert.match((await taken({ 'a.json': half })).wrong.join(), /half of a surrogate pair/);
  });
});

const ENV = `Collecting environment information...
PyTorch version              : 2.7.0+cu126
CUDA used to build PyTorch   : 12.6
OS                           : Ubuntu 22.04.4 LTS (x86_64)
Python version               : 3.12.10 (main) [GCC 11.4.0] (64-bit runtime)
Python platform              : Linux-5.15.0-1064-x86_64-with-glibc2.35
GPU models and configuration :
GPU 0: NVIDIA H100 80GB HBM3
GPU 1: NVIDIA H100 80GB HBM3
Nvidia driver version        : 550.90.07
cuDNN version                : Could not collect
Model name:                      Intel(R) Xeon(R) Platinum 8480C
[pip3] numpy==2.2.5
[pip3] nvidia-nccl-cu12==2.26.2
vLLM Version                 : 0.9.0
`;

const SMI = `<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<driver_version>550.54.15</driver_version>
	<cuda_version>12.4</cuda_version>
	<gpu id="00000000:01:00.0">
		<product_name>NVIDIA A100-SXM4-80GB</product_name>
		<uuid>GPU-1</uuid>
		<vbios_version>92.00.45</vbios_version>
		<fb_memory_usage><total>81920 MiB</total></fb_memory_usage>
	</gpu>
</nvidia_smi_log>
`;

describe('environments', () => {
  test('what `vllm collect-env` printed', async () => {
    const { all, wrong } = await taken({ 'env.txt': ENV, 'notes.txt': 'nothing' });
    assert.deepEqual(wrong, []);
    const fingerprint = all[0]?.environments[0]?.fingerprint;
    assert.deepEqual(
      fingerprint?.ambient.gpus.map(({ name }) => name),
      ['NVIDIA H100 80GB HBM3', 'NVIDIA H100 80GB HBM3'],
    );
    assert.equal(fingerprint?.ambient.driver, '550.90.07');
    assert.equal(fingerprint?.ambient.kernel, '5.15.0-1064');
    assert.deepEqual(fingerprint?.declared.engine, { name: 'vllm', version: '0.9.0' });
    assert.deepEqual(fingerprint?.declared.libraries, {
      torch: '2.7.0+cu126',
      python: '3.12.10',
      cuda: '12.6',
      numpy: '2.2.5',
      nccl: '2.26.2',
    });
  });

  test('what `nvidia-smi -q -x` printed; cut off, or with entities of its own, it is refused', async () => {
    const { all, wrong } = await taken({ 'smi.xml': SMI });
    assert.deepEqual(wrong, []);
    const ambient = all[0]?.environments[0]?.fingerprint.ambient;
    assert.equal(ambient?.driver, '550.54.15');
    assert.deepEqual(ambient?.gpus, [
      {
        ...{ name: 'NVIDIA A100-SXM4-80GB', computeCapability: 'unknown', smCount: 'unknown' },
        ...{ memoryBytes: 81920 * 1024 ** 2, vendor: 'nvidia', vbios: '92.00.45' },
        uuidHash: sha256('GPU-1').slice(0, 16),
      },
    ]);
    assert.match((await taken({ 'smi.xml': SMI.slice(0, 300) })).wrong.join(), /smi\.xml:\d+ ends before/);
    assert.match(
      (await taken({ 'smi.xml': SMI.replace('<gpu', '<!ENTITY a "b"><gpu') })).wrong.join(),
      /declares entities/,
    );
  });

  test('of two the run’s own counts, and what only the other tells is added', async () => {
    const [env] = (await taken({ 'env.txt': ENV })).all;
    const [smi] = (await taken({ 'smi.xml': SMI.replace(/<gpu id[\s\S]*<\/gpu>/, '$&$&') })).all;
    const [own, beside] = [env?.environments[0], smi?.environments[0]];
    assert.ok(own && beside);
    const { ambient } = completed(own, beside).fingerprint;
    assert.equal(ambient.driver, '550.90.07');
    assert.deepEqual(
      ambient.gpus.map(({ name, vbios }) => [name, vbios]),
      [
        ['NVIDIA H100 80GB HBM3', '92.00.45'],
        ['NVIDIA H100 80GB HBM3', '92.00.45'],
      ],
    );
  });
});

test('per-sample logs of lm-evaluation-harness, with the results beside them', async () => {
  const time = '2025-05-01T10-20-30.123456';
  const sample = (doc: number, resps: unknown, filter = 'none') =>
    JSON.stringify({
      doc_id: doc,
      doc: {},
      arguments: [['question', 'answer']],
      resps,
      filter,
      prompt_hash: `p${doc}`,
    });
  const { all, wrong } = await taken({
    [`samples_arc_${time}.jsonl`]: `${sample(0, [[['-1.5', 'True']], [[-2, false]]])}\n${sample(0, [[['-1.5', 'True']]], 'other')}\n`,
    [`samples_gsm8k_${time}.jsonl`]: `${sample(0, [['42']])}\n`,
    [`results_${time}.json`]: JSON.stringify({
      config: { model: 'vllm', model_args: 'pretrained=m,dtype=half,tensor_parallel_size=2' },
      model_name: 'm',
      pretty_env_info: ENV,
      transformers_version: '4.51.3',
    }),
  });
  assert.deepEqual(wrong, []);
  const [arc, gsm] = all[0]?.runs ?? [];
  assert.deepEqual(
    [arc?.suite, arc?.answers.length, arc?.answers[0]?.channels.map(({ name }) => name)],
    ['lm-eval-arc', 1, ['told-logprobs']],
  );
  assert.deepEqual(gsm?.answers[0]?.channels, [{ name: 'text', kind: 'text', text: '42' }]);
  assert.equal(arc?.createdAt, '2025-05-01T10:20:30Z');
  assert.equal(arc?.environment.settings.requested['dtype'], 'half');
  assert.equal(arc?.environment.fingerprint.ambient.driver, '550.90.07');
  assert.ok(arc);
  recordIn({ files: [], environments: [], runs: [arc] });
  const broken = await taken({
    'samples_x.jsonl': `${sample(0, [['1']])}\n${JSON.stringify({ doc_id: 1 })}\n`,
  });
  assert.match(broken.wrong.join(), /samples_x\.jsonl:2 `resps`/);
});

test('every source has a name of its own and says what it reads', () => {
  assert.equal(new Set(sources.map(({ name }) => name)).size, sources.length);
  for (const { what } of sources) assert.ok(what.length > 20);
});

describe('a broken file of JSON', () => {
  const completion = (logprobs: object) => ({
    ...{ object: 'text_completion', model: 'm' },
    choices: [{ index: 0, text: 'hi', logprobs }],
  });
  const whole = { tokens: ['h', 'i'], token_logprobs: [-0.5, -1] };
  const named = async (text: string) => (await taken({ 'r.jsonl': text })).wrong;
  const one = JSON.stringify(completion(whole));

  test('is told by the line of its first mistake', async () => {
    assert.deepEqual(await named(`${one}\n`), []);
    for (const [text, line] of [
      [`${one.replace('-0.5', 'NaN')}\n`, 1],
      [`${one}\n${one.replace('-0.5', 'NaN')}\n${one}\n`, 2],
      [`${one.slice(0, -1)}\n`, 1],
      [JSON.stringify(completion(whole), null, 1).replace('"m"', 'm'), 3],
      [JSON.stringify(completion(whole), null, 1).replace('"hi",', '"hi"'), 8],
      [JSON.stringify(completion(whole), null, 1).replace('"hi"', '"h\ni"'), 7],
    ] as const) {
      const wrong = await named(text);
      assert.equal(wrong.length, 1, text);
      assert.match(wrong[0] ?? '', new RegExp(`^x/r\\.jsonl:${line} is no JSON: \\S`), text);
      assert.doesNotMatch(wrong[0] ?? '', /is not valid JSON|position/);
    }
  });

  test('is none that has fewer log-probabilities than tokens', async () => {
    const wrong = await named(JSON.stringify(completion({ ...whole, token_logprobs: [-0.5] })));
    assert.match(
      wrong.join(),
      /x\/r\.jsonl:1 `choices\.0\.logprobs`: has not as many `token_logprobs` as `tokens`/,
    );
  });
});

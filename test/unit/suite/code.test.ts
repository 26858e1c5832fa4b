import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { codeInArguments, pickledIn } from '../../../src/suite/code.ts';

describe('what an engine’s arguments bring along', () => {
  for (const [args, told] of [
    [{ trust_remote_code: true }, /^`trust_remote_code` runs Python that comes with the model$/],
    [{ trust_remote_code: 'yes' }, /runs Python/],
    [{ speculative_config: { trust_remote_code: 1 } }, /^`speculative_config\.trust_remote_code` runs/],
    [{ load_format: 'pt' }, /pickled weights/],
    [{ tokenizer: '/etc' }, /^`tokenizer` names a place outside of the model: \/etc$/],
    [{ tokenizer: 'owner/name' }, /outside of the model/],
    [{ tokenizer: '..' }, /outside of the model/],
    [{ download_dir: '~' }, /outside of the model/],
    [{ chat_template: './a file.jinja' }, /outside of the model/],
    [{ speculative_config: { model: 'C:\\weights' } }, /^`speculative_config\.model` names a place/],
    [{ lora_modules: [{ path: 'a/b' }] }, /^`lora_modules\.0\.path` names a place/],
    [{ logits_processors: ['os.system'] }, /^`logits_processors\.0` names code to import: os\.system$/],
    [{ scheduler_cls: 'evil.module.Scheduler' }, /code to import/],
    [{ worker_cls: 'evil.module:Worker' }, /code to import/],
  ] as const)
    test(JSON.stringify(args), () => {
      const [first, ...more] = codeInArguments(args);
      assert.match(first ?? '', told);
      assert.deepEqual(more, []);
    });

  test('is nothing where they only tune', () =>
    assert.deepEqual(
      codeInArguments({
        ...{ dtype: 'bfloat16', max_model_len: 1024, trust_remote_code: false, load_format: 'auto' },
        ...{ attention_config: { backend: 'FLASH_ATTN' }, seed: 0, quantization: null, name: 'v1.5 or so' },
        chat_template: '{% for m in messages %}\n{{ m }} / {{ m }}\n{% endfor %}',
      }),
      [],
    ));

  test('is cut where it is long', () =>
    assert.ok((codeInArguments({ a: `/${'x'.repeat(200_000)}` })[0]?.length ?? 0) < 200));
});

test('files of a model that can hold a program', () => {
  const files = [
    'model.safetensors',
    'a/pytorch_model.BIN',
    'x.pt',
    'x.pth',
    'x.ckpt',
    'x.pkl',
    'bin',
    'x.json',
  ];
  assert.deepEqual(pickledIn(files.map((path) => ({ path }))), files.slice(1, 6));
});

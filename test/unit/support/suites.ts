import assert from 'node:assert/strict';
import { UserError } from '../../../src/errors.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import type { LoadedSuite } from '../../../src/suite/loaded.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import type { PromptContent } from '../../../src/suite/schema.ts';

/** The suite of the issue that started this project, with its blanks filled in. */
export const SAMPLE = `apiVersion: deterministic-ml/v1
name: smollm2-serving
model: { id: HuggingFaceTB/SmolLM2-135M-Instruct, revision: ${'a1'.repeat(20)} }
engine: { name: vllm, args: { dtype: bfloat16, max_model_len: 1024 } }
runtime: { image: vllm/vllm-openai@sha256:${'b2'.repeat(32)} , gpus: 1 }
sampling: { temperature: 0, max_tokens: 64, seed: 0 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
  - { id: essay, file: prompts/essay.txt }
relations: [rerun, baseline]
`;

/** What parsing `source` complains about, as `line:column  message`. */
export function problemsOf(source: string): string[] {
  const error = thrownBy(() => parseSuite(source, 'suite.yml', SUITE_SCHEMA));
  assert.equal(error.code, 'suite-invalid');
  return error.places.map(({ line, column, message }) => `${line}:${column}  ${message}`);
}

export function thrownBy(work: () => unknown): UserError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof UserError, `not a UserError: ${String(error)}`);
    return error;
  }
  assert.fail('nothing was thrown');
}

export async function rejectedBy(work: Promise<unknown>): Promise<UserError> {
  try {
    await work;
  } catch (error) {
    assert.ok(error instanceof UserError, `not a UserError: ${String(error)}`);
    return error;
  }
  assert.fail('nothing was thrown');
}

/** A prompt as tests write it: its id and its content. */
export type PromptInput = { readonly id: string } & PromptContent;

/** A suite whose prompts were read in, as the plan gets it; all with the suite's own sampling. */
export function loaded(source: string, prompts: readonly PromptInput[]): LoadedSuite {
  const parsed = parseSuite(source, 'suite.yml', SUITE_SCHEMA);
  const { sampling, score, model } = parsed.suite;
  return {
    ...parsed,
    prompts: prompts.map(({ id, ...content }) => ({ id, content, sampling })),
    texts: score.map(({ id, text = '' }) => ({ id, content: { text } })),
    modelFolder: model.path === undefined ? undefined : { path: `/repository/${model.path}`, lies: 'inside' },
  };
}

import { collectEnv } from './collect-env.ts';
import { lmEval } from './lm-eval.ts';
import { nvidiaSmi } from './nvidia-smi.ts';
import { openai } from './openai.ts';
import { predecessor } from './predecessor.ts';
import type { ImportSource } from './source.ts';

/** Every program whose results can be imported; in a folder each takes its own files, in this order. */
export const sources: readonly ImportSource[] = [
  // In the order in which the documents list them.
  predecessor,
  openai,
  lmEval,
  collectEnv,
  nvidiaSmi,
];

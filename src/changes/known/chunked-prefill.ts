import { real, withArgs } from '../make.ts';

export const chunkedPrefill = real(
  'chunked-prefill',
  'long prompts cut into pieces of 64 tokens',
  'a text of more than 64 tokens',
  false,
  (s) => withArgs(s, s.plan.engine.changes.chunkedPrefill),
);

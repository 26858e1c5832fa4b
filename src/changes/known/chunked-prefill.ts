import { recut, withArgs } from '../make.ts';

export const chunkedPrefill = recut(
  'chunked-prefill',
  'long prompts cut into pieces of 64 tokens',
  'a text of more than 64 tokens',
  (s) => withArgs(s, s.plan.engine.changes.chunkedPrefill),
);

import { inModel, real } from '../make.ts';

export const tokenizerMerge = real(
  'tokenizer-merge',
  'one merge rule of the tokenizer',
  'texts with common words',
  false,
  (subject) => inModel(subject, { kind: 'tokenizer-merge' }),
);

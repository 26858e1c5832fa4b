import type { Surface } from './surface.ts';

/** What the numbers may depend on here: only programs ask. */
export const fingerprint: Surface = {
  name: 'fingerprint',
  fingerprint: { json: (facts) => ({ schema: 'deterministic-ml/fingerprint-answer/v1', ...facts }) },
};

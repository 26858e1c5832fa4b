import type { Surface } from './surface.ts';

export const verification: Surface = {
  name: 'verification',
  verification: {
    terminal: ({ lines }) => lines,
    json: ({ agrees, checked, disagreements }) => ({
      schema: 'deterministic-ml/verify/v1',
      ...{ agrees, checked, disagreements },
    }),
  },
};

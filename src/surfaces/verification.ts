import type { Surface } from './surface.ts';

export const verification: Surface = {
  name: 'verification',
  verification: { terminal: ({ lines }) => lines, json: (verification) => verification },
};

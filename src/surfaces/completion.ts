import type { Surface } from './surface.ts';

/** A script for a shell, all of it our own: a cut one would do something else. */
export const completion: Surface = {
  name: 'completion',
  completion: { terminal: ({ script }) => script.trimEnd().split('\n'), json: (completion) => completion },
};

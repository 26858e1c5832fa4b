/** What is asked of a model that gives a vector for each text, and no tokens. */
export const TASKS = ['embed', 'reward'] as const;
export type Task = (typeof TASKS)[number];

type Depth = 'full' | 'score';

/** A model that gives vectors decodes nothing. */
export const depthOf = ({
  task,
  depth,
}: {
  readonly task?: Task | undefined;
  readonly depth: Depth;
}): Depth => (task === undefined ? depth : 'score');

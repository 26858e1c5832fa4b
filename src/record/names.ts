export const RECORD_SCHEMA = 'deterministic-ml/record/v2';

/** What a pass does with its prompts; each kind is a small module of the harness. */
export const PASS_KINDS = ['generate', 'force', 'score', 'trace'] as const;

/**
 * How a pass arranges them. `alone`: one request at a time, cold. `again`: the same once more. `together`: all at
 * once. `reversed`: all at once, submitted in reverse. `strangers`: each beside texts of ours, one of them long.
 * `warm`: alone, its prompt in the prefix cache. `noise`: alone, and what each module gives is rounded once more.
 * `samples`: for one token each, again and again, several at a time.
 */
export const ARRANGEMENTS = [
  'alone',
  'again',
  'together',
  'reversed',
  'strangers',
  'warm',
  'noise',
  'samples',
] as const;

/** As another program arranged them, which did not say how. No pass of ours is so. */
export const UNTOLD = 'untold';

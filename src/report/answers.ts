import { z } from 'zod';

/*
 * What commands without a surface of their own give a program (`--json`), one schema each: `schema/` has them.
 */

const Explained = z.strictObject({
  code: z.string(),
  /** An error ends a run without an answer; a conclusion is the answer. */
  of: z.enum(['error', 'conclusion']),
  what: z.string(),
  meaning: z.string(),
  next: z.string(),
});
export type Explained = z.infer<typeof Explained>;

/** Of `why`. */
export const WhyAnswer = z.strictObject({
  schema: z.literal('deterministic-ml/why/v1'),
  codes: z.array(Explained).min(1),
});
export type WhyAnswer = z.infer<typeof WhyAnswer>;

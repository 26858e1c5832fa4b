import { z } from 'zod';

const count = z.number().int().nonnegative();

/** `given`: the tokens were not chosen but given, by force, score or trace. */
export const FinishReason = z.enum(['stop', 'length', 'abort', 'unknown', 'given']);
export type FinishReason = z.infer<typeof FinishReason>;

/** What the scheduler did with one request of a pass, read from each of its schedules. */
export const RequestWitness = z.strictObject({
  id: z.string().max(128),
  /** Place in the order in which the scheduler first took the pass's requests up, from 0. */
  order: count,
  /** Most requests in one step together with this one, itself included. */
  together: count,
  /** Tokens of each of its prefill steps: where a long prompt was cut. The first 256. */
  chunks: z.array(count).max(256),
  /** Steps in which it decoded. */
  decodeSteps: count,
  /** Prompt tokens that came from the prefix cache. */
  cachedTokens: count,
});
export type RequestWitness = z.infer<typeof RequestWitness>;

/**
 * What the engine itself said while the pass ran, not what it was asked to do. A figure that the engine does
 * not tell is null, and a relation that needs it is unmeasured.
 */
export const Witness = z.strictObject({
  /** Process that ran the model's forward pass, and when it started (clock ticks since boot). */
  process: z.string().max(128),
  /** Scheduler steps that the engine made during this pass. */
  steps: count.nullable(),
  /** Tokens that the engine's own counter says it generated during this pass. */
  generatedTokens: count.nullable(),
  /** Prompt tokens that the engine's own counter says it processed during this pass. */
  promptTokens: count.nullable(),
  /** Most requests that the scheduler put into one step; its gauge of running ones where it cannot be watched. */
  maxRunning: count.nullable(),
  /** Prompt tokens taken from the prefix cache. */
  cachedTokens: count.nullable(),
  preemptions: count.nullable(),
  /** Rows of its forward passes that belong to no token of a request; left out where the engine does not tell. */
  padding: count.optional(),
  /** Every request, observed or not, in the order of its submission; null where the scheduler cannot be watched. */
  requests: z.array(RequestWitness).nullable(),
});
export type Witness = z.infer<typeof Witness>;

import { digestJson } from './digest.ts';
import type { Observation, RunRecord } from './schema.ts';

/** The bits that an observation is judged by; its place in the run, its text and its timing are not among them. */
export function outcomeOf(observation: Observation) {
  const { prompt, input, promptTokens, tokens, logprobs, topK, finishReason } = observation;
  return { prompt, input, promptTokens, tokens, logprobs, topK, finishReason };
}

/**
 * Digest of what a record computed, whenever and wherever it did: two runs with the same bits have the same
 * one, so it names an outcome in baseline keys, envelopes and acceptances.
 */
export function outcomeDigest(record: RunRecord): string {
  return digestJson(firstObservations(record).map(outcomeOf));
}

/** The first observation of each prompt, in the suite's order: what stands for the record. */
export function firstObservations(record: RunRecord): Observation[] {
  const first = new Map<string, Observation>();
  for (const observation of record.observations)
    if (!first.has(observation.prompt)) first.set(observation.prompt, observation);
  return record.suite.prompts.flatMap(({ id }) => first.get(id) ?? []);
}

import { digestJson } from './digest.ts';
import { PASS_KINDS } from './names.ts';
import type { Observation, RunRecord } from './schema.ts';
import { aloneOf, type Computed, lifetimesOf, observationsOf } from './select.ts';

/** What says nothing of a model's bits that other channels do not: its text, and how far its modules are from others. */
const UNJUDGED: readonly string[] = ['text', 'roles'];

/**
 * The bits that an observation is judged by; its place in the run and its timing are not among them, and its text only where
 * nothing tells the tokens that it is made of.
 */
export function outcomeOf({ prompt, input, finishReason, channels }: Observation) {
  const hasTokens = channels.some(({ name }) => name === 'tokens');
  return {
    prompt,
    input,
    finishReason,
    channels: channels.filter(({ name }) => !UNJUDGED.includes(name) || (name === 'text' && !hasTokens)),
  };
}

/**
 * Digest of what a record computed, whenever and wherever it did: two runs with the same bits have the same
 * one, so it names an outcome in baseline keys, envelopes and acceptances. The first lifetime stands for the record.
 */
export function outcomeDigest(record: RunRecord): string {
  const [first] = lifetimesOf(record);
  return outcomeIn(record, first?.lifetime ?? '');
}

/** One for each lifetime, in their order; a lifetime that only traces has none. */
export function outcomeDigests(record: Computed): string[] {
  return outcomesOf(record).map(({ outcome }) => outcome);
}

/** The same by the lifetime that gave it. */
export const outcomesOf = (record: Computed): { readonly lifetime: string; readonly outcome: string }[] =>
  lifetimesOf(record).map(({ lifetime }) => ({ lifetime, outcome: outcomeIn(record, lifetime) }));

/** Prompts by their id: the order in which a suite lists them computes nothing. */
function outcomeIn(record: Computed, lifetime: string): string {
  const alone = PASS_KINDS.flatMap((kind) =>
    aloneOf(record, lifetime, kind).map((one) => ({ kind, ...outcomeOf(one) })),
  );
  // Samples are others each time: an outcome only where there is nothing else, so that it is never that of nothing at all.
  const all =
    alone.length > 0
      ? alone
      : observationsOf(record, { lifetime, arrangement: 'samples' }).map((one) => ({
          kind: 'generate' as const,
          ...outcomeOf(one),
        }));
  // Stable: of one prompt the kinds stay in the order above.
  return digestJson(all.sort((a, b) => (a.prompt < b.prompt ? -1 : a.prompt > b.prompt ? 1 : 0)));
}

/** What the first lifetime generated of each prompt alone, in the suite's order: what a reader is shown. */
export function firstObservations(record: RunRecord): Observation[] {
  const [lifetime] = lifetimesOf(record);
  const first = new Map<string, Observation>();
  for (const observation of aloneOf(record, lifetime?.lifetime ?? '', 'generate'))
    if (!first.has(observation.prompt)) first.set(observation.prompt, observation);
  return record.suite.prompts.flatMap(({ id }) => first.get(id) ?? []);
}

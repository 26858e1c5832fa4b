import { countOf } from '../../record/channels.ts';
import type { Lifetime, RunRecord } from '../../record/schema.ts';
import type { Side } from '../../record/side.ts';
import type { Pair, Pairing, PassNeed, Relation } from '../types.ts';
import { exercised, find, objection, type Seen, share, unwatched } from './witness.ts';

/** Decoding tokens one by one gives the log-probabilities that prefilling the same tokens at once gives. */
export const prefill: Relation = {
  name: 'prefill',
  what: 'decoding tokens one by one gives the log-probabilities that prefilling them at once gives',
  witness: 'so many decode steps, and then none',
  sides: ['decoded', 'prefilled'],
  byDefault: false,
  decoding: true,
  breaks: { means: 'broken' },
  ofRefresh: 'never',
  requires: (batchInvariant) => (batchInvariant ? 'identical' : 'measure'),
  needs: (depth): PassNeed[] =>
    depth === 'full'
      ? [
          { kind: 'generate', arrangement: 'alone' },
          { kind: 'force', arrangement: 'alone' },
          { kind: 'score', arrangement: 'alone' },
        ]
      : [],
  lifetimes: 1,
  pair(run: Side): Pairing {
    const { record } = run;
    for (const lifetime of record.lifetimes) {
      const scored = find(record, lifetime, 'score', 'alone');
      const decoded = decodedIn(record, lifetime);
      if (scored !== undefined && decoded.length > 0) return between(run, decoded, scored);
    }
    return { kind: 'unmeasured', reason: 'no lifetime holds the same tokens decoded and scored' };
  },
};

/** Forced tokens first: they are those that were scored. What was generated may be others. */
const decodedIn = (record: RunRecord, lifetime: Lifetime) =>
  (['force', 'generate'] as const).flatMap((kind) => find(record, lifetime, kind, 'alone') ?? []);

function between(run: Side, decoded: readonly Seen[], scored: Seen): Pairing {
  const wrong = objection(scored);
  if (wrong !== undefined) return { kind: 'unmeasured', reason: wrong };
  const usable = decoded.filter((one) => objection(one) === undefined);
  const prompts = new Set(usable.flatMap(({ observations }) => [...observations.keys()]));
  const pairs = [...prompts].flatMap((prompt): Pair[] => {
    const from = usable.find(({ observations }) => observations.has(prompt));
    const left = from?.observations.get(prompt);
    if (from === undefined || left === undefined) return [];
    const { kind } = from.pass;
    const rightTail = scored.observations.get(prompt);
    if (rightTail === undefined)
      return [{ prompt, kind, unmeasured: `${scored.pass.pass} has no observation of it` }];
    const why = doubt(prompt, from, scored);
    return [why === undefined ? { prompt, kind, left, rightTail } : { prompt, kind, unmeasured: why }];
  });
  return exercised(
    pairs,
    (compared) => `${share(compared, prompts.size)} were decoded step by step, and scored without decoding`,
    run,
    decoded.map(objection).find((reason) => reason !== undefined) ?? 'nothing was observed',
  );
}

function tokensIn({ observations }: Seen, prompt: string): number {
  const one = observations.get(prompt);
  return one === undefined ? 0 : countOf(one, 'tokens');
}

/** Most prefill steps that a witness lists. */
const MAX_CHUNKS = 256;

function doubt(prompt: string, decoded: Seen, scored: Seen): string | undefined {
  const why = unwatched([decoded, scored], prompt);
  if (why !== undefined) return why;
  const steps = tokensIn(decoded, prompt);
  // The first token comes out of the prefill.
  if (steps < 2) return 'fewer than two tokens were decoded: the first comes out of the prefill';
  const decodes = decoded.requests?.get(prompt)?.decodeSteps ?? 0;
  if (decodes < steps - 1)
    return `${decoded.pass.pass} returned ${steps} tokens of it in ${decodes} decode steps`;
  const score = scored.requests?.get(prompt);
  if (score === undefined || score.decodeSteps > 0) return `${scored.pass.pass} decoded some of it`;
  const sequence = tokensIn(scored, prompt) + 1;
  const prefilled = score.chunks.reduce((sum, chunk) => sum + chunk, 0);
  if (prefilled >= sequence) return undefined;
  return score.chunks.length >= MAX_CHUNKS
    ? `${scored.pass.pass} cut it into more pieces than the witness lists`
    : `${scored.pass.pass} prefilled ${prefilled} of its ${sequence} tokens`;
}

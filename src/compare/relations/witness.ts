import { countOf } from '../../record/channels.ts';
import type { Lifetime, Observation, Pass, PassKind, RunRecord } from '../../record/schema.ts';
import type { Side } from '../../record/side.ts';
import type { RequestWitness } from '../../record/witness.ts';
import type { Pair, Pairing } from '../types.ts';

/** What the witness says where nobody knows which process ran the model. */
export const UNKNOWN = 'unknown';

/** What a pass gave, by prompt; and what its witness says of each request, where the scheduler could be watched. */
export interface Seen {
  readonly lifetime: string;
  readonly pass: Pass;
  readonly observations: ReadonlyMap<string, Observation>;
  readonly requests: ReadonlyMap<string, RequestWitness> | undefined;
}

function seen(record: RunRecord, { lifetime }: Lifetime, pass: Pass): Seen {
  const { requests } = pass.witness;
  const observations = new Map<string, Observation>();
  for (const one of record.observations)
    if (one.pass === pass.pass && one.lifetime === lifetime) observations.set(one.prompt, one);
  return {
    lifetime,
    pass,
    observations,
    requests: requests === null ? undefined : new Map(requests.map((one) => [one.id, one])),
  };
}

/** The pass of a kind and arrangement in a lifetime; undefined where it was not asked for. */
export function find(
  record: RunRecord,
  lifetime: Lifetime,
  kind: PassKind,
  arrangement: Pass['arrangement'],
): Seen | undefined {
  const pass = lifetime.passes.find((one) => one.kind === kind && one.arrangement === arrangement);
  return pass === undefined ? undefined : seen(record, lifetime, pass);
}

/**
 * What a pass's witness says that cannot be: it is then no witness of anything. Also why the pass was not done at
 * all. Undefined where there is nothing to object to.
 */
export function objection({ pass, observations, requests }: Seen): string | undefined {
  const { pass: name, kind, groups, unavailable, witness } = pass;
  if (unavailable !== null) return `${name} is unavailable: ${unavailable}`;
  let returned = 0;
  for (const one of observations.values()) returned += countOf(one, 'tokens');
  // A score's positions are the prompt tokens of its requests, but for the first.
  const counter = kind === 'score' ? witness.promptTokens : witness.generatedTokens;
  if (counter !== null && counter < returned)
    return `${name} returned ${returned} tokens but the engine's counter shows ${counter}`;
  const sizes = new Map<string, number>();
  for (const group of groups) for (const id of group) sizes.set(id, group.length);
  for (const { id, together, cachedTokens } of requests?.values() ?? []) {
    const size = sizes.get(id);
    if (size !== undefined && together > size)
      return `${name} tells of ${together} requests in one step with \`${id}\`, which was submitted with ${size - 1} others`;
    const of = observations.get(id);
    const most =
      of === undefined
        ? undefined
        : countOf(of, 'prompt-tokens') + (kind === 'score' ? countOf(of, 'tokens') : 0);
    if (most !== undefined && cachedTokens > most)
      return `${name} tells of ${cachedTokens} cached tokens of \`${id}\`, which has ${most}`;
  }
  return undefined;
}

/** Why what a request did is not known; undefined where it is. */
export function unwatched(passes: readonly Seen[], prompt: string): string | undefined {
  const blind = passes.find(({ requests }) => !requests?.has(prompt));
  return blind && `the engine does not tell what its scheduler did with it in ${blind.pass.pass}`;
}

/** Pairs that mean something; unmeasured, with the first reason, where there is none. */
export function exercised(
  pairs: readonly Pair[],
  evidence: (compared: number) => string,
  side: Side,
  otherwise: string,
): Pairing {
  const compared = pairs.filter((pair) => !('unmeasured' in pair)).length;
  if (compared > 0)
    return { kind: 'exercised', evidence: evidence(compared), pairs, left: side, right: side };
  const first = pairs.find((pair) => 'unmeasured' in pair);
  return { kind: 'unmeasured', reason: first?.unmeasured ?? otherwise };
}

/** `n of m prompts`. */
export const share = (some: number, all: number) => `${some} of ${all} prompts`;

/** The same work in both passes: one pair for each prompt that both observed. */
export function pairsOf(left: Seen, right: Seen, note?: string): Pair[] {
  return [...left.observations].flatMap(([prompt, one]): Pair[] => {
    const other = right.observations.get(prompt);
    const base = { prompt, kind: left.pass.kind, ...(note === undefined ? {} : { note }) };
    return other === undefined
      ? [{ ...base, unmeasured: `${right.pass.pass} has no observation of it` }]
      : [{ ...base, left: one, right: other }];
  });
}

/** The same, of two passes that prove nothing. */
export function unproven(left: Seen, right: Seen, why: string, note?: string): Pair[] {
  const prompts = new Set([...left.observations.keys(), ...right.observations.keys()]);
  return [...prompts].map((prompt) => ({
    prompt,
    kind: left.pass.kind,
    ...(note === undefined ? {} : { note }),
    unmeasured: why,
  }));
}

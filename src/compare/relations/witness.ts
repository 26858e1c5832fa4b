import { countOf } from '../../record/channels.ts';
import type { Lifetime, Observation, Pass, PassKind, RunRecord } from '../../record/schema.ts';
import type { Side } from '../../record/side.ts';
import type { RequestWitness } from '../../record/witness.ts';
import type { Pair, Pairing } from '../types.ts';

/** What the witness says where nobody knows which process ran the model. */
export const UNKNOWN = 'unknown';

/** What a pass was asked and gave. By prompt each is told when it is first asked for. */
export class Seen {
  readonly lifetime: string;
  readonly pass: Pass;
  /** In the record's order. */
  readonly given: readonly Observation[];
  #observations: ReadonlyMap<string, Observation> | undefined;
  #asked: ReadonlyMap<string, number> | undefined;
  #requests: ReadonlyMap<string, RequestWitness> | undefined;

  constructor({ observations }: RunRecord, { lifetime }: Lifetime, pass: Pass) {
    this.lifetime = lifetime;
    this.pass = pass;
    this.given = observations.filter((one) => one.pass === pass.pass && one.lifetime === lifetime);
  }

  get observations(): ReadonlyMap<string, Observation> {
    this.#observations ??= new Map(this.given.map((one) => [one.prompt, one]));
    return this.#observations;
  }

  /** With how many it was submitted, itself counted. */
  get asked(): ReadonlyMap<string, number> {
    this.#asked ??= new Map(
      this.pass.groups.flatMap((group) => group.map((id) => [id, group.length] as const)),
    );
    return this.#asked;
  }

  /** What the witness says of it; undefined where the scheduler could not be watched. */
  get requests(): ReadonlyMap<string, RequestWitness> | undefined {
    const { requests } = this.pass.witness;
    if (requests !== null) this.#requests ??= new Map(requests.map((one) => [one.id, one]));
    return this.#requests;
  }
}

/** The pass of a kind and arrangement in a lifetime; undefined where it was not asked for. */
export function find(
  record: RunRecord,
  lifetime: Lifetime,
  kind: PassKind,
  arrangement: Pass['arrangement'],
): Seen | undefined {
  const pass = lifetime.passes.find((one) => one.kind === kind && one.arrangement === arrangement);
  return pass === undefined ? undefined : new Seen(record, lifetime, pass);
}

/**
 * What a pass's witness says that cannot be: it is then no witness of anything. Also why the pass was not done at
 * all. Undefined where there is nothing to object to.
 */
export function objection(seen: Seen): string | undefined {
  const { pass: name, kind, unavailable, witness } = seen.pass;
  if (unavailable !== null) return `${name} is unavailable: ${unavailable}`;
  const returned = seen.given.reduce((sum, one) => sum + countOf(one, 'tokens'), 0);
  // A score's positions are the prompt tokens of its requests, but for the first.
  const counter = kind === 'score' ? witness.promptTokens : witness.generatedTokens;
  if (counter !== null && counter < returned)
    return `${name} returned ${returned} tokens but the engine's counter shows ${counter}`;
  for (const { id, together, cachedTokens } of witness.requests ?? []) {
    // Alone, and without a cache: most are, and none of what is asked here can be wrong with them.
    if (together <= 1 && cachedTokens === 0) continue;
    const size = seen.asked.get(id);
    if (size !== undefined && together > size)
      return `${name} tells of ${together} requests in one step with \`${id}\`, which was submitted with ${size - 1} others`;
    const of = seen.observations.get(id);
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

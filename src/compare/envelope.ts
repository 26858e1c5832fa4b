import { countOf, stepsOf } from '../record/channels.ts';
import type { Arrangement, Observation } from '../record/schema.ts';
import { aloneOf, lifetimesOf } from '../record/select.ts';
import type { Side } from '../record/side.ts';
import { compareChannels } from './channels.ts';
import { Gauge } from './distance.ts';
import { find } from './relations/witness.ts';
import type { Size } from './types.ts';

/** How far rounding alone moves a model, and how that was measured. */
export interface Floor {
  readonly nats: number;
  readonly by: 'noise' | 'batching';
}

/** Kinds of pass whose tokens are known, so that there is a distance. */
export type KnownKind = 'force' | 'score';

/** Fewer positions give an rms that says little: 128 separate int8 weights from rounding in every simulated run. */
export const MIN_POSITIONS = 128;
/** Fewer lifetimes leave open what honest ones differ by. */
const MIN_LIFETIMES = 3;
const SLACK = 1.5;

/** How large a distance may be. */
export interface Bounds {
  /** Null where nobody knows. */
  boundNats(kind: KnownKind): Promise<number | null>;
  /** Why nobody does. @param what were sequences: `scored` or `forced` */
  unknown(what: string): string;
}

/** So many times what rounding alone makes of a model. */
export class FloorBound implements Bounds {
  readonly #floor: Floor | null;
  readonly #times: number;

  constructor(floor: Floor | null, times: number) {
    this.#floor = floor;
    this.#times = times;
  }

  async boundNats(): Promise<number | null> {
    return this.#floor === null ? null : this.#times * this.#floor.nats;
  }

  unknown(): string {
    return 'neither side tells what rounding alone makes of its model, so that there is no bound';
  }
}

/**
 * What a record's own lifetimes say about distances. Computed when it is asked for, and once: it opens bodies, and a
 * comparison that finds everything identical needs none.
 */
export class Envelope implements Bounds {
  readonly #side: Side;
  readonly #bounds = new Map<KnownKind, Promise<number | null>>();
  readonly #floors = new Map<Floor['by'], Promise<number | null>>();

  constructor(side: Side) {
    this.#side = side;
  }

  /** Distance between texts scored alone and in another arrangement; null where that was not measured. */
  floorNats(by: Floor['by']): Promise<number | null> {
    const floor = this.#floors.get(by) ?? floorOf(this.#side, FLOORS[by]);
    this.#floors.set(by, floor);
    return floor;
  }

  /** What rounding alone makes of the model: of neighbours nothing is known where they change no bit. */
  async floor(): Promise<Floor | null> {
    for (const by of ['noise', 'batching'] as const) {
      const nats = await this.floorNats(by);
      if (nats !== null && (nats > 0 || by === 'batching')) return { nats, by };
    }
    return null;
  }

  /** 1.5 x the largest distance between two lifetimes; null with fewer than three. */
  boundNats(kind: KnownKind): Promise<number | null> {
    const bound = this.#bounds.get(kind) ?? boundOf(this.#side, kind);
    this.#bounds.set(kind, bound);
    return bound;
  }

  unknown(what: string): string {
    return `the baseline holds fewer than ${MIN_LIFETIMES} lifetimes with ${what} sequences, so that there is no bound`;
  }
}

interface FloorPass {
  readonly arrangement: Arrangement;
  readonly isExercised: (together: number) => boolean;
}

const FLOORS: Readonly<Record<Floor['by'], FloorPass>> = {
  noise: { arrangement: 'noise', isExercised: (together) => together === 1 },
  batching: { arrangement: 'strangers', isExercised: (together) => together > 1 },
};

async function floorOf(side: Side, { arrangement, isExercised }: FloorPass): Promise<number | null> {
  const { record } = side;
  for (const lifetime of record.lifetimes) {
    // Of an eager start beside a compiled engine nothing is called `alone`.
    const alone = find(record, lifetime, 'score', 'alone') ?? find(record, lifetime, 'score', 'again');
    const beside = find(record, lifetime, 'score', arrangement);
    if (alone === undefined || beside === undefined) continue;
    const gauge = new Gauge();
    for (const [prompt, left] of alone.observations) {
      const right = beside.observations.get(prompt);
      const apart = alone.requests?.get(prompt)?.together === 1;
      const exercised = isExercised(beside.requests?.get(prompt)?.together ?? 0);
      if (right !== undefined && apart && exercised) await gaugePair(gauge, left, right, side);
    }
    const distance = gauge.distance();
    if (distance !== null) return distance.rmsNats;
  }
  return null;
}

async function boundOf(side: Side, kind: KnownKind): Promise<number | null> {
  const { record } = side;
  const lifetimes = lifetimesOf(record)
    .map(({ lifetime }) => new Map(aloneOf(record, lifetime, kind).map((one) => [one.prompt, one])))
    .filter(({ size }) => size > 0);
  if (lifetimes.length < MIN_LIFETIMES) return null;
  let largest = 0;
  for (const [index, first] of lifetimes.entries())
    for (const second of lifetimes.slice(index + 1)) {
      const gauge = new Gauge();
      for (const [prompt, left] of first) {
        const right = second.get(prompt);
        if (right !== undefined) await gaugePair(gauge, left, right, side);
      }
      const distance = gauge.distance();
      if (distance === null) return null;
      largest = Math.max(largest, distance.rmsNats);
    }
  return SLACK * largest;
}

/** Equal digests are a distance of 0 without opening a body; other tokens have none. */
async function gaugePair(
  gauge: Gauge,
  left: Observation,
  right: Observation,
  { readBody }: Side,
): Promise<void> {
  const differ = new Set(
    compareChannels(left, right).flatMap(({ rule, outcome }) => (outcome === 'differs' ? [rule.name] : [])),
  );
  if (differ.has('prompt-tokens') || differ.has('tokens')) return;
  if (!differ.has('logprobs') && !differ.has('top-k'))
    gauge.addEqual(countOf(left, 'tokens'), countOf(left, 'top-k'));
  else gauge.add(stepsOf(await readBody(left.body)), stepsOf(await readBody(right.body)));
}

/** What a relation's known sequences are apart, by kind of pass. */
export type Gauges = Readonly<Record<KnownKind, Gauge>>;

/** The size of what differs in the scores; null where none was scored, all bits agree or no number tells it. */
export async function sizeOf({ score }: Gauges, envelope: Envelope, bound: boolean): Promise<Size | null> {
  const distance = score.differs ? score.distance() : null;
  if (distance === null) return null;
  const floor = await envelope.floor();
  return {
    distance,
    floorNats: floor?.nats ?? null,
    floorBy: floor?.by ?? null,
    batchingNats: await envelope.floorNats('batching'),
    boundNats: bound ? await envelope.boundNats('score') : null,
  };
}

/** Whether what differs is no more than what honest lifetimes differ by. */
export type Within =
  | { readonly kind: 'within' | 'beyond'; readonly evidence: string }
  /** Nobody knows: that is no leave to differ. */
  | { readonly kind: 'unknown'; readonly evidence: string };

/**
 * Decides `within-envelope`. A score is blind to what only decoding does, so that a difference in what was generated
 * needs a forced sequence within its own bound as well.
 *
 * @param decoded whether something that was decoded differs
 */
export async function withinEnvelope(
  gauges: Gauges,
  bounds: Bounds | undefined,
  decoded: boolean,
): Promise<Within> {
  const unknown = (evidence: string): Within => ({ kind: 'unknown', evidence });
  const kinds: readonly KnownKind[] = decoded ? ['score', 'force'] : ['score'];
  const told: string[] = [];
  for (const kind of kinds) {
    const gauge = gauges[kind];
    const what = kind === 'score' ? 'scored' : 'forced';
    if (gauge.unbounded > 0)
      return {
        kind: 'beyond',
        evidence: `${what} log-probabilities are infinitely far apart: beyond any bound`,
      };
    if (gauge.positions === 0)
      return unknown(`no sequence was ${what}, so that nothing sizes the difference`);
    if (gauge.positions < MIN_POSITIONS)
      return unknown(
        `${gauge.positions} ${what} positions are too few to size a difference: ${MIN_POSITIONS} are needed`,
      );
    if (bounds === undefined) return unknown('without a baseline there is no bound');
    const bound = await bounds.boundNats(kind);
    if (bound === null) return unknown(bounds.unknown(what));
    const rms = gauge.distance()?.rmsNats ?? 0;
    told.push(`${what}: ${short(rms)} of at most ${short(bound)} nats`);
    if (rms > bound) return { kind: 'beyond', evidence: told.join(', ') };
  }
  return { kind: 'within', evidence: told.join(', ') };
}

const short = (nats: number) => String(Number(nats.toPrecision(3)));

import type { Arrangement, Lifetime, Observation, Pass, PassKind, RunRecord } from './schema.ts';

/** What of a record its passes gave. */
export type Computed = Pick<RunRecord, 'lifetimes' | 'observations'>;

/** What chooses a pass; what is left out matches all. */
export interface Which {
  readonly lifetime?: string;
  readonly kind?: PassKind;
  readonly arrangement?: Arrangement;
}

/** Passes of a record in the order in which they ran. */
export function passesOf(
  record: Pick<RunRecord, 'lifetimes'>,
  { lifetime, kind, arrangement }: Which,
): { readonly lifetime: Lifetime; readonly pass: Pass }[] {
  return record.lifetimes
    .filter((one) => lifetime === undefined || one.lifetime === lifetime)
    .flatMap((one) => one.passes.map((pass) => ({ lifetime: one, pass })))
    .filter(({ pass }) => kind === undefined || pass.kind === kind)
    .filter(({ pass }) => arrangement === undefined || pass.arrangement === arrangement);
}

/** Observations of the passes that match, in the record's order. */
export function observationsOf(record: Computed, which: Which): Observation[] {
  const wanted = passesOf(record, which);
  return record.observations.filter((one) =>
    wanted.some(({ lifetime, pass }) => lifetime.lifetime === one.lifetime && pass.pass === one.pass),
  );
}

/** Lifetimes whose outcomes count: none of an eager start beside a compiled engine, which is there to be traced. */
export function lifetimesOf({ lifetimes }: Pick<RunRecord, 'lifetimes'>): Lifetime[] {
  return lifetimes.filter(
    ({ passes }) =>
      passes.every(({ kind }) => kind !== 'trace') ||
      passes.some(({ kind, arrangement }) => kind !== 'trace' && arrangement === 'alone'),
  );
}

/** NaNs in all that was given. */
export const nansIn = ({ observations }: Pick<RunRecord, 'observations'>): number =>
  observations.reduce((sum, { channels }) => channels.reduce((all, { nans }) => all + (nans ?? 0), sum), 0);

/** What one lifetime gave in its `alone` passes of a kind. */
export function aloneOf(record: Computed, lifetime: string, kind: PassKind): Observation[] {
  return observationsOf(record, { lifetime, kind, arrangement: 'alone' });
}

/** Prompts and texts that only the base branch's suite asks so: the change takes them away or alters them. */
export const leavingIn = ({ suite }: Pick<RunRecord, 'suite'>): string[] =>
  [...suite.prompts, ...suite.texts].flatMap(({ id, leaving }) => (leaving ? [id] : []));

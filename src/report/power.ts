export const POWER_SCHEMA = 'deterministic-ml/power/v1';

/** What can notice a change: `inputs` are the prompt's own token ids, `decode` and `score` log-probability bits. */
export const OBSERVERS = ['inputs', 'text', 'tokens', 'decode', 'score', 'trace'] as const;
export type Observer = (typeof OBSERVERS)[number];

export interface Noticed {
  readonly by: Observer;
  /** Tokens of one prompt until it shows, counted from 1; of a trace, modules. */
  readonly after: number;
  /** Seconds that the engine spent in the passes of this kind, whole. */
  readonly engineSeconds: number;
}

/** What became of one deliberate change. */
export interface Perturbed {
  readonly id: string;
  readonly what: string;
  readonly equivalent: boolean;
  readonly made: boolean;
  /** Null where it was not made, or may have moved nothing that could be noticed. */
  readonly caught: boolean | null;
  readonly by: readonly Observer[];
  readonly noticed: readonly Noticed[];
  /** Pooled over all scored positions, in nats; null where nothing was scored that could be compared. */
  readonly rmsNats: number | null;
  /** What the harness says that it changed in the model. */
  readonly changed: string | null;
  /** What to add to the suite after a miss, or why there is nothing to count. */
  readonly note: string;
}

/** Like a mutation score: which deliberate changes this suite notices, and whether it cries wolf. */
export interface Power {
  readonly schema: typeof POWER_SCHEMA;
  readonly suite: string;
  readonly hardwareClass: string;
  readonly real: { readonly made: number; readonly caught: number; readonly caughtByText: number };
  readonly equivalent: { readonly made: number; readonly flagged: number };
  readonly perturbations: readonly Perturbed[];
}

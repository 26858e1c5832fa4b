import type { Verdict } from '../compare/conclusion.ts';
import { excerpt, markdown, visible } from '../inert.ts';

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
  /** Null where it could not be made here. */
  readonly caught: boolean | null;
  readonly by: readonly Observer[];
  readonly noticed: readonly Noticed[];
  /** Pooled over all scored positions, in nats; null where nothing was scored that could be compared. */
  readonly rmsNats: number | null;
  /** What the harness says that it changed in the model. */
  readonly changed: string | null;
  /** What to add to the suite after a miss, or why the change could not be made. */
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

/** A false alarm fails: nobody believes the next one. A change that goes unnoticed is what the suite's owner reads. */
export function powerVerdict({ equivalent }: Power): Verdict {
  return equivalent.flagged > 0 ? 'fail' : 'pass';
}

/** The same words on every surface. */
export function powerLine({ suite, hardwareClass, real, equivalent }: Power): string {
  return `Power of ${suite}: ${real.caught} of ${real.made} real changes noticed (a hash of the text: ${real.caughtByText}), ${equivalent.flagged} of ${equivalent.made} equivalent ones flagged, on ${hardwareClass}`;
}

export function powerLines(power: Power): string[] {
  const width = Math.max(...power.perturbations.map(({ id }) => id.length));
  return [
    ...power.perturbations.map((one) => `  ${one.id.padEnd(width)}  ${outcome(one)}`),
    visible(powerLine(power)),
  ];
}

/** For the job summary. */
export function powerSummary(power: Power): string {
  const rows = power.perturbations.map(({ id, what, ...rest }) => {
    const cells = OBSERVERS.map((by) => {
      const seen = rest.noticed.find((one) => one.by === by);
      return seen === undefined ? '' : by === 'inputs' ? 'yes' : String(seen.after);
    });
    return `| ${id} | ${what} | ${verdictOf(rest)} | ${cells.join(' | ')} | ${markdown(rest.note, 200)} |`;
  });
  return `${[
    `## ${powerVerdict(power) === 'pass' ? '✅' : '❌'} ${markdown(powerLine(power))}`,
    'Each change was made on purpose and run once by the real engine. A number is the first token (of `trace`: module) at which it shows.',
    [
      `| change | what | outcome | ${OBSERVERS.join(' | ')} | note |`,
      `| --- | --- | --- | ${OBSERVERS.map(() => '---').join(' | ')} | --- |`,
      ...rows,
    ].join('\n'),
  ].join('\n\n')}\n`;
}

function outcome(one: Perturbed): string {
  const seen = one.noticed.map(
    ({ by, after, engineSeconds }) =>
      `${by}${by === 'inputs' ? '' : ` at ${after}`} (${engineSeconds.toFixed(1)} s)`,
  );
  return [verdictOf(one), seen.join(', '), excerpt(one.note, 300)].filter((part) => part !== '').join(': ');
}

function verdictOf({ caught, equivalent }: Pick<Perturbed, 'caught' | 'equivalent'>): string {
  if (caught === null) return 'not possible here';
  if (equivalent) return caught ? 'FALSE ALARM' : 'left in peace';
  return caught ? 'noticed' : 'MISSED';
}

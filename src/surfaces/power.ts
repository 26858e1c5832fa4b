import type { Verdict } from '../compare/conclusion.ts';
import { excerpt, markdown, visible } from '../inert.ts';
import { OBSERVERS, type Perturbed, type Power } from '../report/power.ts';
import type { Surface } from './surface.ts';

export const power: Surface = {
  name: 'power',
  power: { log: powerLines, terminal: powerLines, json: (power) => power, summary: powerSummary },
};

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

function verdictOf({ made, caught, equivalent }: Pick<Perturbed, 'made' | 'caught' | 'equivalent'>): string {
  if (caught === null) return made ? 'no bit moved' : 'not possible here';
  if (equivalent) return caught ? 'FALSE ALARM' : 'left in peace';
  return caught ? 'noticed' : 'MISSED';
}

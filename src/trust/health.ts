import { UserError } from '../errors.ts';
import type { HealthView, Sign } from '../health/schema.ts';

/**
 * A record that others will be held against is made on GPUs without a doubt. What is unhealthy is no error of a check or
 * a refresh: their report concludes it.
 *
 * @param levels signs that refuse
 * @throws UserError `gpu-in-doubt`
 */
export function refuseDoubt(health: HealthView | undefined, levels: readonly Sign['level'][]): void {
  const [first, ...more] = (health?.signs ?? []).filter(({ level }) => levels.includes(level));
  if (first === undefined) return;
  throw new UserError(
    'gpu-in-doubt',
    `No baseline is made on these GPUs: ${[first, ...more].map(signWords).join('; ')}.`,
    first.remedy,
  );
}

const signWords = ({ gpu, reason, seen }: Sign) => `${gpu === null ? '' : `${gpu} `}${reason} (${seen})`;

import type { Console } from '../job/console.ts';
import type { Recipients } from './tell.ts';

/** A job's log, or what a terminal shows of work that goes on. */
export const logOf = (console: Pick<Console, 'info'>): Recipients => ({
  log(lines) {
    for (const line of lines) console.info(line);
  },
});

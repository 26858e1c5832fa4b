import { uptime } from 'node:os';
import { bootId } from '../machine/owner.ts';

/**
 * A moment by a machine's own clock, which nobody sets: seconds since it was started, and which start that was. The
 * time of day of two runners, or of one before and after it was corrected, need not agree.
 */
export interface Moment {
  readonly boot: string;
  readonly seconds: number;
}

export function thisMoment(): Moment {
  return { boot: bootId() ?? 'unknown', seconds: uptime() };
}

export const later = ({ boot, seconds }: Moment, by: number): Moment => ({ boot, seconds: seconds + by });

export const momentText = ({ boot, seconds }: Moment): string => `${Math.ceil(seconds)}@${boot}`;

/** Seconds from a moment as it was written until another; undefined where they are not of one clock. */
export function secondsSince(written: string | undefined, { boot, seconds }: Moment): number | undefined {
  const [, then, of] = /^(\d+)@(.+)$/.exec(written ?? '') ?? [];
  return of === boot && boot !== 'unknown' ? seconds - Number(then) : undefined;
}

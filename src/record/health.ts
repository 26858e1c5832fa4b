import { assess } from '../health/policy.ts';
import type { HealthView } from '../health/schema.ts';
import type { RunRecord } from './schema.ts';

/** What the health of a record's GPUs comes to; undefined where nobody looked. */
export function healthOf({ health }: Pick<RunRecord, 'health'>): HealthView | undefined {
  switch (health.state) {
    case 'not-told':
      return undefined;
    case 'told':
      return assess(health.readings);
  }
}

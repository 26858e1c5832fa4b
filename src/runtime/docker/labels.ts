import type { JobIdentity } from '../../engine/runtime.ts';
import { ownerName } from '../../machine/owner.ts';
import { type Moment, momentText } from '../clock.ts';

/** What a container of ours does. */
export type Role = 'engine' | 'copy';

/** Labels of every container that this action makes; whatever lacks `role` is not ours to touch. */
export const LABEL = {
  role: 'deterministic-ml.role',
  repository: 'deterministic-ml.repository',
  run: 'deterministic-ml.run',
  attempt: 'deterministic-ml.attempt',
  runner: 'deterministic-ml.runner',
  /** When it was made, and after which moment nobody wants it any more: `clock.ts` writes and reads both. */
  made: 'deterministic-ml.made',
  deadline: 'deterministic-ml.deadline',
  /** The process that made it, by which a later run of the same machine tells that nobody is about to start it. */
  owner: 'deterministic-ml.owner',
  /** On a volume: digest of the model that it holds. */
  model: 'deterministic-ml.model',
} as const;

export function jobLabels(job: JobIdentity): Record<string, string> {
  return {
    [LABEL.repository]: job.repository,
    [LABEL.run]: job.run,
    [LABEL.attempt]: job.attempt,
    [LABEL.runner]: job.runner,
  };
}

/** How long a container of ours may be there, by the clock of the machine that made it. */
export interface Span {
  readonly made: Moment;
  readonly deadline: Moment;
}

export function spanLabels({ made, deadline }: Span): Record<string, string> {
  return {
    [LABEL.made]: momentText(made),
    [LABEL.deadline]: momentText(deadline),
    [LABEL.owner]: ownerName(),
  };
}

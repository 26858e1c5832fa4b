import type { JobIdentity } from '../../engine/runtime.ts';

/** What a container of ours does. */
export type Role = 'engine' | 'copy';

/** Labels of every container that this action makes; whatever lacks `role` is not ours to touch. */
export const LABEL = {
  role: 'deterministic-ml.role',
  repository: 'deterministic-ml.repository',
  run: 'deterministic-ml.run',
  attempt: 'deterministic-ml.attempt',
  runner: 'deterministic-ml.runner',
  /** Seconds since the epoch after which nobody wants the container any more. */
  deadline: 'deterministic-ml.deadline',
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

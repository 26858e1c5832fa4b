/** Of a sign, worst first; what each does is said where the policy has its rows. */
export const LEVELS = ['unhealthy', 'warning', 'note', 'fact'] as const;

/** Of all GPUs of a run, worst first. */
export const HEALTH_STATES = ['unhealthy', 'warning', 'unreadable', 'healthy', 'no-gpu'] as const;

import type { Figure } from './figure.ts';

/** All but `restart`, which is about a second start. */
const RELATIONS = ['rerun', 'batch', 'order', 'prefix-cache', 'prefill', 'baseline'] as const;

export const engineStarts: Figure = {
  goal: '= 1',
  meets: (value) => value === 1,
  meaning: `engine starts of a check of ${RELATIONS.join(', ')} that finds no drift`,
  async measure({ newDemo }) {
    const { report, record } = await (await newDemo({ relations: RELATIONS })).check();
    const relations = report.relations.map(({ relation, status }) => `${relation} ${status}`);
    const missing = RELATIONS.filter((name) => !report.relations.some(({ relation }) => relation === name));
    const quiet = report.conclusion === 'reproduced' && missing.length === 0;
    return {
      value: quiet ? record.lifetimes.length : null,
      detail: `${report.conclusion}: ${relations.join(', ')}`,
    };
  },
};

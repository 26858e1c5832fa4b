import type { Relation } from '../types.ts';
import { baseline } from './baseline.ts';

/** How the result of a variant is named: `variant fp8-kv`. */
export const VARIANT = /^variant ([A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?)$/;
export const variantName = (name: string) => `variant ${name}`;
export const isVariant = (relation: string) => VARIANT.test(relation);

/** What holds of every variant of a suite: each is held against it as a run against its baseline, and neither is older. */
export const variant: Relation = {
  ...baseline,
  name: 'variant',
  what: 'the suite with a change made to it shows what is required of it beside the suite itself',
  witness: 'both ask the same in this run',
  sides: ['in the suite', 'in the variant'],
  byDefault: false,
  breaks: { means: 'broken' },
};

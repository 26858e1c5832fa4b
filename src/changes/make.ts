/*
 * What known changes are made of: each is one file in known/, and one line in its list.
 */

import type { Perturbation } from '../engine/protocol.ts';
import type { Fingerprint } from '../fingerprint/schema.ts';
import type { Plan } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import type { Sampling } from '../suite/schema.ts';

/** What is changed: a suite, its plan, and the environment that it ran in unchanged. */
export interface Subject {
  readonly loaded: LoadedSuite;
  readonly plan: Plan;
  readonly fingerprint: Fingerprint;
  /** What the engine made of its arguments. */
  readonly effective: Readonly<Record<string, unknown>>;
}

export type Changed = Pick<Subject, 'loaded' | 'plan'>;

/** One change of the kind that a reviewer waves through. */
export interface KnownChange {
  readonly id: string;
  /** What changes, in a reader's words. */
  readonly what: string;
  /** True if it changes nothing that a user could see: then noticing it is a false alarm. */
  readonly equivalent: boolean;
  /** True if it changes how work is cut up, which moves bits in one engine and none in another: unnoticed it is no miss. */
  readonly mayMoveNothing: boolean;
  /** Whether its distance is worth measuring at a refresh. */
  readonly yardstick: boolean;
  /** What to add to a suite that misses it. */
  readonly remedy: string;
  /** The same run with the change made, or why that is impossible here. */
  make(subject: Subject): Changed | string;
}

export const LONGER = 'longer texts under `score:`';
export const SAMPLED = 'prompts with `sampling: { temperature: … }` and more tokens';

export function real(
  id: string,
  what: string,
  remedy: string,
  yardstick: boolean,
  make: KnownChange['make'],
): KnownChange {
  return { id, what, equivalent: false, mayMoveNothing: false, yardstick, remedy, make };
}

export function equivalent(id: string, what: string, make: KnownChange['make']): KnownChange {
  return { id, what, equivalent: true, mayMoveNothing: false, yardstick: false, remedy: '', make };
}

/** Another cut of the same work: batches, pieces of a prompt. */
export const recut = (id: string, what: string, remedy: string, make: KnownChange['make']): KnownChange => ({
  ...{ id, what, equivalent: false, mayMoveNothing: true, yardstick: false, remedy, make },
});

export const isCpu = ({ fingerprint }: Subject) => fingerprint.ambient.gpus.length === 0;

export function halfOfCores({ fingerprint }: Subject): number {
  const { cores } = fingerprint.ambient.cpu;
  return typeof cores === 'number' ? Math.max(1, Math.floor(cores / 2)) : 1;
}

/** Of PyTorch's kernels, those that it would not take here. */
export const otherCapability = ({ fingerprint }: Subject) =>
  fingerprint.ambient.cpu.capability === 'AVX2' ? 'default' : 'avx2';

/** @param args or why the engine has none for it */
export function withArgs(subject: Subject, args: Plan['args'] | string): Changed | string {
  if (typeof args === 'string') return args;
  return { ...subject, plan: { ...subject.plan, args: { ...subject.plan.args, ...args } } };
}

export const withEnvironment = (subject: Subject, environment: Plan['environment']): Changed => ({
  ...subject,
  plan: { ...subject.plan, environment: { ...subject.plan.environment, ...environment } },
});

export const inModel = (subject: Subject, perturbation: Perturbation): Changed | string =>
  subject.plan.engine.probes === undefined
    ? { ...subject, plan: { ...subject.plan, perturbation } }
    : 'probes have no model';

/** At temperature 0 what a sampler reads changes nothing: only prompts that sample can show it. */
export const sampled = (subject: Subject, change: (sampling: Sampling) => Partial<Sampling>) =>
  withSampling(subject, ({ temperature }) => temperature > 0, change, 'the suite samples nothing');

/** The prompts' digests stay: the question is the same, and the sampler gets it wrong. */
export function withSampling(
  subject: Subject,
  applies: (sampling: Sampling) => boolean,
  change: (sampling: Sampling) => Partial<Sampling>,
  otherwise: string,
): Changed | string {
  const { plan } = subject;
  if (plan.depth === 'score' || !plan.prompts.some(({ sampling }) => applies(sampling))) return otherwise;
  return {
    ...subject,
    plan: {
      ...plan,
      prompts: plan.prompts.map((prompt) =>
        applies(prompt.sampling)
          ? { ...prompt, sampling: { ...prompt.sampling, ...change(prompt.sampling) } }
          : prompt,
      ),
    },
  };
}

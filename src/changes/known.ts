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
export interface Known {
  readonly id: string;
  /** What changes, in a reader's words. */
  readonly what: string;
  /** True if it changes nothing that a user could see: then noticing it is a false alarm. */
  readonly equivalent: boolean;
  /** Whether its distance is worth measuring at a refresh. */
  readonly yardstick: boolean;
  /** What to add to a suite that misses it. */
  readonly remedy: string;
  /** The same run with the change made, or why that is impossible here. */
  make(subject: Subject): Changed | string;
}

const LONGER = 'longer texts under `score:`';
const SAMPLED = 'prompts with `sampling: { temperature: … }` and more tokens';

/** Every change that `power` knows. A new one is one entry. */
export const perturbations: readonly Known[] = [
  real('dtype', 'another floating-point format', LONGER, true, (subject) => {
    const other = subject.effective['dtype'] === 'bfloat16' ? 'float16' : 'bfloat16';
    return withArgs(subject, { dtype: other });
  }),
  real('int8-weights', 'weights rounded to int8', LONGER, true, (subject) =>
    inModel(subject, { kind: 'round-weights', format: 'int8' }),
  ),
  real('fp8-weights', 'weights rounded to fp8', LONGER, true, (subject) =>
    inModel(subject, { kind: 'round-weights', format: 'fp8' }),
  ),
  real(
    'weight-bit',
    'the lowest bit of one weight',
    'depth `full` in an eager engine: it traces',
    false,
    (s) => inModel(s, { kind: 'weight-bit' }),
  ),
  real('fp8-kv-cache', 'keys and values kept in fp8', LONGER, true, (subject) =>
    withArgs(subject, subject.plan.engine.changes.fp8KvCache(isCpu(subject))),
  ),
  real('rope-theta', 'the base of the rotary embedding +0.1 %', LONGER, false, (subject) =>
    inModel(subject, { kind: 'rope-theta' }),
  ),
  real('cpu-capability', 'kernels for another instruction set', LONGER, false, (subject) =>
    isCpu(subject)
      ? withEnvironment(subject, { ATEN_CPU_CAPABILITY: otherCapability(subject) })
      : 'the engine computes on a GPU',
  ),
  real('batching', 'requests served together', 'prompts of several lengths', false, (subject) => ({
    ...subject,
    plan: {
      ...subject.plan,
      passes: subject.plan.passes.map((pass) =>
        pass.kind === 'trace' ? pass : { ...pass, grouped: 'strangers' },
      ),
    },
  })),
  real(
    'chunked-prefill',
    'long prompts cut into pieces of 64 tokens',
    'a text of more than 64 tokens',
    false,
    (s) => withArgs(s, s.plan.engine.changes.chunkedPrefill),
  ),
  real(
    'chat-template-space',
    'one space in the chat template',
    'a prompt with `messages`',
    false,
    (subject) => inModel(subject, { kind: 'chat-template-space' }),
  ),
  real('tokenizer-merge', 'one merge rule of the tokenizer', 'texts with common words', false, (subject) =>
    inModel(subject, { kind: 'tokenizer-merge' }),
  ),
  real('temperature', 'a sampler that reads temperature +0.1', SAMPLED, false, (subject) =>
    sampled(subject, ({ temperature }) => ({ temperature: temperature + 0.1 })),
  ),
  real('top-p', 'a sampler that cuts at another top_p', SAMPLED, false, (subject) =>
    sampled(subject, ({ top_p }) => ({ top_p: top_p * 0.7 })),
  ),
  real('seed', 'a sampler that starts from another seed', SAMPLED, false, (subject) =>
    sampled(subject, ({ seed }) => ({ seed: seed + 1 })),
  ),
  real('attention', 'another attention implementation', LONGER, true, (subject) => {
    const { attention } = subject.plan.engine.changes;
    return withArgs(subject, attention(isCpu(subject), subject.effective));
  }),
  equivalent('restart', 'the engine started anew', (subject) => subject),
  equivalent('threads', 'half as many threads', (subject) =>
    withEnvironment(subject, {
      OMP_NUM_THREADS: String(halfOfCores(subject)),
      ...subject.plan.engine.changes.threads,
    }),
  ),
  equivalent('cpu-quota', 'a container with half of the CPU time', (subject) => {
    if (subject.fingerprint.ambient.runtime !== 'docker') return 'the engine runs in no container';
    const cpus = halfOfCores(subject);
    const { suite } = subject.loaded;
    return {
      ...subject,
      loaded: { ...subject.loaded, suite: { ...suite, runtime: { ...suite.runtime, cpus } } },
    };
  }),
  equivalent('another-container', 'another container, so another host name', (subject) =>
    subject.fingerprint.ambient.runtime === 'docker' ? subject : 'the engine runs in no container',
  ),
  equivalent('log-level', 'an engine that logs everything', (subject) =>
    withEnvironment(subject, subject.plan.engine.changes.logging),
  ),
  equivalent('environment-order', 'the same environment in another order', (subject) => ({
    ...subject,
    plan: {
      ...subject.plan,
      environment: Object.fromEntries(Object.entries(subject.plan.environment).reverse()),
    },
  })),
  equivalent('file-times', 'model files with other times', (subject) =>
    inModel(subject, { kind: 'file-times' }),
  ),
  equivalent('greedy-seed', 'another seed where nothing is sampled', (subject) =>
    withSampling(
      subject,
      ({ temperature }) => temperature === 0,
      ({ seed }) => ({ seed: seed + 1 }),
      'the suite decodes nothing greedily',
    ),
  ),
];

function real(id: string, what: string, remedy: string, yardstick: boolean, make: Known['make']): Known {
  return { id, what, equivalent: false, yardstick, remedy, make };
}

function equivalent(id: string, what: string, make: Known['make']): Known {
  return { id, what, equivalent: true, yardstick: false, remedy: '', make };
}

const isCpu = ({ fingerprint }: Subject) => fingerprint.ambient.gpus.length === 0;

function halfOfCores({ fingerprint }: Subject): number {
  const { cores } = fingerprint.ambient.cpu;
  return typeof cores === 'number' ? Math.max(1, Math.floor(cores / 2)) : 1;
}

/** Of PyTorch's kernels, those that it would not take here. */
const otherCapability = ({ fingerprint }: Subject) =>
  fingerprint.ambient.cpu.capability === 'AVX2' ? 'default' : 'avx2';

/** @param args or why the engine has none for it */
function withArgs(subject: Subject, args: Plan['args'] | string): Changed | string {
  if (typeof args === 'string') return args;
  return { ...subject, plan: { ...subject.plan, args: { ...subject.plan.args, ...args } } };
}

const withEnvironment = (subject: Subject, environment: Plan['environment']): Changed => ({
  ...subject,
  plan: { ...subject.plan, environment: { ...subject.plan.environment, ...environment } },
});

const inModel = (subject: Subject, perturbation: Perturbation): Changed => ({
  ...subject,
  plan: { ...subject.plan, perturbation },
});

/** At temperature 0 what a sampler reads changes nothing: only prompts that sample can show it. */
const sampled = (subject: Subject, change: (sampling: Sampling) => Partial<Sampling>) =>
  withSampling(subject, ({ temperature }) => temperature > 0, change, 'the suite samples nothing');

/** The prompts' digests stay: the question is the same, and the sampler gets it wrong. */
function withSampling(
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

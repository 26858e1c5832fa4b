import type { Conclusion } from '../compare/conclusion.ts';
import type { Agreement, Divergence, Finding } from '../compare/types.ts';
import type { BaselineView } from './model.ts';

/** One sentence each for what happened, what it means and what to do. All surfaces speak with these. */
export interface Words {
  readonly title: string;
  readonly meaning: string;
  readonly next: string;
}

export function conclusionWords(conclusion: Conclusion, mode: 'check' | 'refresh'): Words {
  switch (conclusion) {
    case 'reproduced':
      return mode === 'check'
        ? {
            title: 'Reproduced',
            meaning: 'Every compared prompt agrees as the suite requires.',
            next: 'Nothing to do.',
          }
        : {
            title: 'Agrees with itself',
            meaning: 'The engine repeated its own tokens and log-probability bits.',
            next: 'Nothing to do.',
          };
    case 'drift':
      return {
        title: 'Drift',
        meaning: 'The engine repeats itself here, but it no longer computes what the baseline recorded.',
        next: 'If the change is meant, merge it and then run the refresh workflow on the default branch (`gh workflow run <refresh workflow> -f reason="…"`). If not, look at the changed facts of the environment first.',
      };
    case 'unstable':
      return {
        title: 'Unstable',
        meaning:
          'The same work in the same engine gave other bits: a comparison with a baseline would be noise.',
        next: 'Look for autotuning, races between requests and non-deterministic kernels; docs/determinism.md lists the usual causes.',
      };
    case 'no-baseline':
      return {
        title: 'No baseline',
        meaning: 'The store answered and holds no baseline of this suite: nothing was compared.',
        next: 'Run the refresh workflow on the default branch once (`gh workflow run <refresh workflow> -f reason="first baseline"`). It must be on the default branch first, and caches unused for 7 days are evicted.',
      };
    case 'incomparable':
      return {
        title: 'Incomparable',
        meaning:
          'Baselines exist, but of another hardware class: other hardware rounds otherwise, which is no drift.',
        next: 'Run the check on a runner of that class, or run the refresh workflow on this one.',
      };
    case 'unmeasured':
      return {
        title: 'Unmeasured',
        meaning:
          'Something that the suite asks for was not proven to have been exercised, so it says nothing.',
        next: 'The table names what is missing.',
      };
    case 'unhealthy-gpu':
      return {
        title: 'Unhealthy GPU',
        meaning: 'The GPU reports a fault: whatever it computes cannot be trusted.',
        next: 'Take the runner out of service and see `nvidia-smi -q`.',
      };
  }
}

export function agreementWords(agreement: Agreement): string {
  switch (agreement) {
    case 'identical':
      return 'identical bits';
    case 'logprobs-differ':
      return 'same tokens, other log-probability bits';
    case 'tokens-differ':
      return 'other tokens';
    case 'inputs-differ':
      return 'the prompt itself tokenises differently';
    case 'unmeasured':
      return 'unmeasured';
    case 'added':
      return 'new prompt, nothing to compare with';
    case 'removed':
      return 'no longer in the suite';
  }
}

/** `4.3 nats`, `0.000018 nats`: three significant digits, never an exponent that a reader must decode. */
export function nats(value: number): string {
  if (value === 0) return '0 nats';
  if (Math.abs(value) < 1e-12) return 'less than 0.000000000001 nats';
  const digits = Math.max(0, Math.min(12, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return `${value.toFixed(digits)} nats`;
}

/** Where and how much, in one plain sentence. Steps are told from 1. */
export function divergenceWords(divergence: Divergence): string {
  const { logprobStep, tokenStep, steps, largestNats, fork } = divergence;
  const parts: string[] = [];
  if (logprobStep !== null && logprobStep !== tokenStep)
    parts.push(`bits part at step ${logprobStep + 1} of ${steps}`);
  if (largestNats > 0)
    parts.push(
      `largest difference ${nats(largestNats)}${tokenStep === null ? '' : ' before the tokens part'}`,
    );
  if (tokenStep !== null) {
    const margin = fork?.leftMarginNats;
    parts.push(
      `tokens part at step ${tokenStep + 1}${margin === null || margin === undefined ? '' : ` (${margin === 0 ? 'an exact tie' : `the earlier run preferred its token by ${nats(margin)}`})`}`,
    );
  }
  return parts.join('; ');
}

/** All that is known of a finding beside its agreement; empty for an identical one. */
export function findingWords({ divergence, reason }: Finding): string {
  const parts = [divergence === null ? '' : divergenceWords(divergence), reason ?? ''];
  return parts.filter((part) => part !== '').join('; ');
}

/** What a text hash would have said of a finding: the reason this project looks at bits. */
export function textHashWords({ textIdentical }: Finding): string {
  return textIdentical === null ? '–' : textIdentical ? 'same' : 'differs';
}

/** Which baseline: of when, by whom, why and where it is kept; or why there is none. Not yet inert. */
export function baselineWords(baseline: BaselineView): readonly string[] {
  switch (baseline.kind) {
    case 'found':
    case 'stored': {
      const { actor, reason, createdAt, commit, runId } = baseline.provenance;
      const verb = baseline.kind === 'found' ? 'Compared with the baseline' : 'Stored a baseline';
      const source = [`run ${runId}`, ...(commit === '' ? [] : [`commit ${commit.slice(0, 12)}`])];
      return [
        `${verb} of ${createdAt.slice(0, 16).replace('T', ' ')} UTC, refreshed by ${actor} for “${reason}” (${source.join(', ')}).`,
        `Its key: ${baseline.key}`,
      ];
    }
    case 'not-stored':
      return [`No baseline was stored: ${baseline.reason}`];
    case 'incomparable':
    case 'absent':
      return baseline.explanation;
    case 'not-asked':
      return [];
  }
}

import type { BaselineQuery, BaselineStore } from '../baseline/port.ts';
import type { LostBaseline } from '../report/notices.ts';
import type { Suite } from '../suite/schema.ts';
import type { Trusted } from './baseline.ts';

/**
 * A policy may let a baseline be missing that never was. One that was and is gone, since a cache was filled up or
 * nobody used it for a week, is no reason to pass, and neither is one of which nobody knows.
 * Undefined where the policy lets nothing pass anyhow, or there never was one.
 */
export async function lostBaseline(
  trusted: Trusted,
  { policy }: Pick<Suite, 'policy'>,
  store: Pick<BaselineStore, 'remembers'>,
  query: BaselineQuery,
): Promise<LostBaseline | undefined> {
  const level =
    trusted.kind === 'absent'
      ? policy['no-baseline']
      : trusted.kind === 'incomparable'
        ? policy.incomparable
        : 'fail';
  if (level === 'fail') return undefined;
  const memory = await store.remembers(query);
  return memory.kind === 'never' ? undefined : memory;
}

/** The suite, with a policy that lets no baseline be missing. */
export const withoutMercy = <S extends Pick<Suite, 'policy'>>(suite: S): S => ({
  ...suite,
  policy: { ...suite.policy, 'no-baseline': 'fail', incomparable: 'fail' },
});

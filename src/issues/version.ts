import type { Versions } from './issue.ts';

/**
 * Whether a version lies within a range; undefined where that cannot be told: it is no version, or it is a
 * pre-release of the very version at which the range begins or ends, which may be on either side.
 */
export function within(version: string, { from, before }: Versions): boolean | undefined {
  const own = parse(version);
  if (own === undefined) return undefined;
  const isAtLeast = (limit: string) => {
    const order = compare(own.numbers, parse(limit)?.numbers ?? []);
    return order === 0 && own.isPreview ? undefined : order >= 0;
  };
  const [after, until] = [
    from === undefined ? true : isAtLeast(from),
    before === undefined ? false : isAtLeast(before),
  ];
  if (after === false || until === true) return false;
  return after === undefined || until === undefined ? undefined : true;
}

/** `0.28.1rc1.dev199+g7c5dc571c`: 0.28.1, not yet released. What comes after `+` names a build, and no version. */
function parse(
  version: string,
): { readonly numbers: readonly number[]; readonly isPreview: boolean } | undefined {
  const [, numbers, rest = ''] = /^v?(\d{1,9}(?:\.\d{1,9}){0,5})(.{0,64})$/.exec(version) ?? [];
  if (numbers === undefined) return undefined;
  return {
    numbers: numbers.split('.').map(Number),
    isPreview: /^[.-]?(?:a|b|c|rc|alpha|beta|dev|pre)/.test(rest),
  };
}

/** Below 0, 0 or above 0; a part that one of them lacks is 0. */
function compare(a: readonly number[], b: readonly number[]): number {
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

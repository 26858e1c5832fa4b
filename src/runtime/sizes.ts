const UNITS = { K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/** Bytes of a size as a suite writes it, e.g. `16GiB`; its schema has checked the form. */
export function bytesOf(size: string): number {
  const [, digits, unit] = /^([0-9]+)([KMG])iB$/.exec(size) ?? [];
  if (unit !== 'K' && unit !== 'M' && unit !== 'G') throw new TypeError(`not a size: ${size}`);
  return Number(digits) * UNITS[unit];
}

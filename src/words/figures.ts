import type { Nats } from '../report/schema.ts';

/** `4.30`, `0.0000180`: three significant digits, never an exponent that a reader must decode. */
function figure(value: number): string {
  if (value === 0) return '0';
  if (Math.abs(value) < 1e-12) return 'less than 0.000000000001';
  const digits = Math.max(0, Math.min(12, 2 - Math.floor(Math.log10(Math.abs(value)))));
  return value.toFixed(digits);
}

/** `4.30 nats`; what is not finite is said in words. */
export function nats(value: Nats): string {
  const known = finite(value);
  if (known !== undefined) return `${figure(known)} nats`;
  switch (String(value)) {
    case 'NaN':
      return 'NaN (a broken model)';
    case '-Infinity':
      return 'minus infinity';
    default:
      return 'infinity';
  }
}

/** The number itself; undefined for NaN and infinities, by name or by value. */
export function finite(value: Nats): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** `0.94x`, `9.8x`, `120x`, `6600x`: two digits, however large. */
export function times(ratio: number): string {
  if (ratio > 0 && ratio < 0.01) return 'less than 0.01x';
  return `${Number(ratio.toPrecision(2))}x`;
}

/**
 * How much likelier something became whose log-probability grew by so many nats: `0.34 % more likely`, `2.5x as likely`.
 *
 * @param gained nats, above or below 0
 */
export function likelier(gained: number): string {
  const size = Math.abs(gained);
  const way = gained < 0 ? 'less' : 'more';
  if (size < LEAST) return 'as likely as before, to 0.001 %,';
  // Where the share doubles a factor says more; what cannot be told in digits any more is a number of nats.
  if (size > MOST) return `${nats(size)} ${way} likely`;
  if (size > Math.LN2) return `${times(Math.exp(size))} ${gained < 0 ? 'less' : 'as'} likely`;
  return `${Number((100 * Math.abs(Math.expm1(gained))).toPrecision(2))} % ${way} likely`;
}

/** Nats that are a thousandth of a percent, and a factor of a billion. */
const LEAST = 1e-5;
const MOST = 20;

/** `3.5 %`, rounded up to two digits: for what follows "at most". */
export function percentUp(share: number): string {
  if (share <= 0) return '0 %';
  const scale = 10 ** (Math.floor(Math.log10(share * 100)) - 1);
  // Away from what binary fractions make of an exact number of digits.
  return `${Number((Math.ceil((share * 100) / scale - 1e-9) * scale).toPrecision(2))} %`;
}

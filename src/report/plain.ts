/**
 * A value as JSON can hold it and RFC 8785 can digest it: what is not finite becomes its name, since `null` means
 * unknown; half of a surrogate pair becomes U+FFFD; what is undefined is left out.
 */
export function plain(value: unknown): unknown {
  if (typeof value === 'number') return Number.isFinite(value) ? value + 0 : String(value);
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [key.toWellFormed(), plain(member)]),
  );
}

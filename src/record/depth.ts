/** Levels that a value of JSON from elsewhere may have: what reads it later does so recursively. */
export const MAX_LEVELS = 128;

/** Whether a value has more levels than that, without recursion of its own. */
export function isTooDeep(value: unknown): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_LEVELS) return true;
    const next: unknown[] = [];
    for (const one of level)
      if (typeof one === 'object' && one !== null) for (const member of Object.values(one)) next.push(member);
    level = next;
  }
  return false;
}

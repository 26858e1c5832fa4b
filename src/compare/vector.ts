import { type Channel, named } from '../record/channels.ts';

/** How far two vectors are apart, in words; null where one of them is not there. */
export function apart(before: readonly Channel[], now: readonly Channel[]): string | null {
  const [a, b] = [vectorIn(before), vectorIn(now)];
  if (a === undefined || b === undefined) return null;
  if (a.length !== b.length) return `the vector had ${a.length} numbers, and now has ${b.length}`;
  let [differ, most, dot, left, right] = [0, 0, 0, 0, 0];
  for (const [at, x] of a.entries()) {
    const y = b[at] ?? 0;
    if (x !== y) differ++;
    most = Math.max(most, Math.abs(x - y));
    dot += x * y;
    left += x * x;
    right += y * y;
  }
  // What rounding leaves beyond 1 is no distance.
  const cosine = Math.max(0, 1 - dot / Math.sqrt(left * right));
  return `${differ} of the vector’s ${a.length} numbers differ, by at most ${most.toPrecision(2)}; cosine distance ${cosine.toPrecision(2)}`;
}

function vectorIn(channels: readonly Channel[]): Float32Array | undefined {
  const found = named(channels, 'vector');
  return found?.kind === 'nats' ? found.nats : undefined;
}

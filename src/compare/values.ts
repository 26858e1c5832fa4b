import { excerpt } from '../inert.ts';
import type { Channel } from '../record/channels.ts';

/** Longest text of a value, once it is inert. */
const MAX_VALUE = 200;

/** How two values, or two counts of them, are told beside one another. */
interface Telling {
  values(a: string, b: string): string;
  counts(a: string, b: string): string;
}

export const BEFORE_AND_NOW: Telling = {
  values: (was, is) => `was ${was}, is ${is}`,
  counts: (was, is) => `had ${was}, has ${is}`,
};

const twoSides = (a: string, b: string) => `A has ${a}, B ${b}`;
export const TWO_SIDES: Telling = { values: twoSides, counts: twoSides };

/** What of a channel is other; undefined for one that says more in steps. */
export function differenceOf(was: Channel, is: Channel, { values, counts }: Telling): string | undefined {
  if (was.kind === 'text' && is.kind === 'text') {
    const at = firstDifference(was.text, is.text);
    const part = (text: string) => `“${excerpt(text.slice(Math.max(0, at - 20), at + 60), MAX_VALUE)}”`;
    return `differs at character ${at + 1}: ${values(part(was.text), part(is.text))}`;
  }
  if (was.kind !== 'digests' || is.kind !== 'digests' || was.name === 'modules') return undefined;
  if (was.digests.length !== is.digests.length)
    return counts(`${was.digests.length} values`, String(is.digests.length));
  const pairs = was.digests.flatMap((one, at) => {
    const other = is.digests[at];
    return other === undefined || (one.sha256 === other.sha256 && one.name === other.name)
      ? []
      : [{ at, one, other }];
  });
  const [first] = pairs;
  if (first === undefined) return undefined;
  const { at, one, other } = first;
  const [a, b] = [excerpt(one.name, MAX_VALUE), excerpt(other.name, MAX_VALUE)];
  const where =
    was.digests.length > 1 ? `${pairs.length} of ${was.digests.length} differ, the first at ${at}: ` : '';
  return a === b
    ? `${where}other bits in ${a}: ${values(one.sha256.slice(0, 16), other.sha256.slice(0, 16))}`
    : `${where}${values(a, b)}`;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

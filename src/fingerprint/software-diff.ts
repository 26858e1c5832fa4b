import type { Change } from './diff.ts';
import { type Software, TOLD_PARTS } from './software.ts';

/** More packages of a part than these are counted, not named: an image was changed, and not a package. */
const MAX_NAMED = 20;
const MAX_OBJECTS = 5;

/** How two differ; nothing where one of them tells nothing, or nothing of a part. */
export function diffSoftware(before: Software | undefined, after: Software | undefined): Change[] {
  return TOLD_PARTS.flatMap((part) => {
    const [then, now] = [before?.[part], after?.[part]];
    if (then === undefined || now === undefined) return [];
    const [left, right] = [listOf(then), listOf(now)];
    const names = [...new Set([...left.keys(), ...right.keys()])]
      .filter((name) => left.get(name) !== right.get(name))
      .sort();
    if (names.length === 0) return [];
    if (part === 'objects') return [counted('shared objects', 'loaded', left, right, names)];
    if (names.length > MAX_NAMED) return [counted(`packages.${part}`, 'installed', left, right, names)];
    return names.map((name) =>
      change(`packages.${part}.${name}`, left.get(name) ?? NONE, right.get(name) ?? NONE),
    );
  });
}

const NONE = '(absent)';

const change = (field: string, before: string, after: string): Change => ({
  half: 'declared',
  field,
  before,
  after,
});

type Versions = ReadonlyMap<string, string>;

/** A package may be called `constructor`, which every object has. */
const listOf = (told: Readonly<Record<string, string>>): Versions => new Map(Object.entries(told));

function counted(
  field: string,
  how: string,
  left: Versions,
  right: Versions,
  names: readonly string[],
): Change {
  const size = (all: Versions) => `${all.size} ${how}`;
  const more = names.length > MAX_OBJECTS ? ', …' : '';
  const named = `${names.slice(0, MAX_OBJECTS).join(', ')}${more}`;
  return change(field, size(left), `${size(right)}; ${names.length} differ: ${named}`);
}

import { isMap, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml';

export type Path = readonly PropertyKey[];

/**
 * Where things stand in a document: the offset of the deepest node on a path that exists, and of the key where the
 * last step is a mapping's key. Each mapping is searched once: a file that gets 30,000 keys wrong asks for all of them.
 */
export function offsets(root: unknown): (path: Path) => number {
  const pairs = new Map<YAMLMap, ReadonlyMap<string, Pair>>();
  const pairsOf = (map: YAMLMap) => {
    const known = pairs.get(map);
    if (known !== undefined) return known;
    const named = byName(map);
    pairs.set(map, named);
    return named;
  };
  return (path) => {
    let node: unknown = root;
    let offset = start(node) ?? 0;
    for (const step of path) {
      let next: unknown;
      if (isMap(node)) {
        const pair = pairsOf(node).get(String(step));
        if (pair === undefined) return offset;
        offset = start(pair.key) ?? offset;
        next = pair.value;
      } else if (isSeq(node) && typeof step === 'number') {
        next = node.items[step];
        offset = start(next) ?? offset;
      }
      if (next === undefined || next === null) return offset;
      node = next;
    }
    return offset;
  };
}

export const start = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];

/** Of a key that stands there twice, the first. */
function byName({ items }: YAMLMap): ReadonlyMap<string, Pair> {
  const named = new Map<string, Pair>();
  for (const pair of items) {
    if (!isScalar(pair.key)) continue;
    const name = String(pair.key.value);
    if (!named.has(name)) named.set(name, pair);
  }
  return named;
}

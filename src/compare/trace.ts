import type { TensorDigest } from '../record/schema.ts';
import type { ModuleMap, TraceDifference } from './types.ts';

/** Names of modules told apart on one side only. */
const TOLD = 20;
/** Rows and columns of a map: more than the largest models have, and no more than a page can show. */
const MAX_LAYERS = 1024;
const MAX_PARTS = 256;

/**
 * Which modules compute something else, in the left side's order. A module that ran more than once is compared call
 * by call.
 */
export function traceDifference(
  left: readonly TensorDigest[],
  right: readonly TensorDigest[],
): TraceDifference {
  const [before, now] = [byCall(left), byCall(right)];
  const onlyLeft = [...before.keys()].filter((call) => !now.has(call));
  const onlyRight = [...now.keys()].filter((call) => !before.has(call));
  let modules = 0;
  let differing = 0;
  let first: { readonly call: string; readonly index: number } | null = null;
  for (const [call, { module, index }] of before) {
    const other = now.get(call);
    if (other === undefined) continue;
    modules++;
    if (other.module.sha256 === module.sha256) continue;
    differing++;
    first ??= { call, index };
  }
  // Two models with other modules run them in another order too: none of them is the first.
  const comparable = onlyLeft.length === 0 && onlyRight.length === 0;
  return {
    modules,
    differing,
    first: comparable && first !== null ? acrossRanks(first.call, before, now) : null,
    firstIndex: comparable ? (first?.index ?? null) : null,
    onlyLeft: onlyLeft.slice(0, TOLD),
    onlyRight: onlyRight.slice(0, TOLD),
    map: mapOf(
      new Map([
        ...[...before].map(([call, { module }]) => {
          const other = now.get(call);
          return [
            call,
            other === undefined ? '-' : other.module.sha256 === module.sha256 ? '=' : 'x',
          ] as const;
        }),
        ...onlyRight.map((call) => [call, '+'] as const),
      ]),
    ),
  };
}

/** `model.layers.15.mlp.down_proj`: the first number among the parts of a name ends the name of its layer. */
function mapOf(cells: ReadonlyMap<string, string>): ModuleMap {
  const parts = new Set<string>(['']);
  const layers = new Map<string, Map<string, string>>();
  let omitted = 0;
  for (const [call, cell] of cells) {
    const { layer = call, part = '' } = /^(?<layer>(?:[^.]+\.)*?\d+)\.(?<part>.+)/s.exec(call)?.groups ?? {};
    const row = layers.get(layer) ?? new Map<string, string>();
    if ((row.size === 0 && layers.size >= MAX_LAYERS) || (!parts.has(part) && parts.size >= MAX_PARTS)) {
      omitted++;
      continue;
    }
    parts.add(part);
    layers.set(layer, row.set(part, cell));
  }
  return {
    parts: [...parts],
    layers: [...layers].map(([name, row]) => ({
      name,
      cells: [...parts].map((part) => row.get(part) ?? ' ').join(''),
    })),
    omitted,
  };
}

const OF_RANK = /^rank \d+: /;

/**
 * The name of a call, and of several ranks those in which it differs: where what a module gives is summed over the ranks,
 * all of them have it, and the first one is no more to blame than the others.
 */
function acrossRanks(call: string, before: Calls, now: Calls): string {
  const name = before.get(call)?.module.name ?? call;
  if (!OF_RANK.test(call)) return name;
  const [inAll, module] = [call.replace(OF_RANK, ''), name.replace(OF_RANK, '')];
  const ranks = [...before].filter(([other]) => other.replace(OF_RANK, '') === inAll);
  const differing = ranks.filter(([other, { module: one }]) => now.get(other)?.module.sha256 !== one.sha256);
  if (differing.length === 1) return name;
  const numbers = differing.map(([other]) => other.replace(/^rank (\d+): .*$/s, '$1'));
  return differing.length === ranks.length
    ? `all ${ranks.length} ranks: ${module}`
    : `ranks ${numbers.join(', ')}: ${module}`;
}

type Calls = ReturnType<typeof byCall>;

function byCall(modules: readonly TensorDigest[]) {
  const calls = new Map<string, number>();
  const found = new Map<string, { readonly module: TensorDigest; readonly index: number }>();
  for (const [index, module] of modules.entries()) {
    const call = (calls.get(module.name) ?? 0) + 1;
    calls.set(module.name, call);
    found.set(call === 1 ? module.name : `${module.name} (call ${call})`, { module, index });
  }
  return found;
}

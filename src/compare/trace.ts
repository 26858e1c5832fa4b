import type { ModuleDigest } from '../engine/protocol.ts';
import type { TraceDifference } from './types.ts';

/** Names of modules told apart on one side only. */
const TOLD = 20;

/**
 * Which modules compute something else, in the left side's order. A module that ran more than once is compared call
 * by call.
 */
export function traceDifference(
  left: readonly ModuleDigest[],
  right: readonly ModuleDigest[],
): TraceDifference {
  const [before, now] = [byCall(left), byCall(right)];
  const onlyLeft = [...before.keys()].filter((call) => !now.has(call));
  const onlyRight = [...now.keys()].filter((call) => !before.has(call));
  let modules = 0;
  let differing = 0;
  let first: { readonly name: string; readonly index: number } | null = null;
  for (const [call, { module, index }] of before) {
    const other = now.get(call);
    if (other === undefined) continue;
    modules++;
    if (other.module.sha256 === module.sha256) continue;
    differing++;
    first ??= { name: module.name, index };
  }
  // Two models with other modules run them in another order too: none of them is the first.
  const comparable = onlyLeft.length === 0 && onlyRight.length === 0;
  return {
    modules,
    differing,
    first: comparable ? (first?.name ?? null) : null,
    firstIndex: comparable ? (first?.index ?? null) : null,
    onlyLeft: onlyLeft.slice(0, TOLD),
    onlyRight: onlyRight.slice(0, TOLD),
  };
}

function byCall(modules: readonly ModuleDigest[]) {
  const calls = new Map<string, number>();
  const found = new Map<string, { readonly module: ModuleDigest; readonly index: number }>();
  for (const [index, module] of modules.entries()) {
    const call = (calls.get(module.name) ?? 0) + 1;
    calls.set(module.name, call);
    found.set(call === 1 ? module.name : `${module.name} (call ${call})`, { module, index });
  }
  return found;
}

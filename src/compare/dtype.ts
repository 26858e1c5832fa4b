import type { Lifetime } from '../record/schema.ts';

/** Distance of two neighbouring numbers between 2 and 4: the unit in which margins of logits are told. */
export const DTYPE_STEPS = { bfloat16: 2 ** -6, float16: 2 ** -9, float32: 2 ** -22 } as const;

const OTHER_NAMES: Readonly<Record<string, string>> = { half: 'float16', float: 'float32' };

/** The dtype that the engine says it computes in, e.g. `bfloat16`; null where it does not. */
export function dtypeOf({ settings }: Lifetime): string | null {
  const told = settings.effective['dtype'];
  if (typeof told !== 'string') return null;
  const name = told.replace(/^torch\./, '');
  return OTHER_NAMES[name] ?? name;
}

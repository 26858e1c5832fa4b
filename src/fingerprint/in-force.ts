import type { EngineSettings } from './schema.ts';

/** Something that was asked for, and what the running engine says of it. */
export interface NotInForce {
  /** An argument, or a variable of the environment. */
  readonly name: string;
  readonly kind: 'argument' | 'variable';
  readonly asked: string;
  readonly inForce: string;
}

/** What of a variable is another than was asked for, as the harness tells it. */
const VARIABLE = 'environment.';

/**
 * What was asked for and is not in force. Nothing is said of what the engine does not tell, and of what leaves the choice
 * to it.
 */
export function notInForce(
  { requested, effective }: EngineSettings,
  environment: Readonly<Record<string, string>>,
): NotInForce[] {
  const args = Object.entries(requested).flatMap(([name, asked]): NotInForce[] => {
    const told = effective[name];
    return isScalar(asked) && told !== undefined && told !== 'unknown' && !isMet(asked, told)
      ? [{ name, kind: 'argument', asked: String(asked), inForce: String(told) }]
      : [];
  });
  const variables = Object.entries(effective).flatMap(([field, told]): NotInForce[] => {
    const name = field.startsWith(VARIABLE) ? field.slice(VARIABLE.length) : '';
    const asked = Object.hasOwn(environment, name) ? environment[name] : undefined;
    return asked === undefined ? [] : [{ name, kind: 'variable', asked, inForce: String(told) }];
  });
  return [...args, ...variables];
}

type Scalar = string | number | boolean | null;

const isScalar = (value: unknown): value is Scalar =>
  value === null || ['string', 'number', 'boolean'].includes(typeof value);

/** Whoever asks for these leaves the choice to the engine. */
const ANY: ReadonlySet<Scalar> = new Set([null, 'auto', -1]);

const OTHER_NAMES: Readonly<Record<string, string>> = { half: 'float16', float: 'float32' };

function isMet(asked: Scalar, told: Scalar): boolean {
  if (ANY.has(asked)) return true;
  // What is off is often told by nothing at all.
  if (told === null) return asked === false || asked === 0;
  if (typeof asked !== 'string') return String(asked) === String(told);
  const name = asked.toLowerCase().replace(/^torch\./, '');
  // `fp8` is told as `fp8_e4m3`, `cuda` as `cuda:0`.
  return String(told)
    .toLowerCase()
    .startsWith(OTHER_NAMES[name] ?? name);
}

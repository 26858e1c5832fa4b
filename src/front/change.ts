import { UserError } from '../errors.ts';
import type { SidesSettings } from '../job/settings.ts';
import { VARIANT_REQUIREMENTS, WITHIN } from '../suite/variant.ts';

/** Flags of `compare`, as they were typed. */
export interface ChangeFlags {
  readonly engine?: string | undefined;
  readonly image?: string | undefined;
  readonly model?: string | undefined;
  readonly gpus?: string | undefined;
  /** `NAME=VALUE` each. */
  readonly arg?: readonly string[] | undefined;
  readonly env?: readonly string[] | undefined;
  readonly require?: string | undefined;
}

/**
 * What the second side has otherwise, and what the two must show. Whether a suite can have it, its schema says.
 *
 * @throws UserError `input-invalid`
 */
export function readChange({
  engine,
  image,
  model,
  gpus,
  arg = [],
  env = [],
  require = 'identical',
}: ChangeFlags): Pick<SidesSettings, 'change' | 'required'> {
  const required = require.trim();
  if (!VARIANT_REQUIREMENTS.some((one) => one === required) && !WITHIN.test(required))
    throw invalid(
      `\`--require\` is \`${required}\`.`,
      `It is ${VARIANT_REQUIREMENTS.map((one) => `\`${one}\``).join(', ')}, or a distance such as \`within 2x floor\`.`,
    );
  const count = gpus === undefined || gpus === 'none' ? gpus : Number(gpus);
  if (typeof count === 'number' && !Number.isInteger(count))
    throw invalid(`\`--gpus\` is \`${gpus}\`.`, 'It is a count, or `none`.');
  const args = pairs('--arg', arg).map(([name, text]) => [name, readValue(text)] as const);
  return {
    required,
    change: {
      ...(engine === undefined ? {} : { engine }),
      ...(image === undefined ? {} : { image }),
      ...(model === undefined ? {} : { model: modelOf(model) }),
      ...(count === undefined ? {} : { gpus: count }),
      ...(args.length === 0 ? {} : { args: Object.fromEntries(args) }),
      ...(env.length === 0 ? {} : { env: Object.fromEntries(pairs('--env', env)) }),
    },
  };
}

type Value = NonNullable<SidesSettings['change']['args']>[string];

/** As YAML would have it: a number, `true`, a list in JSON; all else is a text. */
function readValue(text: string): Value {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return text;
  }
}

function modelOf(text: string): NonNullable<SidesSettings['change']['model']> {
  const [, id, revision] = /^([\w.-]+\/[\w.-]+)@(.+)$/.exec(text) ?? [];
  return id === undefined || revision === undefined ? { path: text } : { id, revision };
}

function pairs(flag: string, given: readonly string[]): (readonly [string, string])[] {
  return given.map((pair) => {
    const at = pair.indexOf('=');
    if (at < 1) throw invalid(`\`${flag} ${pair}\` has no value.`, `It is written \`${flag} NAME=VALUE\`.`);
    return [pair.slice(0, at), pair.slice(at + 1)];
  });
}

const invalid = (message: string, hint: string) => new UserError('input-invalid', message, hint);

/**
 * The part of JSON Schema that the published schemas of a record use. It is compiled into functions, since it runs over
 * every digest of every prompt; a keyword that is not known here is refused, so that none is passed over.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The first thing that is wrong with a value, and where, e.g. `at lifetimes[0].passes: is no array`. */
export type Validate = (value: unknown) => string | undefined;

/** Gives the place within the value and what is wrong there, e.g. `[0].name: is no text`: nothing is made where all is well. */
type Check = (value: unknown) => string | undefined;
type Properties = Readonly<Record<string, unknown>>;

/** Say nothing that could be checked, or what another keyword says too. */
const SILENT = new Set(['$schema', '$id', '$defs', 'title', 'description', 'default', 'format']);
/** Of an object, looked at together. */
const OF_OBJECTS = new Set(['properties', 'required', 'additionalProperties', 'propertyNames']);

/** @throws Error for a keyword that is not known here */
export function validator(root: JsonSchema): Validate {
  const defined = new Map<string, Check>();
  const check = compiled(root);
  return (value) => {
    const problem = check(value);
    return problem?.replace(/^(?:: |\.)?/, (lead) => (lead === ': ' ? '' : 'at '));
  };

  function compiled(schema: JsonSchema): Check {
    // The type comes first: what follows presumes it.
    const keywords = Object.keys(schema).filter((one) => one !== 'type' && !SILENT.has(one));
    const checks = [
      ...('type' in schema ? [ofTypes(schema['type'])] : []),
      ...(keywords.some((one) => OF_OBJECTS.has(one)) ? [ofObject(schema)] : []),
      ...keywords.filter((one) => !OF_OBJECTS.has(one)).map((one) => ofKeyword(schema, one)),
    ];
    const [first, second, ...further] = checks;
    if (first === undefined) return () => undefined;
    if (second === undefined) return first;
    if (further.length === 0) return (value) => first(value) ?? second(value);
    return (value) => {
      for (const one of checks) {
        const problem = one(value);
        if (problem !== undefined) return problem;
      }
      return undefined;
    };
  }

  function ofKeyword(schema: JsonSchema, keyword: string): Check {
    const wanted = schema[keyword];
    const limit = Number(wanted);
    switch (keyword) {
      case 'const':
        return demand((value) => value === wanted, `is not ${JSON.stringify(wanted)}`);
      case 'enum': {
        const allowed = new Set(wanted as readonly unknown[]);
        return demand((value) => allowed.has(value), `is none of ${[...allowed].join(', ')}`);
      }
      case 'pattern': {
        const pattern = new RegExp(String(wanted));
        const what = typeof schema['description'] === 'string' ? schema['description'] : `like ${pattern}`;
        return demand((value) => pattern.test(value as string), `is not ${what}`);
      }
      case 'minLength':
        return demand((value) => lengthOf(value) >= limit, `is shorter than ${limit}`);
      case 'maxLength':
        return demand((value) => lengthOf(value) <= limit, `is longer than ${limit}`);
      case 'minItems':
        return demand((value) => lengthOf(value) >= limit, `has fewer than ${limit} entries`);
      case 'maxItems':
        return demand((value) => lengthOf(value) <= limit, `has more than ${limit} entries`);
      case 'minimum':
        return demand((value) => Number(value) >= limit, `is less than ${limit}`);
      case 'maximum':
        return demand((value) => Number(value) <= limit, `is more than ${limit}`);
      case 'exclusiveMinimum':
        return demand((value) => Number(value) > limit, `is not more than ${limit}`);
      case 'items':
        return ofItems(compiled(wanted as JsonSchema));
      case 'anyOf':
        return anyOf((wanted as readonly JsonSchema[]).map(compiled));
      case '$ref':
        return byName(String(wanted));
      default:
        throw new Error(`no keyword of a record's schema: ${keyword}`);
    }
  }

  function ofObject(schema: JsonSchema): Check {
    const { properties = {}, required = [], additionalProperties = true, propertyNames } = schema;
    const checks = new Map(
      Object.entries(properties as Properties).map(([key, one]) => [key, compiled(one as JsonSchema)]),
    );
    const further =
      typeof additionalProperties === 'object' ? compiled(additionalProperties as JsonSchema) : undefined;
    const ofNames = propertyNames === undefined ? undefined : compiled(propertyNames as JsonSchema);
    const names = required as readonly string[];
    return (value) => {
      const object = value as Properties;
      for (const key of names) if (!Object.hasOwn(object, key)) return `: lacks \`${key}\``;
      for (const key in object) {
        const one = checks.get(key) ?? further;
        if (one === undefined && additionalProperties === false)
          return `: has an unrecognized key \`${key}\``;
        const misnamed = ofNames?.(key);
        if (misnamed !== undefined) return misnamed;
        const problem = one?.(object[key]);
        if (problem !== undefined) return `.${key}${problem}`;
      }
      return undefined;
    };
  }

  /** A schema that refers to itself is compiled when it is first met. */
  function byName(reference: string): Check {
    return (value) => {
      let one = defined.get(reference);
      if (one === undefined) {
        const found = (root['$defs'] as Properties | undefined)?.[reference.replace('#/$defs/', '')];
        if (found === undefined) throw new Error(`no definition ${reference}`);
        one = compiled(found as JsonSchema);
        defined.set(reference, one);
      }
      return one(value);
    };
  }
}

/** One type or a list of them; `anyOf` tells of those that are more than a type. */
function ofTypes(types: unknown): Check {
  return Array.isArray(types) ? anyOf(types.map((type) => ofType(String(type)))) : ofType(String(types));
}

function ofType(type: string): Check {
  switch (type) {
    case 'string':
      return demand((value) => typeof value === 'string', 'is no text');
    case 'number':
      // 1e999 is JSON too.
      return demand((value) => Number.isFinite(value), 'is no number');
    case 'integer':
      return demand((value) => Number.isInteger(value), 'is no whole number');
    case 'boolean':
      return demand((value) => typeof value === 'boolean', 'is neither true nor false');
    case 'null':
      return demand((value) => value === null, 'is not null');
    case 'array':
      return demand((value) => Array.isArray(value), 'is no array');
    case 'object':
      return demand(
        (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
        'is no object',
      );
    default:
      throw new Error(`no type of a record's schema: ${type}`);
  }
}

function demand(holds: (value: unknown) => boolean, what: string): Check {
  const problem = `: ${what}`;
  return (value) => (holds(value) ? undefined : problem);
}

function ofItems(check: Check): Check {
  return (value) => {
    const items = value as readonly unknown[];
    for (let i = 0; i < items.length; i++) {
      const problem = check(items[i]);
      if (problem !== undefined) return `[${i}]${problem}`;
    }
    return undefined;
  };
}

/** What the first of them says where none holds. */
function anyOf(checks: readonly Check[]): Check {
  return (value) => {
    let first: string | undefined;
    for (const one of checks) {
      const problem = one(value);
      if (problem === undefined) return undefined;
      first ??= problem;
    }
    return first;
  };
}

const lengthOf = (value: unknown) => (value as { readonly length: number }).length;

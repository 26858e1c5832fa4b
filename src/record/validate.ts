/**
 * The part of JSON Schema that the published schemas of a record use. It is compiled into functions, one for each place,
 * since they run over every digest of every prompt; a keyword that is not known there is refused, so that none is passed
 * over.
 */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** The first thing that is wrong with a value, and where, e.g. `at lifetimes[0].passes: is no array`. */
export type Validate = (value: unknown) => string | undefined;

/** Gives the place within the value and what is wrong there, e.g. `[0].name: is no text`: nothing is made where all is well. */
type Check = (value: unknown) => string | undefined;
type Properties = Readonly<Record<string, unknown>>;

/** Say nothing that could be checked, or what another keyword says too. */
const SILENT = ['$schema', '$id', '$defs', 'title', 'description', 'default', 'format'];

/** @throws Error for a keyword or a type that is not known here */
export function validator(root: JsonSchema): Validate {
  const defined = new Map<string, Check>();
  /** One for all places that ask for it: the engine compiles each of them anew. */
  const patterns = new Map<string, RegExp>();
  const check = compiled(root);
  return (value) => {
    const problem = check(value);
    return problem?.replace(/^(?:: |\.)?/, (lead) => (lead === ': ' ? '' : 'at '));
  };

  function compiled(schema: JsonSchema): Check {
    const { type } = schema;
    if ('anyOf' in schema) return anyOf(only(schema, 'anyOf')['anyOf'] as readonly JsonSchema[]);
    if ('$ref' in schema) return byName(String(only(schema, '$ref')['$ref']));
    if (Array.isArray(type))
      return anyOf(only(schema, 'type')['type'] as readonly string[], (one) => ({ type: one }));
    if ('const' in schema) return ofOne([schema['const']], only(schema, 'type', 'const'));
    if ('enum' in schema) return ofOne(schema['enum'] as readonly unknown[], only(schema, 'type', 'enum'));
    switch (type) {
      case 'string':
        return ofText(only(schema, 'type', 'pattern', 'minLength', 'maxLength'));
      case 'number':
      case 'integer':
        return ofNumber(only(schema, 'type', 'minimum', 'maximum', 'exclusiveMinimum'));
      case 'boolean':
        only(schema, 'type');
        return (value) => (typeof value === 'boolean' ? undefined : ': is neither true nor false');
      case 'null':
        only(schema, 'type');
        return (value) => (value === null ? undefined : ': is not null');
      case 'array':
        return ofArray(only(schema, 'type', 'items', 'minItems', 'maxItems'));
      case 'object':
        return ofObject(
          only(schema, 'type', 'properties', 'required', 'additionalProperties', 'propertyNames'),
        );
      // A value of any kind.
      case undefined:
        only(schema);
        return () => undefined;
      default:
        throw new Error(`no type of a record's schema: ${type}`);
    }
  }

  function ofText({ pattern: source, minLength = 0, maxLength = Infinity, description }: JsonSchema): Check {
    const [least, most] = [Number(minLength), Number(maxLength)];
    const pattern = source === undefined ? undefined : patternOf(String(source));
    const what = typeof description === 'string' ? description : `like /${source}/`;
    return (value) => {
      if (typeof value !== 'string') return ': is no text';
      if (pattern !== undefined && !pattern.test(value)) return `: is not ${what}`;
      if (value.length < least) return `: is shorter than ${least}`;
      return value.length > most ? `: is longer than ${most}` : undefined;
    };
  }

  function patternOf(source: string): RegExp {
    // Written out, a class that stands 64 times is tested in two thirds of the time that counting it takes (measured).
    const unrolled = source.replace(/(\[[^\]]+\])\{(\d+)\}/g, (_, one: string, times: string) =>
      one.repeat(Number(times)),
    );
    const known = patterns.get(source) ?? new RegExp(unrolled);
    patterns.set(source, known);
    return known;
  }

  function ofArray({ items, minItems = 0, maxItems = Infinity }: JsonSchema): Check {
    const [least, most] = [Number(minItems), Number(maxItems)];
    const check = compiled((items ?? {}) as JsonSchema);
    return (value) => {
      if (!Array.isArray(value)) return ': is no array';
      if (value.length < least) return `: has fewer than ${least} entries`;
      if (value.length > most) return `: has more than ${most} entries`;
      for (let at = 0; at < value.length; at++) {
        const problem = check(value[at]);
        if (problem !== undefined) return `[${at}]${problem}`;
      }
      return undefined;
    };
  }

  function ofObject(schema: JsonSchema): Check {
    const { properties = {}, required = [], additionalProperties = true, propertyNames } = schema;
    const further =
      typeof additionalProperties === 'object' ? compiled(additionalProperties as JsonSchema) : undefined;
    const ofNames = propertyNames === undefined ? undefined : compiled(propertyNames as JsonSchema);
    const names = required as readonly string[];
    const checks = new Map(
      Object.entries(properties as Properties).map(([key, one]) => [
        key,
        { check: compiled(one as JsonSchema), isRequired: names.includes(key) },
      ]),
    );
    return (value) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return ': is no object';
      const object = value as Properties;
      let lacking = names.length;
      for (const key in object) {
        const declared = checks.get(key);
        if (declared?.isRequired === true) lacking--;
        if (declared === undefined && additionalProperties === false)
          return `: has an unrecognized key \`${key}\``;
        const misnamed = ofNames?.(key);
        if (misnamed !== undefined) return misnamed;
        const problem = (declared?.check ?? further)?.(object[key]);
        if (problem !== undefined) return `.${key}${problem}`;
      }
      if (lacking === 0) return undefined;
      return `: lacks \`${names.find((name) => !Object.hasOwn(object, name))}\``;
    };
  }

  /** What the first of them says where none holds. */
  function anyOf<T>(schemas: readonly T[], schemaOf = (one: T) => one as JsonSchema): Check {
    const checks = schemas.map((one) => compiled(schemaOf(one)));
    return (value) => {
      let first: string | undefined;
      for (let at = 0; at < checks.length; at++) {
        const problem = checks[at]?.(value);
        if (problem === undefined) return undefined;
        first ??= problem;
      }
      return first;
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

/** The schema itself, which has no other keywords than these and the silent ones. */
function only(schema: JsonSchema, ...keywords: readonly string[]): JsonSchema {
  const unknown = Object.keys(schema).find((one) => !keywords.includes(one) && !SILENT.includes(one));
  if (unknown !== undefined) throw new Error(`no keyword of a record's schema there: ${unknown}`);
  return schema;
}

function ofOne(values: readonly unknown[], { const: isOne }: JsonSchema): Check {
  const allowed = new Set(values);
  const what = isOne === undefined ? `is none of ${values.join(', ')}` : `is not ${JSON.stringify(isOne)}`;
  return (value) => (allowed.has(value) ? undefined : `: ${what}`);
}

function ofNumber({
  type,
  minimum = -Infinity,
  maximum = Infinity,
  exclusiveMinimum = -Infinity,
}: JsonSchema): Check {
  const [least, most, above] = [Number(minimum), Number(maximum), Number(exclusiveMinimum)];
  const isWhole = type === 'integer';
  return (value) => {
    // 1e999 is JSON too.
    if (typeof value !== 'number' || !(isWhole ? Number.isInteger(value) : Number.isFinite(value)))
      return isWhole ? ': is no whole number' : ': is no number';
    if (value < least) return `: is less than ${least}`;
    if (value > most) return `: is more than ${most}`;
    return value > above ? undefined : `: is not more than ${above}`;
  };
}

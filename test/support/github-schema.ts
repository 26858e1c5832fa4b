import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';

/*
 * The part of GitHub's own description of its REST API (scripts/github-openapi.ts) that requests and answers are held
 * to. It says less than GitHub does: what else is refused stands in github-rules.ts.
 */

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly format?: string;
  readonly nullable?: boolean;
  readonly enum?: readonly Json[];
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly oneOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}
interface Parameter {
  readonly $ref?: string;
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required?: boolean;
  readonly schema: Schema;
}
type Media = Readonly<Record<string, { readonly schema: Schema }>>;
interface Described {
  readonly operationId: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Media };
  readonly responses: Readonly<Record<string, { readonly $ref?: string; readonly content?: Media }>>;
}
interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

const description: Description = JSON.parse(
  readFileSync(new URL('../fixtures/github-openapi.json', import.meta.url), 'utf8'),
  (_, value: unknown) => orNull(value),
);

/** Beside no type, such as a choice, Ajv knows no `nullable`. */
function orNull(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || 'type' in value || !('nullable' in value)) return value;
  const { nullable, ...rest } = value;
  return nullable === true ? { anyOf: [rest, { enum: [null] }] } : rest;
}

const options = { strict: false, allErrors: true } as const;
const exact = new Ajv(options);
/** What stands in a path or a query is text. */
const fromText = new Ajv({ ...options, coerceTypes: true });
for (const ajv of [exact, fromText]) formats.default(ajv);

interface Operation {
  readonly described: Described;
  readonly method: string;
  readonly path: RegExp;
  readonly parameters: readonly Parameter[];
  readonly asked: ValidateFunction;
  readonly body:
    | { readonly check: ValidateFunction; readonly required: boolean; readonly known: ReadonlySet<string> }
    | undefined;
  readonly answers: Map<string, ValidateFunction>;
}

const operations = Object.entries(description.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, described]) => operationOf(path, method, described)),
);

/** A request's operation by its description, and what stands in its path. */
export interface Routed {
  readonly id: string;
  readonly path: Readonly<Record<string, string>>;
}

export function route(method: string, pathname: string): Routed | undefined {
  for (const { described, method: own, path } of operations) {
    const found = own === method ? path.exec(pathname) : null;
    if (found === null) continue;
    const decoded = Object.entries(found.groups ?? {}).map(([name, text]) => [
      name,
      decodeURIComponent(text),
    ]);
    return { id: described.operationId, path: Object.fromEntries(decoded) };
  }
  return undefined;
}

export interface Asked {
  readonly query: Readonly<Record<string, unknown>>;
  readonly body: Readonly<Record<string, unknown>>;
}

/** A request as the description has it, numbers as numbers; or what is wrong with it. */
export function asked(
  { id, path }: Routed,
  query: URLSearchParams,
  body: unknown,
): Asked | { readonly wrong: string } {
  const operation = operationBy(id);
  const told = { path: { ...path }, query: Object.fromEntries(query) as Record<string, unknown> };
  if (!operation.asked(told)) return { wrong: wrongs(operation.asked) };
  if (operation.body === undefined)
    return body === undefined ? { query: told.query, body: {} } : { wrong: 'a body' };
  if (body === undefined && !operation.body.required) return { query: told.query, body: {} };
  if (!operation.body.check(body)) return { wrong: wrongs(operation.body.check) };
  const object = Object.fromEntries(Object.entries(Object(body)));
  // GitHub itself would not look at them: here they are slips of the pen.
  const strange = Object.keys(object).filter((key) => operation.body?.known.has(key) === false);
  if (strange.length > 0) return { wrong: `unknown: ${strange.join(', ')}` };
  return { query: told.query, body: object };
}

/** What is wrong with an answer; undefined where it is as described, or where nothing is described. */
export function answerProblem(id: string, status: number, value: unknown): string | undefined {
  const operation = operationBy(id);
  const key = String(status);
  const { answers, described } = operation;
  let check = answers.get(key);
  if (check === undefined) {
    const response = described.responses[key];
    const schema =
      response === undefined ? undefined : resolved(response).content?.['application/json']?.schema;
    if (schema === undefined) return undefined;
    check = compile(exact, schema);
    answers.set(key, check);
  }
  return check(value) ? undefined : wrongs(check);
}

/** A whole object of the description: what the test does not care about gets whatever fits. */
export function whole(
  schema: string,
  given: Readonly<Record<string, unknown>> | readonly unknown[],
): unknown {
  const found = description.components.schemas[schema];
  assert.ok(found, `GitHub's description has no ${schema}`);
  return filled(found, given);
}

function filled(raw: Schema, given: unknown): unknown {
  const schema = resolved(raw);
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  if (given !== undefined && !isObject && !Array.isArray(given)) return given;
  if (given === undefined && schema.nullable === true) return null;
  const [option] = [...(schema.oneOf ?? []), ...(schema.anyOf ?? []), ...(schema.allOf ?? [])];
  if (schema.type === undefined && schema.properties === undefined && option !== undefined)
    return filled(option, given);
  if (given === undefined && schema.enum !== undefined) return schema.enum[0];
  switch (schema.type) {
    case 'string':
      return schema.format === 'date-time'
        ? '2026-11-23T10:00:00Z'
        : schema.format === 'uri'
          ? 'https://api.github.com/'
          : schema.format === 'email'
            ? 'a@example.com'
            : 'any';
    case 'integer':
    case 'number':
      return 1;
    case 'boolean':
      return false;
    case 'array':
      return Array.isArray(given) ? given.map((one) => filled(schema.items ?? {}, one)) : [];
    default: {
      const own = Object.fromEntries(isObject ? Object.entries(given) : []);
      const names = new Set([...(schema.required ?? []), ...Object.keys(own)]);
      return Object.fromEntries(
        [...names].map((name) => {
          const property = schema.properties?.[name];
          return [name, property === undefined ? own[name] : filled(property, own[name])];
        }),
      );
    }
  }
}

function operationOf(path: string, method: string, described: Described): Operation {
  const parameters = (described.parameters ?? []).map(resolved);
  const [media] = Object.values(described.requestBody?.content ?? {});
  const objectOf = (place: Parameter['in']) => ({
    type: 'object',
    properties: Object.fromEntries(
      parameters.filter((one) => one.in === place).map(({ name, schema }) => [name, schema]),
    ),
    required: parameters.filter((one) => one.in === place && one.required).map(({ name }) => name),
    // GitHub itself would not look at them: here they are slips of the pen.
    additionalProperties: false,
  });
  return {
    described,
    method: method.toUpperCase(),
    path: new RegExp(
      `^${path.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
        // Files and branches have slashes in them.
        const ends = path.endsWith(`{${name}}`) && (name === 'path' || name === 'ref');
        return `(?<${name}>${ends ? '.+' : '[^/]+'})`;
      })}$`,
    ),
    parameters,
    asked: compile(fromText, {
      type: 'object',
      properties: { path: objectOf('path'), query: objectOf('query') },
    } as unknown as Schema),
    body:
      media === undefined
        ? undefined
        : {
            check: compile(exact, media.schema),
            required: described.requestBody?.required === true,
            known: new Set(Object.keys(resolved(media.schema).properties ?? {})),
          },
    answers: new Map(),
  };
}

function operationBy(id: string): Operation {
  const found = operations.find(({ described }) => described.operationId === id);
  assert.ok(found, `GitHub's description has no ${id}`);
  return found;
}

/** References are looked up from the root: so each schema brings all that they may name. */
function compile(ajv: Ajv, schema: Schema): ValidateFunction {
  return ajv.compile({ ...schema, components: description.components });
}

function resolved<T extends { readonly $ref?: string }>(thing: T): T {
  if (thing.$ref === undefined) return thing;
  let found: unknown = description;
  for (const key of thing.$ref.slice(2).split('/'))
    found = typeof found === 'object' && found !== null ? Reflect.get(found, key) : undefined;
  assert.ok(found, `GitHub's description has no ${thing.$ref}`);
  return found as T;
}

const wrongs = ({ errors }: ValidateFunction) =>
  (errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`.trim()).join('; ');

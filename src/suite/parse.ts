import type { core } from 'zod';
import { type Place, UserError } from '../errors.ts';
import { withChange } from './change.ts';
import { didYouMean } from './nearest.ts';
import type { Path } from './offsets.ts';
import { sampleIds } from './samples.ts';
import { defaultsOf, type Suite, type SuiteSchema, wholeSuite } from './schema.ts';
import { type Position, type Problem, readYaml } from './yaml.ts';

/** Largest accepted suite file in bytes. Whatever stands in it is read in time and memory that grow with it alone. */
export const MAX_SUITE_BYTES = 256 * 1024;

/** Problems told at once, and characters of each: what a generated file gets wrong it may get wrong 10,000 times. */
const MAX_PROBLEMS = 100;
const MAX_MESSAGE = 500;

/** Where things stand in the suite's file: what annotations point at. */
export interface SuitePlaces {
  readonly file: string;
  /** Id of a prompt, of each of its answers, or of a text under `score` -> position of its entry. */
  readonly prompts: ReadonlyMap<string, Position>;
  readonly model: Position;
  readonly engine: Position;
  readonly runtime: Position;
  readonly relations: Position;
  /** The list of accepted records, or the file's first line. */
  readonly accept: Position;
}

export type { Position } from './yaml.ts';

export interface ParsedSuite {
  readonly suite: Suite;
  readonly places: SuitePlaces;
}

/**
 * Reads a suite and keeps line positions.
 *
 * @param schema in the words of this version: its engines, relations and stores
 * @param file name shown in messages and annotations, relative to the repository
 * @throws UserError `suite-invalid` with every problem at once, each with its line and column
 */
export function parseSuite(source: string, file: string, schema: SuiteSchema): ParsedSuite {
  if (Buffer.byteLength(source) > MAX_SUITE_BYTES)
    throw invalid(file, [
      {
        line: 1,
        column: 1,
        message: `the file is larger than ${MAX_SUITE_BYTES} bytes: move long prompts into files`,
      },
    ]);
  const yaml = readYaml(source, 'a suite');
  const { place, structure } = yaml;
  if (yaml.syntax.length > 0) throw invalid(file, yaml.syntax);
  if (!yaml.isMade) throw invalid(file, structure);

  const value = yaml.value();
  const result = schema.safeParse(value, TOLD);
  const problems = problemsIn(result.error, place, schema);
  const duplicates = [
    ...repeated(value, 'prompts', 'id').map(({ name, index }) => ({
      ...place(['prompts', index, 'id']),
      message: `the prompt id \`${name}\` is used twice`,
    })),
    ...textsNamedTwice(value).map(({ name, index }) => ({
      ...place(['score', index, 'id']),
      message: `the id \`${name}\` is used twice: prompts and texts share their names`,
    })),
    ...acceptedTwice(value).map((index) => ({
      ...place(['accept', index, 'record']),
      message: 'this record is accepted twice for the same hardware',
    })),
    ...repeated(value, 'variants', 'name').map(({ name, index }) => ({
      ...place(['variants', index, 'name']),
      message: `the variant \`${name}\` is named twice`,
    })),
    ...(result.success ? impossible(wholeSuite(result.data), schema, place) : []),
    ...repeated(value, 'relations', 'name').map(({ name, index }) => ({
      ...place(['relations', index]),
      message: `the relation \`${name}\` is named twice`,
    })),
  ];
  const all = [...structure, ...problems, ...duplicates];
  if (!result.success || all.length > 0) throw invalid(file, all);

  const suite = withSaid(wholeSuite(result.data), value);
  const asks = (value as { readonly prompts?: unknown }).prompts !== undefined;
  return {
    suite,
    places: {
      file,
      prompts: new Map([
        // Of probes that nobody wrote down: where their engine is named.
        ...suite.prompts.flatMap(({ id, sampling }, index) =>
          sampleIds(id, sampling?.n ?? suite.sampling.n).map(
            (one) => [one, place(asks ? ['prompts', index] : ['engine'])] as const,
          ),
        ),
        ...suite.score.map(({ id }, index) => [id, place(['score', index])] as const),
      ]),
      model: place(['model']),
      engine: place(['engine']),
      runtime: place(['runtime']),
      relations: place(['relations']),
      accept: place(['accept']),
    },
  };
}

/** Variants that no suite could be, or that are no other than theirs. */
function impossible(suite: Suite, schema: SuiteSchema, place: (path: Path) => Position): Problem[] {
  return (suite.variants ?? []).flatMap(({ name, require: _, ...change }, index) => {
    const told = (message: string) => ({
      ...place(['variants', index]),
      message: `the variant \`${name}\` ${message}`,
    });
    if (Object.keys(change).length === 0) return [told('changes nothing')];
    const changed = withChange(suite, change, schema);
    return 'ok' in changed ? [] : [told(`is no suite: ${changed.problems.join('; ')}`)];
  });
}

/** Where the model says what the suite does not, it counts what the file itself says: a default says nothing. */
function withSaid(suite: Suite, value: unknown): Suite {
  if (defaultsOf(suite.engine) === 'deterministic') return suite;
  const { sampling } = (value ?? {}) as { readonly sampling?: Readonly<Record<string, unknown>> };
  return { ...suite, said: Object.keys(sampling ?? {}) };
}

const invalid = (file: string, problems: readonly Problem[]) =>
  invalidFile(
    file,
    problems,
    'suite-invalid',
    'Correct the lines above; docs/suite.md describes every key, and schema/suite.json lets an editor check them.',
  );

/** All that is wrong with a file, line by line. */
export function invalidFile(
  file: string,
  problems: readonly Problem[],
  code: 'suite-invalid' | 'fleet-invalid',
  hint: string,
): UserError {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const places: Place[] = sorted
    .slice(0, MAX_PROBLEMS)
    .map(({ message, ...position }) => ({ file, ...position, message: shorten(message) }));
  const list = places.map((p) => `  ${p.file}:${p.line}:${p.column}  ${p.message}`).join('\n');
  const more = sorted.length > places.length ? `\n  … and ${sorted.length - places.length} more` : '';
  const count = sorted.length === 1 ? 'one problem' : `${sorted.length} problems`;
  return new UserError(code, `${file} has ${count}:\n${list}${more}`, hint, { places });
}

const shorten = (text: string) => (text.length <= MAX_MESSAGE ? text : `${text.slice(0, MAX_MESSAGE)}…`);

/** How a file's schema is to tell what is wrong. */
export const TOLD = { reportInput: true, error: bound } as const;

/**
 * One line a problem, in words of the file rather than of the schema library.
 *
 * @param error of a schema that was asked as `TOLD` says
 * @param what the file is
 */
export function problemsIn(
  error: core.$ZodError | undefined,
  place: (path: Path) => Position,
  schema: unknown,
  what = 'the suite',
): Problem[] {
  return tightest(error?.issues ?? []).flatMap((issue) => describe(issue, place, schema, what));
}

function describe(
  issue: core.$ZodIssue,
  place: (path: Path) => Position,
  schema: unknown,
  what: string,
): Problem[] {
  const where = issue.path.length === 0 ? what : `\`${pathText(issue.path)}\``;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, MAX_PROBLEMS).map((key) => ({
        ...place([...issue.path, key]),
        message: `\`${key}\` is not a key of ${where}${nearest(key, knownKeys(schema, issue.path))}`,
      }));
    case 'invalid_type':
      return [
        {
          ...place(issue.path),
          message:
            issue.input === undefined
              ? `${where} is missing: it must be ${article(issue.expected)}`
              : `${where} must be ${article(issue.expected)}${otherwise(issue)}`,
        },
      ];
    case 'invalid_value':
      return [
        {
          ...place(issue.path),
          message:
            issue.input === undefined
              ? `${where} is missing: it must be ${expectation(issue)}`
              : `${where} must be ${expectation(issue)}${meant(issue)}`,
        },
      ];
    case 'invalid_union': {
      // A branch of the right kind is what the author meant; of two, the one with fewer problems.
      const [best] = issue.errors
        .filter((inner) => !inner.some(isOfAnotherKind))
        .sort((a, b) => a.length - b.length);
      if (best !== undefined)
        return best.flatMap((inner) =>
          describe({ ...inner, path: [...issue.path, ...inner.path] }, place, schema, what),
        );
      const kinds = issue.errors.flat().filter(isOfAnotherKind);
      const wanted = [...new Set(kinds.map(expectation))].join(' or ');
      const hint = kinds.map((kind) => meant({ ...kind, input: issue.input })).join('');
      return [{ ...place(issue.path), message: `${where} must be ${wanted}${hint}${endless(issue.input)}` }];
    }
    case 'invalid_key':
      return issue.issues.map((inner) => ({ ...place(issue.path), message: `${where}: ${inner.message}` }));
    case 'custom':
    case 'invalid_element':
    case 'invalid_format':
    case 'not_multiple_of':
    case 'too_big':
    case 'too_small':
      return [{ ...place(issue.path), message: `${where}: ${issue.message}` }];
  }
}

/** What a bound asks for, where the schema has no words of its own. */
function bound(issue: core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'too_big':
      return `must ${limit(issue.origin, issue.inclusive === false ? 'less than' : 'at most', issue.maximum)}`;
    case 'too_small':
      return `must ${limit(issue.origin, issue.inclusive === false ? 'more than' : 'at least', issue.minimum)}`;
    default:
      return undefined;
  }
}

function limit(origin: string, how: string, count: number | bigint): string {
  const what = COUNTED[origin];
  return what === undefined
    ? `be ${how} ${count}`
    : `have ${how} ${count} ${count === 1 ? what[0] : what[1]}`;
}

const COUNTED: Readonly<Partial<Record<string, readonly [one: string, more: string]>>> = {
  string: ['character', 'characters'],
  array: ['entry', 'entries'],
};

/** Without the bound that every integer has, where the key's own is told. */
function tightest(issues: readonly core.$ZodIssue[]): readonly core.$ZodIssue[] {
  const least = new Map<string, number | bigint>();
  const placeOf = ({ path }: core.$ZodIssue) => path.join('\0');
  for (const issue of issues)
    if (issue.code === 'too_big') {
      const place = placeOf(issue);
      const known = least.get(place);
      if (known === undefined || issue.maximum < known) least.set(place, issue.maximum);
    }
  return issues.filter((issue) => issue.code !== 'too_big' || issue.maximum === least.get(placeOf(issue)));
}

type KindIssue = core.$ZodIssueInvalidType | core.$ZodIssueInvalidValue;

const isOfAnotherKind = (issue: core.$ZodIssue): issue is KindIssue =>
  issue.path.length === 0 && (issue.code === 'invalid_type' || issue.code === 'invalid_value');

const expectation = (issue: KindIssue) =>
  issue.code === 'invalid_type' ? article(issue.expected) : oneOf(issue.values.map(String));

function meant(issue: KindIssue): string {
  if (issue.code === 'invalid_type' || issue.values.length < 2 || typeof issue.input !== 'string') return '';
  return didYouMean(issue.input, issue.values.map(String)) ?? '';
}

/** What stands there in place of it, where YAML makes it another thing than it looks like. */
function otherwise({ expected, input }: core.$ZodIssueInvalidType): string {
  if (input === null) return ', and is empty';
  if (expected === 'string' && (typeof input === 'number' || typeof input === 'boolean'))
    return `: put it in quotes, since without them it is a ${typeof input}`;
  if (['number', 'int', 'boolean'].includes(expected) && typeof input === 'string')
    return `, and \`${input.slice(0, MAX_SHOWN)}${input.length > MAX_SHOWN ? '…' : ''}\` is a text`;
  return endless(input);
}

/** YAML has words for numbers that nothing is to be set to, and that JSON cannot hold. */
const endless = (input: unknown) =>
  typeof input === 'number' && !Number.isFinite(input) ? ', and finite' : '';

/** Characters of what was written. */
const MAX_SHOWN = 40;

function article(expected: string): string {
  switch (expected) {
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'a mapping';
    case 'int':
      return 'an integer';
    case 'null':
      return 'null';
    default:
      return `a ${expected}`;
  }
}

const oneOf = (values: readonly string[]) =>
  values.length === 1 ? `\`${values[0]}\`` : `one of ${values.map((v) => `\`${v}\``).join(', ')}`;

function nearest(wrong: string, known: readonly string[]): string {
  const list = known.length === 0 ? '' : `: known are ${known.map((name) => `\`${name}\``).join(', ')}`;
  return didYouMean(wrong, known) ?? list;
}

function pathText(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? String(step) : `.${String(step)}`))
    .join('');
}

/** Keys that the schema knows at a path. */
function knownKeys(file: unknown, path: Path): string[] {
  let schema = file;
  for (const step of path) {
    const def = definition(schema);
    schema = typeof step === 'number' ? def?.element : shapeOf(schema)?.[String(step)];
  }
  return Object.keys(shapeOf(schema) ?? {});
}

interface Definition {
  readonly innerType?: unknown;
  readonly element?: unknown;
  readonly shape?: Readonly<Record<string, unknown>>;
  readonly options?: readonly unknown[];
}

/** The definition below optional, default and union wrappers. */
function definition(schema: unknown): Definition | undefined {
  const def = (schema as { readonly def?: Definition } | undefined)?.def;
  if (def?.innerType !== undefined) return definition(def.innerType);
  const object = def?.options?.find((option) => shapeOf(option) !== undefined);
  return object === undefined ? def : definition(object);
}

const shapeOf = (schema: unknown) => definition(schema)?.shape;

/** Entries of a list whose name an earlier one has; an entry may be the name itself. */
export function repeated(value: unknown, list: string, key: string): { name: string; index: number }[] {
  const entries = (value as Readonly<Record<string, unknown>> | null)?.[list];
  if (!Array.isArray(entries)) return [];
  const seen = new Set<string>();
  return entries.flatMap((entry: unknown, index) => {
    const name =
      typeof entry === 'string' ? entry : (entry as Readonly<Record<string, unknown>> | null)?.[key];
    if (typeof name !== 'string') return [];
    if (seen.has(name)) return [{ name, index }];
    seen.add(name);
    return [];
  });
}

/** Lines of `accept` that an earlier one says already: the same record may come from several hardware classes. */
function acceptedTwice(value: unknown): number[] {
  const { accept } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(accept)) return [];
  const seen = new Set<string>();
  return accept.flatMap((entry: unknown, index) => {
    const { record, 'hardware-class': hardware } = (entry ?? {}) as Readonly<Record<string, unknown>>;
    // What else they are, the schema tells.
    if (typeof record !== 'string' || (hardware !== undefined && typeof hardware !== 'string')) return [];
    const line = `${record} ${hardware ?? ''}`;
    if (seen.has(line)) return [index];
    seen.add(line);
    return [];
  });
}

/** Texts under `score` whose id an earlier one or a prompt has. */
function textsNamedTwice(value: unknown): { name: string; index: number }[] {
  const { prompts, score } = (value ?? {}) as Readonly<Record<string, unknown>>;
  if (!Array.isArray(prompts) || !Array.isArray(score)) return [];
  return repeated({ all: [...prompts, ...score] }, 'all', 'id')
    .map(({ name, index }) => ({ name, index: index - prompts.length }))
    .filter(({ index }) => index >= 0);
}

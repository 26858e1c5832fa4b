import { distance } from 'fastest-levenshtein';
import { isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseDocument } from 'yaml';
import type { core } from 'zod';
import { type Place, UserError } from '../errors.ts';
import { Suite } from './schema.ts';

/** Largest accepted suite file in bytes. */
export const MAX_SUITE_BYTES = 1024 * 1024;

/** Where things stand in the suite's file: what annotations point at. */
export interface SuitePlaces {
  readonly file: string;
  /** Prompt id -> position of its entry. */
  readonly prompts: ReadonlyMap<string, Position>;
  readonly model: Position;
  readonly engine: Position;
  readonly runtime: Position;
  readonly relations: Position;
}

/** Both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface ParsedSuite {
  readonly suite: Suite;
  readonly places: SuitePlaces;
}

type Path = readonly PropertyKey[];
interface Problem extends Position {
  readonly message: string;
}

/**
 * Reads a suite and keeps line positions.
 *
 * @param file name shown in messages and annotations, relative to the repository
 * @throws UserError `suite-invalid` with every problem at once, each with its line and column
 */
export function parseSuite(source: string, file: string): ParsedSuite {
  if (Buffer.byteLength(source) > MAX_SUITE_BYTES)
    throw invalid(file, [
      {
        line: 1,
        column: 1,
        message: `the file is larger than ${MAX_SUITE_BYTES} bytes: move long prompts into files`,
      },
    ]);
  const lines = new LineCounter();
  const document = parseDocument(source, {
    lineCounter: lines,
    uniqueKeys: true,
    strict: true,
    merge: false,
  });
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const place = (path: Path): Position => at(offsetOf(document.contents, path));

  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    message: error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? error.code,
  }));
  if (syntax.length > 0) throw invalid(file, syntax);

  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch {
    throw invalid(file, [
      { line: 1, column: 1, message: 'anchors and aliases are not supported: write the value out' },
    ]);
  }
  const result = Suite.safeParse(value, { reportInput: true });
  const problems = result.success ? [] : result.error.issues.flatMap((issue) => describe(issue, place));
  const duplicates = duplicateIds(value).map(({ id, index }) => ({
    ...place(['prompts', index, 'id']),
    message: `the prompt id \`${id}\` is used twice`,
  }));
  if (!result.success || duplicates.length > 0) throw invalid(file, [...problems, ...duplicates]);

  const suite = result.data;
  return {
    suite,
    places: {
      file,
      prompts: new Map(suite.prompts.map((prompt, index) => [prompt.id, place(['prompts', index])])),
      model: place(['model']),
      engine: place(['engine']),
      runtime: place(['runtime']),
      relations: place(['relations']),
    },
  };
}

function invalid(file: string, problems: readonly Problem[]): UserError {
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const places: Place[] = sorted.map((problem) => ({ file, ...problem }));
  const list = places.map((p) => `  ${p.file}:${p.line}:${p.column}  ${p.message}`).join('\n');
  const count = places.length === 1 ? 'one problem' : `${places.length} problems`;
  return new UserError(
    'suite-invalid',
    `${file} has ${count}:\n${list}`,
    'Correct the lines above; docs/suite.md describes every key, and schema/suite.json lets an editor check them.',
    { places },
  );
}

/** One line a problem, in words of the file rather than of the schema library. */
function describe(issue: core.$ZodIssue, place: (path: Path) => Position): Problem[] {
  const where = issue.path.length === 0 ? 'the suite' : `\`${pathText(issue.path)}\``;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        ...place([...issue.path, key]),
        message: `\`${key}\` is not a key of ${where}${nearest(key, knownKeys(issue.path))}`,
      }));
    case 'invalid_type':
      return [
        {
          ...place(issue.path),
          message:
            issue.input === undefined
              ? `${where} is missing (expected ${issue.expected})`
              : `${where} must be ${article(issue.expected)}`,
        },
      ];
    case 'invalid_value': {
      const values = issue.values.map(String);
      const got = typeof issue.input === 'string' ? nearest(issue.input, values) : '';
      return [{ ...place(issue.path), message: `${where} must be ${oneOf(values)}${got}` }];
    }
    case 'invalid_union': {
      // The branch with the fewest problems is what the author most likely meant.
      const best = [...issue.errors].sort((a, b) => a.length - b.length)[0] ?? [];
      return best.flatMap((inner) => describe({ ...inner, path: [...issue.path, ...inner.path] }, place));
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

function article(expected: string): string {
  switch (expected) {
    case 'array':
      return 'a list';
    case 'object':
    case 'record':
      return 'a mapping';
    case 'int':
      return 'an integer';
    default:
      return `a ${expected}`;
  }
}

const oneOf = (values: readonly string[]) =>
  values.length === 1 ? `\`${values[0]}\`` : `one of ${values.map((v) => `\`${v}\``).join(', ')}`;

function nearest(wrong: string, known: readonly string[]): string {
  const [best] = known
    .map((name) => ({ name, edits: distance(wrong, name) }))
    .filter(({ name, edits }) => edits <= Math.max(2, Math.floor(name.length / 3)))
    .sort((a, b) => a.edits - b.edits);
  if (best !== undefined) return `: did you mean \`${best.name}\`?`;
  return known.length === 0 ? '' : `: known are ${known.map((name) => `\`${name}\``).join(', ')}`;
}

function pathText(path: Path): string {
  return path
    .map((step, i) => (typeof step === 'number' ? `[${step}]` : i === 0 ? String(step) : `.${String(step)}`))
    .join('');
}

/** Keys that the schema knows at a path. */
function knownKeys(path: Path): string[] {
  let schema: unknown = Suite;
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

function duplicateIds(value: unknown): { id: string; index: number }[] {
  const prompts = (value as { readonly prompts?: unknown } | null)?.prompts;
  if (!Array.isArray(prompts)) return [];
  const seen = new Set<string>();
  return prompts.flatMap((prompt: unknown, index) => {
    const id = (prompt as { readonly id?: unknown } | null)?.id;
    if (typeof id !== 'string') return [];
    if (seen.has(id)) return [{ id, index }];
    seen.add(id);
    return [];
  });
}

/** Offset of the deepest node on `path` that exists; of the key where the last step is a mapping's key. */
function offsetOf(root: unknown, path: Path): number {
  let node: unknown = root;
  let offset = start(node) ?? 0;
  for (const step of path) {
    let next: unknown;
    if (isMap(node)) {
      const pair = node.items.find(
        (item: Pair) => isScalar(item.key) && String(item.key.value) === String(step),
      );
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
}

const start = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];

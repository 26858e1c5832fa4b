import {
  type Document,
  isScalar,
  LineCounter,
  parseDocument,
  type Scalar,
  visit,
  type YAMLError,
} from 'yaml';
import { offsets, type Path, start } from './offsets.ts';

/** Nodes above a list or mapping: what reads them later, here and in the engine, does so recursively. */
const MAX_DEPTH = 128;

/** Both count from 1. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Position {
  readonly message: string;
}

/** A file of YAML, before its value is made. */
export interface Yaml {
  /** What is no YAML; where there is something, nothing else is told. */
  readonly syntax: readonly Problem[];
  /** What is YAML and would be lost, merged or changed on the way to a value. */
  readonly structure: readonly Problem[];
  /** Whether the value can be made: a few lines of aliases can stand for billions, and deep ones end in the stack's limit. */
  readonly isMade: boolean;
  value(): unknown;
  place(path: Path): Position;
}

/**
 * Reads whatever anybody may have written, in time and memory that grow with it alone.
 *
 * @param what the file is, e.g. `a suite`
 */
export function readYaml(source: string, what: string): Yaml {
  const lines = new LineCounter();
  const document = withoutStacks(() => parsed(source, lines));
  if (document === undefined) return UNREAD;
  const at = (offset: number): Position => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const offsetOf = offsets(document.contents);
  const syntax = [...document.errors, ...document.warnings].map((error) => ({
    ...at(error.pos[0]),
    message: syntaxMessage(error, what),
  }));
  const found = syntax.length > 0 ? [] : unsupported(document, source, what);
  return {
    syntax,
    structure: found.map(({ offset, message }) => ({ ...at(offset), message })),
    isMade: syntax.length === 0 && !found.some(({ spoils }) => spoils),
    value: (): unknown => document.toJS(),
    place: (path) => at(offsetOf(path)),
  };
}

/** Undefined where the library's own recursion ends at the stack's limit: it makes an error of that in some places only. */
function parsed(source: string, lineCounter: LineCounter): Document.Parsed | undefined {
  try {
    return parseDocument(source, {
      lineCounter,
      // Looked for below: the library's own search is quadratic, and so is quoting the line of each error.
      uniqueKeys: false,
      prettyErrors: false,
      strict: true,
      merge: false,
      // Else it prints keys, which are hostile text, as process warnings.
      logLevel: 'error',
    });
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The library makes an error of every wrong character, each with a stack that nobody reads: most of the memory. */
function withoutStacks<T>(work: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return work();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The library speaks to programmers in two places. */
function syntaxMessage({ code, message }: YAMLError, what: string): string {
  if (code === 'MULTIPLE_DOCS') return `a second document begins here: ${what} is one`;
  const [, tag] = /^Unresolved tag: (\S+)/.exec(message) ?? [];
  if (tag !== undefined)
    return `the tag \`${tag}\` is not supported: write the value out, or put a text in quotes`;
  if (/call stack|Stack overflow/.test(message)) return TOO_DEEP;
  const [first = code] = message.split('\n');
  const [, hint] = UNQUOTED.find(([start]) => first.startsWith(start)) ?? [];
  return hint === undefined ? first : `${first}: ${hint}`;
}

/** How the library begins where a text without quotes is no text to YAML, and what to do about it. */
const UNQUOTED = [
  ['Nested mappings are not allowed in compact', 'put a text that holds `: ` in quotes'],
  ['Plain value cannot start with', 'put the text in quotes'],
  [
    'Unexpected scalar at node end',
    'put a text that begins with `[`, `{`, `*` or a quote in quotes as a whole',
  ],
] as const;

const ALIAS = 'aliases are not supported: write the value out';
const TOO_DEEP = 'this is nested too deeply';

const UNREAD: Yaml = {
  syntax: [{ line: 1, column: 1, message: TOO_DEEP }],
  structure: [],
  isMade: false,
  value: () => undefined,
  place: () => ({ line: 1, column: 1 }),
};

interface Unsupported {
  readonly offset: number;
  readonly message: string;
  /** Whether no value is made while it stands there. */
  readonly spoils: boolean;
}

/** One that would become another number. */
function wrongInteger({ value, source = '' }: Scalar): string | undefined {
  const written = `\`${source.slice(0, 40)}${source.length > 40 ? '…' : ''}\``;
  // Of a fraction, and of a number with an exponent, everybody expects the nearest.
  return typeof value === 'number' &&
    /^[-+]?(?:\d+|0x[\da-f]+|0o[0-7]+)$/i.test(source) &&
    !Number.isSafeInteger(value) &&
    !isWritten(value, source)
    ? `${written} is too large a number to be held exactly: ${value} would be set. In quotes it is a text`
    : undefined;
}

/** Beyond 2^53 too, where what an engine is sent has the same digits. */
const isWritten = (value: number, source: string) =>
  /^-?\d+$/.test(String(value)) && BigInt(String(value)) === BigInt(source);

/** Keys of what is asked to the last letter. */
const TEXTS = ['text', 'content'];

/** What YAML takes from a text without quotes, and whoever wrote it did not see. */
function lostOf({ type, anchor, range }: Scalar, source: string): string | undefined {
  if (type !== 'PLAIN') return undefined;
  if (anchor !== undefined)
    return `\`&${anchor.slice(0, 40)}\` is an anchor to YAML, and no part of the text: put the text in quotes`;
  const [, end = 0] = range ?? [];
  return /^[ \t]+#/.test(source.slice(end, end + 1024))
    ? 'what stands behind ` #` is a comment to YAML, and no part of the text: put the text in quotes'
    : undefined;
}

/** What is valid YAML and would be lost, merged or changed on the way to a value, so that no schema could see it. */
function unsupported(document: Document.Parsed, source: string, what: string): Unsupported[] {
  const found: Unsupported[] = [];
  const problem = (node: unknown, message: string, spoils = false) => {
    found.push({ offset: start(node) ?? 0, message, spoils });
  };
  if (document.directives.yaml.version !== '1.2')
    problem(undefined, `${what} is YAML 1.2: remove the %YAML line`);
  const tooDeep = (node: unknown, above: readonly unknown[]) => {
    if (above.length <= MAX_DEPTH) return false;
    problem(node, TOO_DEEP, true);
    return true;
  };
  visit(document, {
    Alias(_, node) {
      problem(node, ALIAS, true);
    },
    Seq(_, seq, above) {
      return tooDeep(seq, above) ? visit.SKIP : undefined;
    },
    Map(_, map, above) {
      if (tooDeep(map, above)) return visit.SKIP;
      const seen = new Set<string>();
      for (const { key } of map.items) {
        const name = isScalar(key) ? key.value : undefined;
        if (typeof name !== 'string') problem(key ?? map, 'a key must be text: put it in quotes');
        else if (name === '__proto__') problem(key, '`__proto__` cannot be a key');
        else if (name === '<<') problem(key, 'merge keys are not supported: write the values out', true);
        else if (seen.has(name)) problem(key, `\`${name}\` stands here twice`);
        else seen.add(name);
      }
      return undefined;
    },
    Pair(_, { key, value }) {
      if (!isScalar(key) || !isScalar(value) || !TEXTS.includes(String(key.value))) return;
      const lost = lostOf(value, source);
      if (lost !== undefined) problem(value, lost);
    },
    Scalar(_, node) {
      if (typeof node.value === 'string' && !node.value.isWellFormed())
        problem(node, 'this text holds half of a surrogate pair, which has no UTF-8 form');
      const wrong = wrongInteger(node);
      if (wrong !== undefined) problem(node, wrong);
    },
  });
  return found;
}

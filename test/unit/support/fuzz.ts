import { UserError } from '../../../src/errors.ts';
import { random } from './records.ts';

/** Something that reads what a stranger may have written. */
export interface Surface {
  readonly name: string;
  /** Of 10,000 inputs to all surfaces: the dearer one is, the fewer. */
  readonly share: number;
  /** What it takes: all that is given to it is made of these. */
  readonly seeds: readonly Buffer[];
  /** Reads it. @throws UserError what the stranger did wrong; anything else is a crash */
  take(bytes: Buffer): unknown;
}

export interface Fuzzed {
  readonly surface: string;
  readonly inputs: number;
  readonly seconds: number;
  /** Of the slowest input. */
  readonly slowestMs: number;
  /** Inputs that were taken as they are. */
  readonly taken: number;
  /** Inputs that ended in a named error, by its code. */
  readonly named: Readonly<Record<string, number>>;
  /** Those that ended otherwise: the first ten, each with its bytes in base64. */
  readonly crashes: readonly { readonly error: string; readonly input: string }[];
}

/** Of the first batch of `npm run evidence -- --only fuzz`, which is the one that the tests give. */
export const FIRST_SEED = 20261128;

/** Gives a surface that many inputs, the same ones for the same seed. */
export async function fuzz(surface: Surface, inputs: number, seed: number): Promise<Fuzzed> {
  const below = random(seed);
  const named: Record<string, number> = {};
  const crashes: { error: string; input: string }[] = [];
  let [taken, slowestMs] = [0, 0];
  const began = performance.now();
  for (let at = 0; at < inputs; at++) {
    const input = mutated(surface.seeds, below);
    const start = performance.now();
    try {
      await surface.take(input);
      taken++;
    } catch (error) {
      if (error instanceof UserError) named[error.code] = (named[error.code] ?? 0) + 1;
      else if (crashes.length < 10)
        crashes.push({
          error: String(error instanceof Error ? error.stack : error),
          input: input.toString('base64'),
        });
    }
    slowestMs = Math.max(slowestMs, performance.now() - start);
  }
  const seconds = (performance.now() - began) / 1000;
  return { surface: surface.name, inputs, seconds, slowestMs, taken, named, crashes };
}

type Below = (below: number) => number;

/** A seed after one to four changes, half of them in its bytes and half, where it is JSON, in its values. */
function mutated(seeds: readonly Buffer[], below: Below): Buffer {
  let bytes = of(seeds, below);
  for (let left = 1 + below(4); left > 0; left--) {
    const grafted = below(2) === 0 ? withValue(bytes, below) : undefined;
    bytes = grafted ?? withBytes(bytes, seeds, below);
  }
  return bytes;
}

/** What parsers stumble over, in as many words as they read. */
const TOKENS = [
  ...[
    '',
    '\0',
    '\n',
    '\r\n',
    '\t',
    ' ',
    '"',
    "'",
    '`',
    '\\',
    '{',
    '}',
    '[',
    ']',
    ':',
    ',',
    '#',
    '&a',
    '*a',
    '!!js',
    '<<',
  ],
  ...[
    '---',
    '...',
    '|',
    '>',
    '%',
    '@',
    '-',
    '?',
    'null',
    'true',
    '~',
    'NaN',
    '.inf',
    '-0',
    '1e999',
    '0x1',
    '0o7',
    '1_000',
  ],
  ...[
    '9007199254740993',
    '4294967296',
    '-1',
    '1.5',
    '²',
    '٣',
    '9'.repeat(5000),
    '__proto__',
    'constructor',
    'toString',
  ],
  ...[
    '\u2028',
    '\ufeff',
    '\u202e',
    '\ud83d',
    '\\ud800',
    '\u001b[2J',
    '::error::x',
    '##[error]',
    '<!ENTITY a "b">',
    '<![CDATA[',
  ],
  ...[
    '..',
    '/',
    '/etc/passwd',
    '../../',
    'x'.repeat(70_000),
    '['.repeat(20_000),
    '{"a":'.repeat(5000),
    '- '.repeat(3000),
  ],
].map((token) => Buffer.from(token));

function withBytes(bytes: Buffer, seeds: readonly Buffer[], below: Below): Buffer {
  const at = below(bytes.length + 1);
  const [head, tail] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (below(8)) {
    case 0: {
      const copy = Buffer.from(bytes);
      const one = copy[at];
      if (one !== undefined) copy[at] = one ^ (1 << below(8));
      return copy;
    }
    case 1:
      return Buffer.concat([head, Buffer.from([below(256)]), tail.subarray(1)]);
    case 2:
      return Buffer.concat([head, tail.subarray(1 + below(64))]);
    case 3:
      return Buffer.concat([head, of(TOKENS, below), tail]);
    case 4:
      return Buffer.concat([head, of(TOKENS, below), tail.subarray(1 + below(16))]);
    case 5: {
      const again = tail.subarray(0, 1 + below(128));
      return Buffer.concat([head, ...Array.from({ length: 1 + below(8) }, () => again), tail]);
    }
    case 6:
      return head;
    default: {
      const other = of(seeds, below);
      return Buffer.concat([head, other.subarray(below(other.length + 1))]);
    }
  }
}

/** JSON with one of its values, or the name of one, exchanged; undefined where it is none, or too deep to walk. */
function withValue(bytes: Buffer, below: Below): Buffer | undefined {
  const lines = bytes.toString('utf8').split('\n');
  const line = below(lines.length);
  try {
    const root: unknown = JSON.parse(lines.length > 200 ? (lines[line] ?? '') : lines.join('\n'));
    return written(exchanged(root, below));
  } catch {
    try {
      lines[line] = written(exchanged(JSON.parse(lines[line] ?? ''), below)).toString();
      return Buffer.from(lines.join('\n'));
    } catch {
      return undefined;
    }
  }
}

/** Stands for lists in lists, deeper than anybody can write out who goes down step by step. */
const ABYSS = 'abyss';
const LEVELS = 8000;

const written = (value: unknown): Buffer =>
  Buffer.from(JSON.stringify(value).replaceAll(`"${ABYSS}"`, () => '['.repeat(LEVELS) + ']'.repeat(LEVELS)));

const NAMES = ['__proto__', 'constructor', 'toString', 'length', '', 'a'];

function exchanged(value: unknown, below: Below): unknown {
  if (typeof value !== 'object' || value === null || below(8) === 0) return anyValue(below);
  if (Array.isArray(value)) {
    const at = below(value.length + 1);
    const members: readonly unknown[] = value;
    if (below(6) === 0) return [...members, ...members.slice(at)];
    return members.length === 0
      ? [anyValue(below)]
      : members.with(at % members.length, exchanged(members[at % members.length], below));
  }
  const entries = Object.entries(value);
  const at = below(entries.length);
  const [name, member] = entries[at] ?? ['a', null];
  const what = below(8);
  if (what === 0) entries.splice(at, 1);
  else if (what === 1) entries.push([of(NAMES, below), anyValue(below)]);
  else entries[at] = [name, exchanged(member, below)];
  return Object.fromEntries(entries);
}

function anyValue(below: Below): unknown {
  switch (below(30)) {
    case 0:
      return ABYSS;
    case 1:
    case 2:
      return null;
    case 3:
    case 4:
      return below(2) === 0;
    case 5:
    case 6:
    case 7:
      return of([0, -0, -1, 1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, Number.MIN_VALUE], below);
    case 8:
    case 9:
      return below(1_000_000);
    case 10:
    case 11:
      return [];
    case 12:
    case 13:
      return {};
    case 14:
    case 15:
      return Object.fromEntries(NAMES.map((name) => [name, below(9)]));
    case 16:
      return Array.from({ length: below(2000) }, (_, at) => at);
    case 17:
      return nested(below(300));
    default:
      return of(TOKENS, below).toString();
  }
}

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let left = depth; left > 0; left--) value = left % 2 === 0 ? [value] : { a: value };
  return value;
}

function of<T>(values: readonly T[], below: Below): T {
  const value = values[below(values.length)];
  if (value === undefined) throw new Error('nothing to choose from');
  return value;
}

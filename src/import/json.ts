import type { Problems } from './problems.ts';

/** One value of a file, and where it begins. */
export interface JsonValue {
  readonly line: number;
  readonly value: unknown;
}

/** Deeper than anything that is read. */
const MAX_DEPTH = 24;
/** Values of one file that are looked at. */
const MAX_LINES = 1_000_000;

/**
 * A file of one JSON value, or of one a line: by what it holds, not by its name. Undefined, and a problem for each line that
 * is none, where it is neither.
 */
export function readJson(source: string, file: string, problems: Problems): JsonValue[] | undefined {
  const text = source.replace(/^\ufeff/, '');
  const whole = parsed(text);
  if ('value' in whole)
    return sound(whole.value, file, 1, problems) ? [{ line: 1, value: whole.value }] : undefined;
  const lines = text.split('\n');
  // What does not begin as a list of values is one value that is broken: its own line says where.
  if (lines.filter((line) => line.trim() !== '').length < 2 || !('value' in parsed(lines[0] ?? ''))) {
    problems.add(file, whole.line, `is no JSON: ${whole.reason}`);
    return undefined;
  }
  if (lines.length > MAX_LINES) {
    problems.add(file, MAX_LINES, `has more than ${MAX_LINES} lines`);
    return undefined;
  }
  const values: JsonValue[] = [];
  let isWhole = true;
  for (const [at, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const one = parsed(line);
    if (!('value' in one)) {
      problems.add(file, at + 1, `is no JSON: ${one.reason}`);
      isWhole = false;
    } else if (sound(one.value, file, at + 1, problems)) values.push({ line: at + 1, value: one.value });
    else isWhole = false;
  }
  return isWhole ? values : undefined;
}

function parsed(
  text: string,
): { readonly value: unknown } | { readonly line: number; readonly reason: string } {
  try {
    return { value: JSON.parse(text) };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // Its own line is of what was parsed, which may be a line of a file.
    const told = reason
      .replace(/, (?:\.{3})?"[\s\S]*is not valid JSON$/, '')
      .replace(/ in JSON at position \d+(?: \(line \d+ column (\d+)\))?$/, (_, column?: string) =>
        column === undefined ? '' : ` at column ${column}`,
      );
    return { line: brokenLine(text), reason: told };
  }
}

/**
 * The line of a text's first mistake: up to the end of the one before, more could still have made it whole. No text in JSON goes
 * on over a line's end.
 */
function brokenLine(text: string): number {
  const ends = [...text.trimEnd().matchAll(/\n|$/g)].map(({ index }) => index);
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (isUnfinished(text.slice(0, (ends[middle] ?? 0) + 1))) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}

function isUnfinished(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : '';
    const [, position] = /at position (\d+)/.exec(reason) ?? [];
    return position === undefined
      ? /^Unexpected end of JSON input/.test(reason)
      : Number(position) >= text.length;
  }
}

/** Neither too deep for what reads it later, nor with half of a character in it. Without recursion. */
function sound(value: unknown, file: string, line: number, problems: Problems): boolean {
  let level: unknown[] = [value];
  for (let depth = 0; level.length > 0; depth++) {
    if (depth > MAX_DEPTH) {
      problems.add(file, line, `is nested deeper than ${MAX_DEPTH} levels`);
      return false;
    }
    const next: unknown[] = [];
    for (const one of level) {
      if (typeof one === 'string' && !one.isWellFormed()) {
        problems.add(file, line, 'holds half of a surrogate pair, which has no UTF-8 form');
        return false;
      }
      if (typeof one === 'object' && one !== null) for (const inner of Object.values(one)) next.push(inner);
    }
    level = next;
  }
  return true;
}

export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** A member of whatever it is; undefined where it has none. */
export const member = (value: unknown, name: string): unknown =>
  isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;

export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

import type { Case, FieldClass } from './types.ts';

/** Of a case that tells all of a kind, and has no such field. */
export const NONE = '(none)';

/** What nobody told of a case. */
export const UNTOLD = -1;

/** Fields that take other values together. */
export interface Column extends FieldClass {
  /** Of each row a number for its value; `UNTOLD`. */
  readonly codes: Int32Array;
  /** Of each number, the value of each field. */
  readonly texts: readonly (readonly string[])[];
}

/** One field of some rows. */
interface Coded {
  readonly field: string;
  readonly codes: Int32Array;
  readonly texts: readonly string[];
  readonly told: number;
}

/** Environments in numbers. Rows are cases, by their place in the list. */
export interface Table {
  readonly rows: readonly number[];
  /** One for each class of fields that vary, whatever they say. */
  readonly columns: readonly Column[];
  /** Fields that are the same wherever they are told. */
  readonly constant: readonly { readonly field: string; readonly told: number }[];
}

export function tableOf(cases: readonly Case[], rows: readonly number[]): Table {
  const coded = code(cases, rows);
  const constant = coded.filter(({ texts }) => texts.length < 2);
  const classes = new Map<number, Coded[][]>();
  for (const one of coded) {
    if (one.texts.length < 2) continue;
    const key = hashOf(one.codes);
    const alike = classes.get(key) ?? [];
    classes.set(key, alike);
    const own = alike.find(([first]) => first !== undefined && isEqual(first.codes, one.codes));
    if (own === undefined) alike.push([one]);
    else own.push(one);
  }
  const columns = [...classes.values()].flat().flatMap((members): Column[] => {
    const [first] = members;
    if (first === undefined) return [];
    const { codes, told, texts } = first;
    return [
      {
        fields: members.map(({ field }) => field),
        ...{ codes, told, values: texts.length },
        texts: texts.map((_, at) => members.map((one) => one.texts[at] ?? '')),
      },
    ];
  });
  return { rows, columns, constant: constant.map(({ field, told }) => ({ field, told })) };
}

/** Numbers by first appearance: fields that vary alike have equal ones. */
function code(cases: readonly Case[], rows: readonly number[]): Coded[] {
  const fields = new Map<string, { codes: Int32Array; known: Map<string, number>; told: number }>();
  for (const [at, row] of rows.entries())
    for (const [field, value] of cases[row]?.facts ?? []) {
      let one = fields.get(field);
      if (one === undefined) {
        one = { codes: new Int32Array(rows.length).fill(UNTOLD), known: new Map(), told: 0 };
        fields.set(field, one);
      }
      let number = one.known.get(value);
      if (number === undefined) {
        number = one.known.size;
        one.known.set(value, number);
      }
      one.codes[at] = number;
      one.told++;
    }
  return [...fields].map(([field, { codes, known, told }]) => {
    const texts = [...known.keys()];
    const none = told < rows.length ? fillNone(cases, rows, field, codes, texts.length) : 0;
    if (none === 0) return { field, codes, told, texts };
    return { field, told: told + none, ...renumbered(codes, [...texts, NONE]) };
  });
}

/** By first appearance, as all others. */
function renumbered(codes: Int32Array, texts: readonly string[]): Pick<Coded, 'codes' | 'texts'> {
  const fresh = new Map<number, number>();
  const numbers = codes.map((code) => {
    if (code === UNTOLD) return UNTOLD;
    const number = fresh.get(code) ?? fresh.size;
    fresh.set(code, number);
    return number;
  });
  return { codes: numbers, texts: [...fresh.keys()].map((code) => texts[code] ?? '') };
}

/** Cases that tell all of a field's kind have none of it, which is a value. @returns how many */
function fillNone(
  cases: readonly Case[],
  rows: readonly number[],
  field: string,
  codes: Int32Array,
  none: number,
): number {
  const [kind = ''] = field.split(' ', 1);
  let count = 0;
  for (const [at, row] of rows.entries())
    if (codes[at] === UNTOLD && cases[row]?.whole?.has(kind)) {
      codes[at] = none;
      count++;
    }
  return count;
}

function hashOf(codes: Int32Array): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < codes.length; i++) hash = Math.imul(hash ^ (codes[i] ?? 0), 0x0100_0193);
  return hash;
}

function isEqual(a: Int32Array, b: Int32Array): boolean {
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Number of the combination of values of each row, from 0; `UNTOLD` where one of them is. */
export function combined(columns: readonly Column[], rows: number): { codes: Int32Array; count: number } {
  let codes = new Int32Array(rows);
  let count = 1;
  for (const column of columns) {
    const seen = new Map<number, number>();
    const next = new Int32Array(rows);
    for (let i = 0; i < rows; i++) {
      const [before, own] = [codes[i] ?? UNTOLD, column.codes[i] ?? UNTOLD];
      if (before === UNTOLD || own === UNTOLD) {
        next[i] = UNTOLD;
        continue;
      }
      const key = before * column.values + own;
      let number = seen.get(key);
      if (number === undefined) {
        number = seen.size;
        seen.set(key, number);
      }
      next[i] = number;
    }
    codes = next;
    count = seen.size;
  }
  return { codes, count };
}

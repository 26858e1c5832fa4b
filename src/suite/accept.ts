import { isCollection, isMap, isScalar, isSeq, type Node, parseDocument } from 'yaml';
import type { Acceptance } from './schema.ts';

export interface Edited {
  readonly source: string;
  /** Where the new entry begins, from 1. */
  readonly line: number;
}

/**
 * Writes one more acceptance into a suite's text, after those that are there. Not a byte of the rest changes, so that
 * comments, order and quotes stay.
 *
 * @param source of a suite that parses
 */
export function addAcceptance(source: string, acceptance: Acceptance): Edited {
  const newline = source.includes('\r\n') ? '\r\n' : '\n';
  const root = parseDocument(source).contents;
  if (!isMap(root)) throw new Error('a suite is a mapping');
  const pair = root.items.find(({ key }) => isScalar(key) && key.value === 'accept');
  const list = pair?.value;
  // All on one line, as JSON is: no entry of its own can stand below it.
  if (root.flow === true && !isSeq(list))
    return insert(source, lastOf(root), `, accept: [${flow(acceptance)}]`);
  if (!isSeq(list)) {
    const at = endOfDocument(source);
    const before = at > 0 && source[at - 1] !== '\n' ? newline : '';
    return insert(source, at, [`${before}accept:`, ...block(acceptance, '  '), ''].join(newline));
  }
  const last = list.items.at(-1);
  if (list.flow === true) {
    const [start, end] = rangeOf(list);
    if (last !== undefined) return insert(source, rangeOf(last)[1], `, ${flow(acceptance)}`);
    return insert(source.slice(0, start + 1) + source.slice(end - 1), start + 1, flow(acceptance));
  }
  const [start, end] = rangeOf(last);
  const at = source[end - 1] === '\n' ? end : endOfLine(source, end);
  const dash = source.lastIndexOf('-', start - 1);
  const indent = source.slice(source.lastIndexOf('\n', dash) + 1, dash);
  const before = source[at - 1] === '\n' ? '' : newline;
  return insert(source, at, `${before}${[...block(acceptance, indent), ''].join(newline)}`);
}

function insert(source: string, at: number, text: string): Edited {
  const line =
    source.slice(0, at).split('\n').length + text.slice(0, text.indexOf('record:')).split('\n').length - 1;
  return { source: source.slice(0, at) + text + source.slice(at), line };
}

const block = ({ record, reason, 'hardware-class': hardwareClass }: Acceptance, indent: string) => [
  `${indent}- record: ${record}`,
  ...(hardwareClass === undefined ? [] : [`${indent}  hardware-class: ${hardwareClass}`]),
  `${indent}  reason: ${JSON.stringify(reason)}`,
];

const flow = ({ record, reason, 'hardware-class': hardwareClass }: Acceptance) =>
  `{ record: ${record}${hardwareClass === undefined ? '' : `, hardware-class: ${hardwareClass}`}, reason: ${JSON.stringify(reason)} }`;

/** Before a line that ends the document. */
function endOfDocument(source: string): number {
  const ended = /^\.\.\.(?:\s|$)/m.exec(source);
  return ended === null ? source.length : ended.index;
}

function endOfLine(source: string, from: number): number {
  const end = source.indexOf('\n', from);
  return end === -1 ? source.length : end + 1;
}

function lastOf(map: { readonly items: readonly { readonly key: unknown; readonly value: unknown }[] }) {
  const last = map.items.at(-1);
  return rangeOf(last?.value ?? last?.key)[1];
}

function rangeOf(node: unknown): readonly [number, number] {
  const range = isCollection(node) || isScalar(node) ? (node as Node).range : undefined;
  if (range === undefined || range === null) throw new Error('a node of a parsed document has its place');
  return [range[0], range[1]];
}

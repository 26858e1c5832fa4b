/*
 * What an engine runs or reads beside the pinned engine and the pinned model's tensors. Nothing of it is refused to
 * people who may write here: their review decides. But they should see it, and a stranger's change may not bring it.
 */

import { readServe, roughly } from './serve.ts';

type Json = unknown;

/** Formats in which a tensor's file can hold a program. */
const PICKLED_FILE = /\.(?:bin|pt|pth|ckpt|pkl|pickle)$/i;
const PICKLED_FORMATS: ReadonlySet<unknown> = new Set(['pt', 'npcache']);
/** `package.module.Thing`, as an engine imports it by name. */
const IMPORTABLE = /^[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?::\w+)?$/;

/** Arguments that bring code, or files from elsewhere than the model's folder; a phrase each. */
export function codeInArguments(args: Readonly<Record<string, Json>>): readonly string[] {
  return leaves(args).flatMap(([path, value]) => {
    const name = `\`${path}\``;
    if (/(?:^|\.)trust_remote_code$/.test(path))
      return isOff(value) ? [] : [`${name} runs Python that comes with the model`];
    if (/(?:^|\.)load_format$/.test(path) && PICKLED_FORMATS.has(value))
      return [`${name} reads pickled weights, which can hold a program`];
    if (typeof value !== 'string') return [];
    if (isPlace(value)) return [`${name} names a place outside of the model: ${clip(value)}`];
    return IMPORTABLE.test(value) ? [`${name} names code to import: ${clip(value)}`] : [];
  });
}

/** The same of a deployment's command line, before the engine's own parser sees it; its own names for flags. */
export function codeInServe(line: string | undefined): readonly string[] {
  const read = line === undefined ? undefined : readServe(line);
  if (read === undefined || 'problem' in read) return [];
  const said = Object.entries(roughly(read.ok.words)).filter(([name]) => !NAMES_NOTHING.has(name));
  return codeInArguments(Object.fromEntries(said.map(([name, value]) => [name, parsed(value)])));
}

/** Flags of the server that are dropped, and may hold a slash or a dot. */
const NAMES_NOTHING: ReadonlySet<string> = new Set([
  ...['served_model_name', 'host', 'root_path', 'download_dir', 'allowed_origins'],
  ...['ssl_keyfile', 'ssl_certfile', 'ssl_ca_certs', 'otlp_traces_endpoint'],
]);

/** An argument may be written as JSON. */
function parsed(value: string | boolean): Json {
  if (typeof value !== 'string' || !/^[[{]/.test(value)) return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Files of a model that can hold a program. */
export const pickledIn = (files: readonly { readonly path: string }[]): readonly string[] =>
  files.flatMap(({ path }) => (PICKLED_FILE.test(path) ? [path] : []));

/** One word with a slash, or whatever begins as a path does. */
const isPlace = (text: string) =>
  /\s/.test(text) ? /^(?:[/~]|\.{1,2}\/).*$/.test(text) : /[/\\]|^\.{1,2}$|^~/.test(text);

const isOff = (value: Json) => value === undefined || value === null || value === false;

/** Every value that is no list and no mapping, by its path. */
function leaves(value: Json, path = ''): readonly (readonly [path: string, value: Json])[] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
}

const clip = (text: string) => (text.length <= 100 ? text : `${text.slice(0, 100)}…`);

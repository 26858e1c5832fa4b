/*
 * A deployment's own command line. Here it is only cut into words, as a shell would cut them, and rid of what nobody may
 * record: what its flags mean, the engine's own parser knows, in the version that runs.
 */

/** A command line without its model and its secrets. */
export interface ServeLine {
  /** `NAME serve`, or the module that Python runs; empty where it begins with a flag. */
  readonly program: string;
  /** As it names it; undefined where it names none. */
  readonly model: string | undefined;
  /** Flags and their values. */
  readonly words: readonly string[];
  /** Flags that are left out here: secrets, whose values go nowhere. */
  readonly dropped: readonly string[];
}

type Read<T> = { readonly ok: T } | { readonly problem: string };

/** Their values are nobody's business; abbreviations count. */
const SECRET = /^--(?:api-k.*|hf-t.*|.*(?:password|secret).*|.*-(?:key|token))$/;

export function readServe(source: string): Read<ServeLine> {
  const split = splitWords(source);
  if ('problem' in split) return split;
  const { program, rest } = programOf(split.ok);
  // The server's positional argument stands first.
  const [first] = rest;
  const positional = first !== undefined && !first.startsWith('-') ? first : undefined;
  const words: string[] = [];
  const dropped: string[] = [];
  let model = positional;
  const flags = positional === undefined ? rest : rest.slice(1);
  for (let at = 0; at < flags.length; at++) {
    const word = flags[at] ?? '';
    const [flag, value] = cut(word);
    if (flag === '--model') {
      model = value ?? flags[++at];
      continue;
    }
    if (!SECRET.test(flag)) {
      words.push(word);
      continue;
    }
    dropped.push(flag);
    // Several may follow one flag.
    if (value === undefined) while (flags[at + 1]?.startsWith('-') === false) at++;
  }
  return { ok: { program, model, words, dropped: [...new Set(dropped)] } };
}

function programOf(words: readonly string[]): { readonly program: string; readonly rest: readonly string[] } {
  const [first = '', second = '', third = ''] = words;
  if (first.startsWith('-')) return { program: '', rest: words };
  const name = first.slice(first.lastIndexOf('/') + 1);
  if (/^python[\d.]*$/.test(name) && second === '-m') return { program: third, rest: words.slice(3) };
  return { program: `${name} ${second}`, rest: words.slice(2) };
}

/** `--flag=value`; names as the engine's parser takes them, with dashes. */
function cut(word: string): readonly [flag: string, value: string | undefined] {
  const at = word.indexOf('=');
  const flag = at < 0 ? word : word.slice(0, at);
  return [
    flag.startsWith('--') ? `--${flag.slice(2).replaceAll('_', '-')}` : flag,
    at < 0 ? undefined : word.slice(at + 1),
  ];
}

/**
 * What the flags say, roughly: for whoever has to know before the engine's parser does. A flag without a value is true,
 * `--no-flag` is false, all else is text.
 */
export function roughly(words: readonly string[]): Readonly<Record<string, string | boolean>> {
  const found: Record<string, string | boolean> = {};
  for (let at = 0; at < words.length; at++) {
    const [flag, value] = cut(words[at] ?? '');
    if (!flag.startsWith('-')) {
      // One more value of a list, or a stray word: whoever looks for code has to see it too.
      found[`word_${at}`] = flag;
      continue;
    }
    const name = flag.replace(/^-+/, '').replaceAll('-', '_');
    const next = words[at + 1];
    if (value !== undefined) found[name] = value;
    else if (next !== undefined && !next.startsWith('-')) {
      found[name] = next;
      at++;
    } else if (name.startsWith('no_')) found[name.slice(3)] = false;
    else found[name] = true;
  }
  return found;
}

/** What a shell would make something else of, were it not in quotes. */
const SHELL = /[$`;|&<>()*?~#!]/;

/** Cuts as a POSIX shell does, without one: nothing is put in the place of a variable, and no command runs. */
export function splitWords(source: string): Read<readonly string[]> {
  const words: string[] = [];
  let word: string | undefined;
  let quote: '"' | "'" | undefined;
  const problem = (what: string) => ({ problem: what });
  for (let at = 0; at < source.length; at++) {
    const one = source.charAt(at);
    if (quote === "'") {
      if (one === quote) quote = undefined;
      else word = `${word ?? ''}${one}`;
    } else if (one === '\\') {
      const next = source.charAt(at + 1);
      at++;
      if (next === '') return problem('it ends in a `\\`');
      if (next === '\n') continue;
      word = `${word ?? ''}${quote === '"' && !/["\\$`]/.test(next) ? one : ''}${next}`;
    } else if (one === '$' || one === '`')
      return problem(
        `\`${one}\` asks a shell for something, and there is none: write the value out, or put it in single quotes`,
      );
    else if (quote === '"') {
      if (one === quote) quote = undefined;
      else word = `${word ?? ''}${one}`;
    } else if (one === '"' || one === "'") {
      quote = one;
      word ??= '';
    } else if (/\s/.test(one)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (SHELL.test(one))
      return problem(`\`${one}\` means something to a shell, and there is none: put it in quotes`);
    else word = `${word ?? ''}${one}`;
  }
  if (quote !== undefined) return problem(`the quote \`${quote}\` is never closed`);
  if (word !== undefined) words.push(word);
  return { ok: words };
}

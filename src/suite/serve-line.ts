import type { ModelChoice } from './starter.ts';

export interface ServeLine extends ModelChoice {
  readonly engine: string;
  /** By the engine's own names. */
  readonly args: Readonly<Record<string, string | number | boolean>>;
  /** GPUs that it splits the model over. */
  readonly gpus: number;
  /** Flags that have no counterpart in a suite. Without their values: one may be a key. */
  readonly left: readonly string[];
}

/** How an engine is served. */
export interface Server {
  readonly engine: string;
  /** Of the command line, before `serve`. */
  readonly program: string;
  /** Its flags that are arguments of the engine's constructor too, and change what it computes. */
  readonly flags: readonly string[];
}

/** Reads `PROGRAM serve MODEL --flag value …`; undefined for another command. */
export function readServeLine(line: string, servers: readonly Server[]): ServeLine | undefined {
  const words = [...line.matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
  const serve = words.indexOf('serve');
  const program = words[serve - 1]?.split('/').at(-1);
  const server = serve === -1 ? undefined : servers.find((one) => one.program === program);
  if (server === undefined) return undefined;
  let model: string | undefined;
  let revision: string | undefined;
  const args: Record<string, string | number | boolean> = {};
  const left: string[] = [];
  const rest = words.slice(serve + 1);
  while (rest.length > 0) {
    const word = rest.shift() ?? '';
    if (!word.startsWith('-')) {
      if (model === undefined) model = word;
      else left.push('(a second word)');
      continue;
    }
    const [flag = '', given] = word.split(/=(.*)/s);
    const hasValue = given !== undefined || (rest[0] !== undefined && !rest[0].startsWith('-'));
    const value = given ?? (hasValue ? (rest.shift() ?? '') : 'true');
    const name = flag.replace(/^-+/, '').replaceAll('_', '-');
    if (name === 'model') model = value;
    else if (name === 'revision') revision = value;
    else if (server.flags.includes(name)) args[name.replaceAll('-', '_')] = scalar(value);
    else left.push(flag.replaceAll(/[^\w-]/g, ''));
  }
  if (model === undefined) return undefined;
  const sizes = [args['tensor_parallel_size'], args['pipeline_parallel_size']];
  const gpus = sizes.reduce<number>((all, one) => all * (typeof one === 'number' ? one : 1), 1);
  return { engine: server.engine, model, revision, args, gpus, left };
}

const scalar = (value: string): string | number | boolean =>
  value === 'true' || value === 'false'
    ? value === 'true'
    : /^\d+(\.\d+)?$/.test(value)
      ? Number(value)
      : value;

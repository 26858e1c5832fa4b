import { readServe, roughly } from './serve.ts';
import type { ModelChoice } from './starter.ts';

export interface ServeLine extends ModelChoice {
  readonly engine: string;
  /** As a suite's `engine.serve` takes it, for a model: without secrets and without a revision, which the suite has itself. */
  serve(model: string): string;
  /** GPUs that it splits the model over. */
  readonly gpus: number;
  /** Flags that are secrets, and go nowhere. */
  readonly left: readonly string[];
}

/** How an engine is served. */
export interface Server {
  readonly engine: string;
  /** How a command line begins: `NAME serve`, or the module that Python runs. */
  readonly programs: readonly string[];
}

/**
 * Reads the command line that serves a model today.
 *
 * @returns why it cannot be one of a suite, where it cannot
 */
export function readServeLine(
  line: string,
  servers: readonly Server[],
): ServeLine | { readonly problem: string } {
  const read = readServe(line);
  if ('problem' in read) return read;
  const { program, model, words, dropped } = read.ok;
  const server = servers.find(({ programs }) => programs.includes(program));
  if (server === undefined || model === undefined)
    return {
      problem: `it must begin with ${servers
        .flatMap(({ programs }) => programs.map((one) => `\`${one}\``))
        .join(
          ' or ',
        )} (of a Python: \`python -m\`) and name a model; variables before it belong under \`engine.env\``,
    };
  const values = roughly(words);
  if ('config' in values) return { problem: '`--config` names a file of flags: write them out' };
  const kept = withoutRevision(words);
  const size = (...names: readonly string[]) =>
    names.map((name) => Number(values[name])).find((one) => Number.isInteger(one) && one > 0) ?? 1;
  const { revision } = values;
  return {
    engine: server.engine,
    model,
    revision: typeof revision === 'string' ? revision : undefined,
    gpus: size('tensor_parallel_size', 'tp') * size('pipeline_parallel_size', 'pp'),
    left: dropped,
    serve: (named) =>
      [
        ...(program.includes(' ') ? program.split(' ') : ['python', '-m', program, '--model']),
        ...[named, ...kept].map(quoted),
      ].join(' '),
  };
}

/** `model.revision` has it, as a commit. */
function withoutRevision(words: readonly string[]): string[] {
  const at = words.findIndex((word) => /^--revision(?:=|$)/.test(word));
  if (at === -1) return [...words];
  return words.toSpliced(at, words[at] === '--revision' ? 2 : 1);
}

/** As a shell has it, where it would read something else. */
const quoted = (word: string) =>
  /^[\w./:@%+=,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

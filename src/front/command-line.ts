import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { UserError } from '../errors.ts';
import { didYouMean } from '../suite/nearest.ts';
import { readChange } from './change.ts';
import type { Invocation } from './command.ts';
import { FLAG_NAMES, flagNamed, OPTIONS } from './flags.ts';
import { parseInputs } from './inputs.ts';
import { ARGUMENTS, modes, unreadFlags } from './modes.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What a command line asks for; where that is only a text, which.
 *
 * @param words behind the program's name
 * @param harness folder of the harness's files
 * @throws UserError `input-invalid` for an unknown command, flag or value, one too many and one too few
 */
export function readCommandLine(
  words: readonly string[],
  environment: Environment,
  harness: string,
): Invocation | 'help' | 'version' {
  const usage = (message: string, cause?: unknown) =>
    new UserError('input-invalid', message, '`deterministic-ml --help` lists commands and options.', {
      cause,
    });
  let parsed: ReturnType<typeof parseFlags>;
  try {
    parsed = parseFlags(words);
  } catch (cause) {
    throw usage(unknownFlag(words) ?? (cause instanceof Error ? cause.message : String(cause)), cause);
  }
  const { values, positionals } = parsed;
  const [name = '', file, ...rest] = positionals;
  if (values.help === true || name === 'help') return 'help';
  if (values.version === true) return 'version';
  const twice = givenTwice(parsed.tokens);
  if (twice !== undefined) throw usage(twice);
  const mode = modes.find((candidate) => candidate.name === name);
  if (mode === undefined)
    throw usage(name === '' ? 'A command is missing.' : unknown(name, 'a command', modes));
  const { what, ...argument } = ARGUMENTS[mode.takes];
  if (rest.length > 0 && !('several' in argument)) throw usage(`\`${rest[0]}\` is one argument too many.`);
  if (file !== undefined && mode.takes === 'nothing') throw usage(`\`${name}\` takes no argument.`);
  if (file === undefined && what !== undefined) throw usage(`\`${name}\` needs ${what}.`);
  const given = FLAG_NAMES.filter((flag) => values[flag] !== undefined);
  const unread = unreadFlags(mode, given);
  if (unread !== undefined) throw usage(unread);
  const { 'record-path': recordPath, 'baseline-path': baselinePath } = values;
  const { arg, env, require, watch = false, 'watch-path': sources = [], ...single } = values;
  if (watch && door(environment) === 'action')
    throw usage('`--watch` waits for somebody who saves a file, and in a workflow nobody does.');
  if (!watch && sources.length > 0)
    throw usage('`--watch-path` says what `--watch` looks at, which is missing.');
  const flags: Readonly<Record<string, string | boolean | undefined>> = {
    'record-path': `.deterministic-ml/records/${new Date().toISOString().replaceAll(':', '-')}`,
    ...single,
    'github-token': environment['GITHUB_TOKEN'],
    'hub-token': environment['HF_TOKEN'],
    'endpoint-key': environment['OPENAI_API_KEY'],
    [mode.takes]: file,
  };
  const input = (flag: string) => String(flags[flag] ?? '').trim();
  const paths = positionals.slice(1).map((path) => resolve(path));
  const named = {
    reportPath: file ?? '',
    days: file,
    code: file,
    shell: file,
    fleetPath: file,
    recordsPath: values.records,
    suitePath: values.suite,
    watch: watch ? { sources: sources.map((path) => resolve(path)) } : undefined,
    init: {
      ...{ from: values.from, model: values.model, engine: values.engine, image: values.image },
      ...{ gpus: values.gpus, force: values.force === true },
      action: values.action ?? 'org/deterministic-ml-action@v1',
    },
    recordPath,
    baselinePath,
    paths,
    ...(name === 'compare' ? readChange({ ...single, arg, env, require }) : {}),
  };
  const inputs = parseInputs(input, door(environment), localEnvironment(environment), harness, {
    mode,
    named,
  });
  return { inputs, json: values.json === true };
}

const parseFlags = (words: readonly string[]) =>
  parseArgs({ args: [...words], options: OPTIONS, allowPositionals: true, strict: true, tokens: true });

/** The first flag that there is not; undefined where what is wrong is something else. */
function unknownFlag(words: readonly string[]): string | undefined {
  const end = words.indexOf('--');
  for (const word of end < 0 ? words : words.slice(0, end)) {
    const [, name] = /^--([^=]+)/.exec(word) ?? [];
    if (name !== undefined && !FLAG_NAMES.some((flag) => flag === name))
      return unknown(
        word,
        'a flag',
        FLAG_NAMES.map((flag) => ({ name: `--${flag}` })),
      );
  }
  return undefined;
}

const unknown = (word: string, what: string, known: readonly { readonly name: string }[]) =>
  `\`${word}\` is not ${what}${
    didYouMean(
      word,
      known.map(({ name }) => name),
    ) ?? '.'
  }`;

/** The first flag of one value that is given others: the last would win, and nobody would see it. */
function givenTwice(tokens: ReturnType<typeof parseFlags>['tokens']): string | undefined {
  const seen = new Map<string, string>();
  for (const token of tokens) {
    if (token.kind !== 'option' || token.value === undefined || flagNamed(token.name).several) continue;
    const before = seen.get(token.name);
    if (before !== undefined && before !== token.value)
      return `\`--${token.name}\` is given twice, as \`${before}\` and as \`${token.value}\`.`;
    seen.set(token.name, token.value);
  }
  return undefined;
}

/** A command in a step of a workflow may do no more than the action: what started the job started it. */
const door = (environment: Environment) =>
  (environment['GITHUB_EVENT_NAME'] ?? '') === '' ? 'terminal' : 'action';

/** On a terminal the user is the actor, and a run is named by when it started. */
function localEnvironment(environment: Environment): NodeJS.ProcessEnv {
  const started = String(Date.now());
  return {
    GITHUB_ACTOR: environment['USER'] ?? 'unknown',
    GITHUB_RUN_ID: started,
    GITHUB_REPOSITORY: 'local',
    GITHUB_WORKFLOW: 'deterministic-ml',
    GITHUB_WORKSPACE: resolve('.'),
    ...environment,
  };
}

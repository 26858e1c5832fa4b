import { UserError } from '../errors.ts';
import type { CompletionSettings } from '../job/settings.ts';
import type { CompletionAnswer } from '../report/answers.ts';

/** A command as a shell is told of it. Nothing in it comes from outside of this program. */
export interface Completed {
  readonly name: string;
  readonly what: string;
  /** What follows it. */
  readonly argument: Completable;
  readonly flags: readonly {
    readonly name: string;
    readonly what: string;
    /** Undefined where it takes none. */
    readonly value: Completable | undefined;
  }[];
}

/** Words that can stand in a place; or what kind of word does, where the program does not know all. */
export type Completable = 'file' | 'folder' | 'text' | readonly string[];

const PROGRAM = 'deterministic-ml';

/**
 * A script by which a shell completes this program's commands, their flags and values.
 *
 * @throws UserError `input-invalid` for a shell that has none
 */
export async function completion(
  { shell }: CompletionSettings,
  commands: readonly Completed[],
): Promise<CompletionAnswer> {
  const script = SCRIPTS.find(([name]) => name === shell)?.[1];
  if (script === undefined)
    throw new UserError(
      'input-invalid',
      `There is no completion for \`${shell}\`.`,
      `There is one for ${SHELLS.join(', ')}, as in \`${PROGRAM} completion ${SHELLS[0]}\`.`,
    );
  return { schema: 'deterministic-ml/completion/v1', shell, script: `${script(commands).join('\n')}\n` };
}

/** Within single quotes nothing means anything, to any of the three. */
const quoted = (text: string) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** Flags by what they complete to, with the commands that read them: each is told once. */
function flagsOf(commands: readonly Completed[]) {
  const all = commands.flatMap(({ name, flags }) => flags.map((flag) => ({ flag, command: name })));
  return [...Map.groupBy(all, ({ flag }) => flag.name).values()].flatMap((own) => {
    const [first] = own;
    return first === undefined ? [] : [{ ...first.flag, commands: own.map(({ command }) => command) }];
  });
}

function bash(commands: readonly Completed[]): string[] {
  const words = (values: readonly string[]) => `_dml_words ${quoted(values.join(' '))}`;
  const answer = (value: Completable) =>
    value === 'file' || value === 'folder' ? 'COMPREPLY=()' : words(value === 'text' ? [] : value);
  return [
    `# Completion of ${PROGRAM}: eval "$(${PROGRAM} completion bash)"`,
    '_dml_words() {',
    '  compopt +o default 2>/dev/null',
    '  COMPREPLY=($(compgen -W "$1" -- "$current"))',
    '}',
    '_dml() {',
    `  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}`,
    // `--flag=value` comes as three words.
    `  if [[ $current == = ]]; then current=; previous=\${COMP_WORDS[COMP_CWORD - 1]}; fi`,
    `  if [[ $previous == = ]]; then previous=\${COMP_WORDS[COMP_CWORD - 2]}; fi`,
    `  if ((COMP_CWORD == 1)); then ${words(commands.map(({ name }) => name))}; return; fi`,
    '  case $previous in',
    ...flagsOf(commands).flatMap(({ name, value }) =>
      value === undefined ? [] : [`    --${name}) ${answer(value)}; return ;;`],
    ),
    '  esac',
    `  case \${COMP_WORDS[1]},$current in`,
    ...commands.flatMap(({ name, flags, argument }) => [
      `    ${name},-*) ${words(flags.map((flag) => `--${flag.name}`))} ;;`,
      `    ${name},*) ${answer(argument)} ;;`,
    ]),
    '  esac',
    '}',
    `complete -o default -F _dml ${PROGRAM}`,
  ];
}

function zsh(commands: readonly Completed[]): string[] {
  const text = (what: string) => what.replaceAll(/[[\]:\\]/g, (one) => `\\${one}`);
  const action = (value: Completable) => {
    switch (value) {
      case 'file':
        return '_files';
      case 'folder':
        return '_files -/';
      case 'text':
        return ' ';
      default:
        return value.length === 0 ? ' ' : `(${value.join(' ')})`;
    }
  };
  return [
    `# Completion of ${PROGRAM}, after compinit: source <(${PROGRAM} completion zsh)`,
    '_dml() {',
    '  local -a commands flags',
    ...commands.map(({ name, what }) => `  commands+=(${quoted(`${name}:${text(what)}`)})`),
    '  if ((CURRENT == 2)); then _describe -t commands command commands; return; fi',
    '  local command=$words[2] argument=',
    '  case $command in',
    ...commands.map(({ name, argument }) => `    (${name}) argument=${quoted(action(argument))} ;;`),
    '  esac',
    ...flagsOf(commands).map(({ name, what, value, commands: readBy }) => {
      const spec = `--${name}${value === undefined ? '' : '='}[${text(what)}]${value === undefined ? '' : `:value:${action(value)}`}`;
      return `  [[ $command == (${readBy.join('|')}) ]] && flags+=(${quoted(spec)})`;
    }),
    '  _arguments $flags "1: : " "*:argument:$argument"',
    '}',
    `compdef _dml ${PROGRAM}`,
  ];
}

function fish(commands: readonly Completed[]): string[] {
  // There, unlike in the other two, a backslash escapes within single quotes too.
  const own = (text: string) => `'${text.replaceAll(/['\\]/g, (one) => `\\${one}`)}'`;
  const told = (value: Completable) => {
    switch (value) {
      case 'file':
        return '-r -F';
      case 'folder':
        return "-x -a '(__fish_complete_directories)'";
      case 'text':
        return '-x';
      default:
        return `-x -a ${own(value.join(' '))}`;
    }
  };
  const among = (names: readonly string[]) => `-n ${own(`__fish_seen_subcommand_from ${names.join(' ')}`)}`;
  return [
    `# Completion of ${PROGRAM}: ${PROGRAM} completion fish | source`,
    `complete -c ${PROGRAM} -f`,
    ...commands.map(
      ({ name, what }) => `complete -c ${PROGRAM} -n __fish_use_subcommand -a ${name} -d ${own(what)}`,
    ),
    ...commands.flatMap(({ name, argument }) =>
      argument === 'text' || argument.length === 0
        ? []
        : [`complete -c ${PROGRAM} ${among([name])} ${told(argument).replace(/^-[xr] /, '')}`],
    ),
    ...flagsOf(commands).map(
      ({ name, what, value, commands: readBy }) =>
        `complete -c ${PROGRAM} ${among(readBy)} -l ${name} ${value === undefined ? '' : `${told(value)} `}-d ${own(what)}`,
    ),
  ];
}

const SCRIPTS = [
  ['bash', bash],
  ['zsh', zsh],
  ['fish', fish],
] as const;

/** Those that can complete this program. */
export const SHELLS: readonly string[] = SCRIPTS.map(([name]) => name);

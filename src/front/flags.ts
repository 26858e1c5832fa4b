import type { RuntimeChoice } from '../runtime/choose.ts';
import type { IsolationChoice } from '../runtime/options.ts';

/** A flag of the command line. */
export interface Flag {
  /** Its value as the help shows it; undefined where it takes none. `PATH` and `FOLDER` are completed as such. */
  readonly value?: string;
  /** It can be given as often as there are any. */
  readonly several?: true;
  /** All that its value can be. */
  readonly choices?: readonly string[];
  readonly what: string;
}

const RUNTIMES = ['auto', 'docker', 'process', 'launcher'] as const satisfies readonly RuntimeChoice[];
const ISOLATIONS = ['auto', 'required', 'none'] as const satisfies readonly IsolationChoice[];

/** All of them, in the order in which the help lists them. Which of them a command reads, its row in `modes.ts` says. */
export const FLAGS = {
  reason: { value: 'TEXT', what: 'why the baseline is refreshed, or a drift accepted' },
  suite: { value: 'PATH', what: 'the suite, where it is not where the report says' },
  yardstick: { what: 'measure known changes too, one engine start each' },
  'dry-run': { what: 'show what would change, store and write nothing' },
  'store-unchanged': { what: 'store a new entry even if nothing changed' },
  runtime: { value: 'KIND', choices: RUNTIMES, what: 'where the engine runs' },
  python: { value: 'PATH', what: 'Python of the process runtime, or of the launcher’s far side' },
  launcher: {
    value: '"COMMAND"',
    what: 'takes the engine elsewhere, e.g. "ssh gpu7" or "srun --gres=gpu:1"',
  },
  'launcher-model': { value: 'FOLDER', what: 'the model’s folder there, where it is not the suite’s' },
  isolation: { value: 'KIND', choices: ISOLATIONS, what: 'of the process runtime’s engine from this shell' },
  'gpu-devices': { value: 'LIST', what: 'indices or UUIDs, separated by commas' },
  'cpu-sets': { value: '"SET SET"', what: 'CPUs for each of the engines that run at once, e.g. "0-7 8-15"' },
  'timeout-minutes': { value: 'N', what: 'until the engine is stopped (60)' },
  'inactivity-minutes': { value: 'N', what: 'without a sign of life until it counts as hung (20)' },
  'record-path': {
    value: 'FOLDER',
    what: 'where the record goes, the records of import, the page of explain, fleet and report (.deterministic-ml/…)',
  },
  watch: {
    what: 'check again after each save of the suite or of what it names, with the engine kept loaded',
  },
  'watch-path': {
    value: 'PATH',
    several: true,
    what: 'look at this file or folder too: the source of a kernel or a plug-in',
  },
  junit: { value: 'PATH', what: 'write what was found as JUnit’s XML too' },
  sarif: { value: 'PATH', what: 'the same as SARIF, for code scanning' },
  'code-quality': { value: 'PATH', what: 'the same as GitLab’s report of code quality' },
  html: { value: 'PATH', what: 'write the baselines as a page too, each with what it changed' },
  'expected-reports': { value: 'N', what: 'how many there must be at least (1)' },
  'across-classes': {
    value: '"within 2x floor"',
    what: 'how far apart what computed other bits may be',
  },
  'baseline-path': { value: 'FOLDER', what: 'the baseline, where it is not beside the record' },
  from: { value: '"… serve …"', what: 'the command line that serves the model today' },
  model: { value: 'OWNER/NAME', what: 'the model of the hub; of compare OWNER/NAME@COMMIT or a folder' },
  engine: { value: 'NAME', what: 'the engine (with --from: the one that it serves by)' },
  image: { value: 'IMAGE:TAG', what: 'the image that has it, else the engine’s own' },
  gpus: { value: 'N|none', what: 'how many GPUs the suite, or the second side, asks for' },
  arg: { value: 'NAME=VALUE', several: true, what: 'an argument of the second side’s engine' },
  env: { value: 'NAME=VALUE', several: true, what: 'a variable of the second side’s engine' },
  require: { value: 'WHAT', what: 'identical (default), tokens, "within 2x floor" or measure' },
  action: { value: 'OWNER/NAME@REF', what: 'this action, as the workflows name it' },
  force: { what: 'write over files that are there' },
  budget: { value: 'N', what: 'engine starts at most (8)' },
  records: {
    value: 'FOLDER',
    what: 'earlier records, by which it tells what runs cost (.deterministic-ml/records)',
  },
  json: { what: 'the answer as JSON on stdout; everything else goes to stderr' },
  help: { what: 'show this, as do `help` and -h' },
  version: { what: 'show which version this is' },
} as const satisfies Readonly<Record<string, Flag>>;

export type FlagName = keyof typeof FLAGS;

/** What every command reads. */
export const EVERYWHERE: readonly FlagName[] = ['json', 'help', 'version'];

/** What whatever starts an engine reads. */
export const OF_ENGINES: readonly FlagName[] = [
  ...(['runtime', 'python', 'launcher', 'launcher-model'] as const),
  ...(['isolation', 'gpu-devices', 'cpu-sets'] as const),
  ...(['timeout-minutes', 'inactivity-minutes', 'record-path'] as const),
];

export const flagNamed = (name: FlagName): Flag => FLAGS[name];
export const FLAG_NAMES = Object.keys(FLAGS) as readonly FlagName[];

type Options = {
  readonly [K in FlagName]: {
    readonly type: (typeof FLAGS)[K] extends { readonly value: string } ? 'string' : 'boolean';
    readonly multiple: (typeof FLAGS)[K] extends { readonly several: true } ? true : false;
  };
};

/** As `parseArgs` takes them. */
export const OPTIONS = Object.fromEntries(
  FLAG_NAMES.map((name) => {
    const { value, several = false } = flagNamed(name);
    const short = name === 'help' ? { short: 'h' } : {};
    return [name, { type: value === undefined ? 'boolean' : 'string', multiple: several, ...short }];
  }),
) as Options;

/** More than a line of the help names. */
const MAX_NAMED = 3;

/**
 * Of each flag a line of the help.
 *
 * @param readBy names of the commands that read it
 */
export function flagLines(readBy: (name: FlagName) => readonly string[]): string[] {
  const calls = FLAG_NAMES.map((name) => {
    const { value, choices } = flagNamed(name);
    const shown = choices === undefined ? value : choices.join('|');
    return `--${name}${shown === undefined ? '' : ` ${shown}`}`;
  });
  const width = Math.max(...calls.map(({ length }) => length));
  return FLAG_NAMES.map((name, index) => {
    const commands = EVERYWHERE.includes(name) ? [] : readBy(name);
    const named = commands.length > 0 && commands.length <= MAX_NAMED ? ` (${commands.join(', ')})` : '';
    return `${(calls[index] ?? '').padEnd(width)}  ${flagNamed(name).what}${named}`;
  });
}

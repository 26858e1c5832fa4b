import type {
  Asks,
  BisectSettings,
  CleanSettings,
  DocumentSettings,
  ExplainSettings,
  HistorySettings,
  InitSettings,
  MergeSettings,
  Need,
  RefreshSettings,
  SidesSettings,
  TellSettings,
  ValidateSettings,
  VerifySettings,
  WatchSettings,
  WhySettings,
} from '../job/settings.ts';
import type { Door } from '../job/situation.ts';
import type { Tools } from '../job/tools.ts';
import { FORMATS, type Kind, type Results } from '../surfaces/surface.ts';
import type { Completed } from '../use-cases/completion.ts';
import { EVERYWHERE, type FlagName, flagLines, flagNamed, OF_ENGINES } from './flags.ts';

/*
 * What the program does, one row a use-case. The inputs, the command line and its help, action.yml's `mode` and the run
 * itself are made from it. A use-case is loaded when it is run: an error in what was asked costs none of them.
 */

/** What there is to take for any use-case: each says by its type which part it takes. */
export interface Given
  extends RefreshSettings,
    BisectSettings,
    HistorySettings,
    MergeSettings,
    TellSettings,
    DocumentSettings {
  /** Paths as a command line has them: no input of the action names them. */
  readonly named: VerifySettings &
    CleanSettings &
    WhySettings &
    Pick<ValidateSettings, 'recordsPath'> &
    Pick<ExplainSettings, 'paths'> & {
      readonly shell?: string | undefined;
      readonly fleetPath?: string | undefined;
      readonly suitePath?: string | undefined;
      /** Only where the suite is to be checked again at each save. */
      readonly watch?: WatchSettings | undefined;
      readonly init?: Omit<InitSettings, 'dryRun'>;
      readonly change?: SidesSettings['change'];
      readonly required?: SidesSettings['required'];
    };
}

/** What the word behind the name of a command is, and how an error asks for it; a suite has a usual place. */
export const ARGUMENTS = {
  suite: { shown: '[suite]', what: undefined, is: 'file' },
  reports: { shown: '<folder>', what: 'the folder of the reports', is: 'folder' },
  report: { shown: '<report>', what: 'the path of a report', is: 'file' },
  checkable: {
    shown: '<report>|<record>',
    what: 'the path of a report, or the folder of a record',
    is: 'file',
  },
  sides: {
    shown: '<side> [side]',
    what: 'a suite (.yml) or the folder of a record',
    is: 'file',
    several: true,
  },
  days: { shown: '[days]', what: undefined, is: 'text' },
  code: { shown: '[code]', what: undefined, is: 'code' },
  shell: { shown: '<shell>', what: 'the name of a shell', is: 'shell' },
  fleet: { shown: '<fleet.yml>', what: 'the path of a fleet', is: 'file' },
  records: { shown: '<folder>…', what: 'a folder of records', is: 'folder', several: true },
  nothing: { shown: '', what: undefined, is: 'text' },
  results: { shown: '<folder>', what: 'the folder of the results', is: 'folder' },
} as const satisfies Readonly<
  Record<
    string,
    {
      readonly shown: string;
      readonly what: string | undefined;
      /** By which a shell completes it. */
      readonly is: 'file' | 'folder' | 'text' | 'code' | 'shell';
      readonly several?: true;
    }
  >
>;

/** How a use-case is asked for and told. */
interface Row<K extends Kind> {
  readonly name: string;
  /** What it does: the rest of a sentence that its name begins. */
  readonly what: string;
  readonly takes: keyof typeof ARGUMENTS;
  /** Flags that it reads, beside those that every command does. */
  readonly flags?: readonly FlagName[];
  /** The kind of its result, by which the surfaces tell it. */
  readonly told: K;
  /** No input of the action names it. */
  readonly onlyCommand?: boolean;
  /** Its result is no text for people: JSON, whether asked for or not. */
  readonly onlyJson?: boolean;
  /** What is missing among its inputs, as an error says it. */
  lacks?(asked: {
    readonly input: (name: string) => string;
    readonly door: Door;
    /** Empty where none started this. */
    readonly event: string;
  }): string | undefined;
}

export interface ModeOf<K extends Kind> extends Row<K> {
  readonly needs: Need;
  run(given: Given, tools: Tools): Promise<Results[K]>;
}
export type Mode = { readonly [K in Kind]: ModeOf<K> }[Kind];

/**
 * @param row whose `load` gives the use-case, which by its type asks for just what `needs` says
 */
function mode<K extends Kind, N extends Need>({
  load,
  ...row
}: Row<K> & {
  readonly needs: N;
  load(): Promise<(settings: Given & Asks<N>, tools: Tools) => Promise<Results[K]>>;
}): ModeOf<K> {
  return { ...row, run: async (given, tools) => await (await load())({ ...given, mode: row }, tools) };
}

/** In the order in which the help lists them; the first is the action's default. */
export const modes: readonly Mode[] = [
  mode({
    name: 'check',
    what: 'compares what the engine computes with the baseline',
    needs: 'look',
    takes: 'suite',
    flags: ['watch', 'watch-path', ...OF_ENGINES, ...FORMATS],
    told: 'report',
    load: async () => (await import('../use-cases/check.ts')).check,
  }),
  mode({
    name: 'refresh',
    what: 'makes a new baseline, with the reason why',
    needs: 'store',
    takes: 'suite',
    flags: ['reason', 'yardstick', 'dry-run', 'store-unchanged', ...OF_ENGINES, ...FORMATS],
    told: 'report',
    // A push has its reason from what the suite accepts, a schedule from the baseline that it keeps.
    lacks: ({ input, event }) =>
      input('reason') === '' && event !== 'push' && event !== 'schedule'
        ? '`reason` is empty, but mode `refresh` needs one: it is shown with every later comparison'
        : undefined,
    load: async () => (await import('../use-cases/refresh.ts')).refresh,
  }),
  mode({
    name: 'store',
    what: 'stores what dry runs of refresh in other jobs of this run have measured, all of it or nothing',
    needs: 'store',
    takes: 'reports',
    flags: ['reason', 'expected-reports'],
    told: 'answer',
    lacks: ({ input, door }) =>
      input('reason') === ''
        ? '`reason` is empty, but mode `store` needs one: it is shown with every later comparison'
        : input('expected-reports') === '' && door === 'action'
          ? '`expected-reports` is empty, but mode `store` needs the number of refreshes: one that died leaves no report'
          : undefined,
    load: async () => (await import('../use-cases/store.ts')).store,
  }),
  mode({
    name: 'fingerprint',
    what: 'shows what the numbers may depend on here, and the hardware class',
    needs: 'look',
    takes: 'suite',
    flags: OF_ENGINES,
    told: 'fingerprint',
    onlyCommand: true,
    onlyJson: true,
    load: async () => (await import('../use-cases/fingerprint.ts')).fingerprint,
  }),
  mode({
    name: 'power',
    what: 'makes known changes on purpose and shows which of them the suite notices',
    needs: 'long',
    takes: 'suite',
    flags: OF_ENGINES,
    told: 'power',
    load: async () => (await import('../use-cases/power.ts')).power,
  }),
  mode({
    name: 'bisect',
    what: 'finds which of several declared changes moved the bits, in few engine starts',
    needs: 'long',
    takes: 'suite',
    flags: ['budget', ...OF_ENGINES],
    told: 'answer',
    load: async () => (await import('../use-cases/bisect.ts')).bisect,
  }),
  mode({
    name: 'log',
    what: 'shows the baselines and what each replaced, without an engine',
    needs: 'look',
    takes: 'suite',
    flags: ['baseline-path', 'html'],
    told: 'history',
    async load() {
      const { log, logFolder } = await import('../use-cases/history.ts');
      return (settings, tools) => {
        const { baselinePath } = settings.named;
        return baselinePath === undefined ? log(settings, tools) : logFolder(baselinePath, tools);
      };
    },
  }),
  mode({
    name: 'report',
    what: 'shows the reports of several jobs as one, without an engine or a checkout',
    needs: 'show',
    takes: 'reports',
    flags: ['record-path', 'expected-reports', 'across-classes', ...FORMATS],
    told: 'merged',
    // On a terminal the reader has the folder before them.
    lacks: ({ input, door }) =>
      input('expected-reports') === '' && door === 'action'
        ? '`expected-reports` is empty, but mode `report` needs the number of legs: one that died leaves no report'
        : undefined,
    load: async () => (await import('../use-cases/merge.ts')).mergeReports,
  }),
  mode({
    name: 'compare',
    what: 'holds two sides against each other: suites, which are measured, or records; of one suite the second is a change',
    needs: 'long',
    takes: 'sides',
    flags: ['model', 'engine', 'image', 'gpus', 'arg', 'env', 'require', ...OF_ENGINES],
    told: 'compared',
    onlyCommand: true,
    async load() {
      const { compare } = await import('../use-cases/compare.ts');
      return ({ named, ...settings }, tools) => {
        const { paths, change = {}, required = 'identical' } = named;
        return compare({ ...settings, paths, change, required }, tools);
      };
    },
  }),
  mode({
    name: 'explain',
    what: 'says which records computed the same bits, and which parts of their environments explain it',
    needs: 'nothing',
    takes: 'records',
    flags: ['record-path', 'across-classes'],
    told: 'explained',
    onlyCommand: true,
    async load() {
      const { explainRecords } = await import('../use-cases/explain.ts');
      return ({ named: { paths }, recordPath, acrossClasses }, tools) =>
        explainRecords({ paths, recordPath, acrossClasses }, tools);
    },
  }),
  mode({
    name: 'fleet',
    what: 'measures a suite through many launchers at once, and says which agree and what explains it',
    needs: 'long',
    takes: 'fleet',
    flags: ['timeout-minutes', 'inactivity-minutes', 'record-path'],
    told: 'explained',
    onlyCommand: true,
    async load() {
      const { fleet } = await import('../use-cases/fleet.ts');
      return ({ named, ...settings }, tools) => fleet({ ...settings, fleet: named.fleetPath ?? '' }, tools);
    },
  }),
  mode({
    name: 'import',
    what: 'makes records of what other programs left: folders of results, of which nothing is assumed',
    needs: 'nothing',
    takes: 'results',
    flags: ['record-path'],
    told: 'answer',
    onlyCommand: true,
    async load() {
      const { importResults } = await import('../use-cases/import.ts');
      return ({ named: { paths }, recordPath }, tools) => importResults({ paths, recordPath }, tools);
    },
  }),
  mode({
    name: 'verify',
    what: "derives a report's verdict anew from its records, or a record's digests from its bodies",
    needs: 'nothing',
    takes: 'checkable',
    flags: ['record-path', 'baseline-path'],
    told: 'verification',
    onlyCommand: true,
    async load() {
      const { verify } = await import('../use-cases/verify.ts');
      return ({ named }, tools) => verify(named, tools);
    },
  }),
  mode({
    name: 'init',
    what: 'writes a suite and the workflows for a repository that has none',
    needs: 'nothing',
    takes: 'nothing',
    flags: ['from', 'model', 'engine', 'image', 'gpus', 'action', 'dry-run', 'force'],
    told: 'answer',
    onlyCommand: true,
    async load() {
      const { init } = await import('../use-cases/init.ts');
      return ({ named, dryRun }, tools) =>
        init({ ...(named.init ?? { action: '', force: false }), dryRun }, tools);
    },
  }),
  mode({
    name: 'accept',
    what: 'writes the line into the suite that accepts the drift of a report, with the reason why',
    needs: 'nothing',
    takes: 'report',
    flags: ['reason', 'suite'],
    told: 'answer',
    onlyCommand: true,
    lacks: ({ input }) =>
      input('reason') === ''
        ? '`--reason` is missing: it stands in the suite, and is kept with the baseline'
        : undefined,
    async load() {
      const { accept } = await import('../use-cases/accept.ts');
      return ({ named: { reportPath, suitePath }, reason }, tools) =>
        accept({ reportPath, suite: suitePath, reason }, tools);
    },
  }),
  mode({
    name: 'review',
    what: 'walks through the drifts of a folder of reports on a terminal, one key each, and accepts what is meant',
    needs: 'nothing',
    takes: 'reports',
    flags: ['suite', 'expected-reports'],
    told: 'answer',
    onlyCommand: true,
    async load() {
      const { review } = await import('../use-cases/review.ts');
      return ({ reports, expected, named: { suitePath } }, tools) =>
        review({ reports, expected, suite: suitePath }, tools);
    },
  }),
  mode({
    name: 'clean',
    what: 'shows what earlier runs keep on this machine, and deletes what was not used for so many days',
    needs: 'nothing',
    takes: 'days',
    told: 'answer',
    onlyCommand: true,
    async load() {
      const { clean } = await import('../use-cases/clean.ts');
      return ({ named }, tools) => clean(named, tools);
    },
  }),
  mode({
    name: 'validate',
    what: 'checks a suite without an engine, and tells what it costs to run',
    needs: 'nothing',
    takes: 'suite',
    flags: ['records'],
    told: 'answer',
    onlyCommand: true,
    async load() {
      const { validate } = await import('../use-cases/validate.ts');
      return ({ suite, named }, tools) => validate({ suite, recordsPath: named.recordsPath }, tools);
    },
  }),
  mode({
    name: 'why',
    what: 'explains the code of an error, or a conclusion',
    needs: 'nothing',
    takes: 'code',
    told: 'answer',
    onlyCommand: true,
    async load() {
      const { why } = await import('../use-cases/why.ts');
      return ({ named }) => why(named);
    },
  }),
  mode({
    name: 'completion',
    what: 'prints the script by which a shell completes this command line: bash, zsh or fish',
    needs: 'nothing',
    takes: 'shell',
    told: 'completion',
    onlyCommand: true,
    async load() {
      const [{ completion, SHELLS }, { whyCodes }] = await Promise.all([
        import('../use-cases/completion.ts'),
        import('../use-cases/why.ts'),
      ]);
      const commands = completed({ shell: SHELLS, code: whyCodes() });
      return ({ named: { shell = '' } }) => completion({ shell }, commands);
    },
  }),
];

/** Those that the action's `mode` can name. */
export const inputModes: readonly Mode[] = modes.filter(({ onlyCommand = false }) => !onlyCommand);

/** What a shell can complete, by the list of modes. */
function completed(known: Readonly<Record<'shell' | 'code', readonly string[]>>): Completed[] {
  return modes.map(({ name, what, takes, flags = [] }) => {
    const { is } = ARGUMENTS[takes];
    return {
      ...{ name, what },
      argument: is === 'shell' || is === 'code' ? known[is] : is,
      flags: [...flags, ...EVERYWHERE].map((flag) => {
        const { value, choices, what: means } = flagNamed(flag);
        const kind = value === 'PATH' ? 'file' : value === 'FOLDER' ? 'folder' : 'text';
        return { name: flag, what: means, value: value === undefined ? undefined : (choices ?? kind) };
      }),
    };
  });
}

/** Names of the commands that read a flag. */
const readersOf = (flag: FlagName): string[] =>
  modes.filter(({ flags = [] }) => flags.includes(flag)).map(({ name }) => name);

/** Of each flag a line of the help. */
export const optionLines = (): string[] => flagLines(readersOf);

/** Flags that were given to a command which does not read them: a sentence; undefined where there are none. */
export function unreadFlags({ name, flags = [] }: Mode, given: readonly FlagName[]): string | undefined {
  const unread = given.filter((flag) => !flags.includes(flag) && !EVERYWHERE.includes(flag));
  if (unread.length === 0) return undefined;
  return unread
    .map((flag) => `\`${name}\` does not read --${flag}, which is of ${readersOf(flag).join(', ')}.`)
    .join(' ');
}

/** Of each command a line of the help. */
export function commandLines(): string[] {
  const calls = modes.map(({ name, takes }) => `${name} ${ARGUMENTS[takes].shown}`);
  const width = Math.max(...calls.map(({ length }) => length));
  return modes.map(({ what }, index) => `${(calls[index] ?? '').padEnd(width)}  ${what}`);
}

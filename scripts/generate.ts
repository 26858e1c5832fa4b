/**
 * Writes what is only another form of the source: the JSON Schemas in schema/, the README's tables of inputs and
 * outputs, what action.yml says of `mode`, the tables in docs/ of what the lists hold, and the known issues. With
 * `--check`, writes nothing and fails if anything is not what the source gives.
 */
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { BaselineMeta } from '../src/baseline/port.ts';
import { knownChanges } from '../src/changes/known/index.ts';
import { CONCLUSIONS } from '../src/compare/conclusion.ts';
import { relations } from '../src/compare/relations/index.ts';
import { engines } from '../src/engine/engines/index.ts';
import { TUNING } from '../src/engine/engines/variables.ts';
import { Fingerprint } from '../src/fingerprint/schema.ts';
import { inputModes, type Mode } from '../src/front/modes.ts';
import { stores } from '../src/front/stores.ts';
import { SUITE_SCHEMA } from '../src/front/suites.ts';
import { assess, POLICY } from '../src/health/policy.ts';
import { HealthReading } from '../src/health/schema.ts';
import { lists, shortName, urlOf } from '../src/issues/index.ts';
import type { IssueList, KnownIssue, Versions, Wanted } from '../src/issues/issue.ts';
import { PassFile, RecordFile } from '../src/record/schema.ts';
import {
  AcceptAnswer,
  BisectAnswer,
  CleanAnswer,
  CompareAnswer,
  CompletionAnswer,
  ImportAnswer,
  InitAnswer,
  ReviewAnswer,
  StoreAnswer,
  ValidateAnswer,
  WatchAnswer,
  WhyAnswer,
} from '../src/report/answers.ts';
import {
  CheckAnswer,
  ExplainAnswer,
  FingerprintAnswer,
  LogAnswer,
  PowerAnswer,
  ReportsAnswer,
  VerifyAnswer,
} from '../src/report/json.ts';
import { ReportSchema } from '../src/report/schema.ts';
import { ABILITIES } from '../src/suite/abilities.ts';
import { FleetFile } from '../src/suite/fleet.ts';
import { ERROR_WORDS } from '../src/words/error-words.ts';
import { plainWords } from '../src/words/plain-words.ts';
import { audit } from './audit.ts';
import { allTold } from './told.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The rooms of src/, lowest first: a room imports none above it. `test/unit/architecture.test.ts` keeps the rest of the law. */
export const FLOORS: readonly string[] = [
  ...[
    'suite',
    'fingerprint',
    'health',
    'record',
    'engine',
    'machine',
    'network',
    'caches',
    'model',
    'runtime',
    'import',
    'endpoint',
    'compare',
    'explain',
    'baseline',
    'issues',
  ],
  ...['report', 'words'],
  ...['surfaces', 'github', 'disk', 'job', 'run', 'trust', 'changes', 'tell', 'use-cases', 'front'],
];

const SCHEMAS = {
  suite: {
    schema: SUITE_SCHEMA,
    title: 'Suite of deterministic-ml',
    description: 'What must not change: model, engine, sampling, prompts, relations and policy.',
  },
  fleet: {
    schema: FleetFile,
    title: 'Fleet of deterministic-ml',
    description: 'Where the same suite is to be measured: launchers, and what is there.',
  },
  record: {
    schema: RecordFile,
    title: 'record.json of deterministic-ml',
    description:
      'What one run computed: fingerprint, witnesses, and a digest of each pass, which names the file of what it gave.',
  },
  pass: {
    schema: PassFile,
    title: 'What a pass gave, of deterministic-ml',
    description: 'For each prompt the digests of its bits; SHA-256 of this file is the digest of the pass.',
  },
  baseline: {
    schema: BaselineMeta,
    title: 'baseline.json of deterministic-ml',
    description: 'Who trusts the record beside it, why, and from which run it comes.',
  },
  report: {
    schema: ReportSchema,
    title: 'report.json of deterministic-ml',
    description: 'What a run found, and all that its verdict follows from: `verify` derives it anew.',
  },
  fingerprint: {
    schema: Fingerprint,
    title: 'Fingerprint of deterministic-ml',
    description: 'What the numbers may depend on: declared by the repository, or ambient on the runner.',
  },
  check: {
    schema: CheckAnswer,
    title: '`check --json` and `refresh --json` of deterministic-ml',
    description: 'The outputs of the action, and the report.',
  },
  reports: {
    schema: ReportsAnswer,
    title: '`report --json` of deterministic-ml',
    description: 'The reports of several jobs, and what they come to.',
  },
  verify: {
    schema: VerifyAnswer,
    title: '`verify --json` of deterministic-ml',
    description:
      'Whether a report follows from its record and baseline, or a record is whole, and what was looked at.',
  },
  log: {
    schema: LogAnswer,
    title: '`log --json` of deterministic-ml',
    description: 'What was trusted on each hardware class, by whom and why.',
  },
  power: {
    schema: PowerAnswer,
    title: '`power --json` of deterministic-ml',
    description: 'Which known changes a suite notices.',
  },
  explain: {
    schema: ExplainAnswer,
    title: '`explain --json` of deterministic-ml',
    description: 'Which records computed the same bits, and which fields explain it.',
  },
  'fingerprint-answer': {
    schema: FingerprintAnswer,
    title: '`fingerprint --json` of deterministic-ml',
    description: 'The hardware class and the fingerprint of this machine, for a suite.',
  },
  import: {
    schema: ImportAnswer,
    title: '`import --json` of deterministic-ml',
    description: 'The records that were made of what other programs left.',
  },
  clean: {
    schema: CleanAnswer,
    title: '`clean --json` of deterministic-ml',
    description: 'What earlier runs keep on this machine, and what was removed.',
  },
  watch: {
    schema: WatchAnswer,
    title: '`check --watch --json` of deterministic-ml',
    description:
      'What one round came to, how far it is from the baseline and from the round before, and what was re-used.',
  },
  why: {
    schema: WhyAnswer,
    title: '`why --json` of deterministic-ml',
    description: 'What a code means: of an error, or a conclusion.',
  },
  init: {
    schema: InitAnswer,
    title: '`init --json` of deterministic-ml',
    description: 'Which files were written, and what is to be filled in.',
  },
  accept: {
    schema: AcceptAnswer,
    title: '`accept --json` of deterministic-ml',
    description: 'Which line was written into the suite, and what it rests on.',
  },
  completion: {
    schema: CompletionAnswer,
    title: '`completion --json` of deterministic-ml',
    description: 'The script by which a shell completes the command line.',
  },
  review: {
    schema: ReviewAnswer,
    title: '`review --json` of deterministic-ml',
    description: 'The drifts of a folder of reports, and which of them the suite accepts.',
  },
  store: {
    schema: StoreAnswer,
    title: '`store --json` of deterministic-ml',
    description: 'Which baselines were stored of several refreshes, and which stay.',
  },
  compare: {
    schema: CompareAnswer,
    title: '`compare --json` of deterministic-ml',
    description:
      'Two sides held against each other: whether they compute the same, and how far apart they are.',
  },
  bisect: {
    schema: BisectAnswer,
    title: '`bisect --json` of deterministic-ml',
    description: 'Which of several declared changes moved the bits, and the engine starts that showed it.',
  },
  validate: {
    schema: ValidateAnswer,
    title: '`validate --json` of deterministic-ml',
    description: 'What a check, a refresh and `power` of a suite would take.',
  },
} as const;

/** Files that only this program writes, and checks against their schema: with nothing left out. */
const WRITTEN: ReadonlySet<keyof typeof SCHEMAS> = new Set(['record', 'pass']);

/** A default makes a key optional for whoever writes the file: hence the input side of all others. */
function jsonSchema(name: keyof typeof SCHEMAS): string {
  const { schema, title, description } = SCHEMAS[name];
  const { $schema, ...rest } = z.toJSONSchema(schema, { io: WRITTEN.has(name) ? 'output' : 'input' });
  const $id = `urn:deterministic-ml:v1:${name}`;
  return `${JSON.stringify({ $schema, $id, title, description, ...rest }, null, 2)}\n`;
}

const described = z.string().trim().min(1);
const Action = z.object({
  inputs: z.record(
    z.string(),
    z.object({ description: described, default: z.string().optional(), required: z.boolean().optional() }),
  ),
  outputs: z.record(z.string(), z.object({ description: described })),
});

/** @throws Error naming the input or output that action.yml does not describe */
export function tables(actionYml: string): { readonly inputs: string; readonly outputs: string } {
  const result = Action.safeParse(parse(actionYml));
  if (!result.success) throw new Error(`action.yml: ${z.prettifyError(result.error)}`);
  const { inputs, outputs } = result.data;
  return {
    inputs: table(
      ['input', 'what', 'default'],
      Object.entries(inputs).map(([name, { description, default: value, required }]) => [
        `\`${name}\``,
        description,
        value === undefined || value === '' ? (required === true ? '**required**' : '') : `\`${value}\``,
      ]),
    ),
    outputs: table(
      ['output', 'what'],
      Object.entries(outputs).map(([name, { description }]) => [`\`${name}\``, description]),
    ),
  };
}

/** Each error code: what happened, what it means, what to do. */
export function errorTable(): string {
  return table(
    ['code', 'what happened', 'what it means', 'what to do'],
    Object.entries(ERROR_WORDS).map(([code, words]) => [
      `\`${code}\``,
      ...[words.what, words.meaning, words.next].map(linked),
    ]),
  );
}

/** What a suite may set in its engine's environment. */
export const variableTable = (): string =>
  table(
    ['variables', 'what they tune'],
    [
      ...TUNING,
      ...engines
        .filter(({ tuning }) => tuning.length > 0)
        .map(({ name, tuning: names }) => ({ names, what: `\`${name}\` itself` })),
    ].map(({ names, what }) => [names.map((name) => `\`${name}\``).join(', '), what]),
  );

/** What is tried against all this, and which test tries it. */
export const triedTable = (): Promise<string> => namedTable('tried', 'what is tried', 'what holds it');

/** What breaks, what comes of it, and which test breaks it. */
export const faultTable = (): Promise<string> => namedTable('fault', 'what breaks', 'what comes of it');

/** Which third-party code runs where, and who brings it. */
async function auditTables(): Promise<Readonly<Record<'places' | 'bundled', string>>> {
  const { places, bundled } = await audit();
  return {
    places: table(['where', 'third-party code', 'how much'], places),
    bundled: table(['asked for', 'what for', 'packages', 'code', 'licences'], bundled),
  };
}

/** What is odd in what a suite and a model hold, what comes of it, and which test shows it. */
export async function oddTable(): Promise<string> {
  const all = await allTold(root, 'odd');
  return table(
    ['what is given', 'what comes of it', 'the test'],
    all.map(({ texts, file }) => [...texts, `[${testName(file)}](../${file})`]),
  );
}

/** By name: those begin with what is attacked, or what breaks. */
async function namedTable(telling: 'tried' | 'fault', what: string, comes: string): Promise<string> {
  const all = (await allTold(root, telling)).toSorted((a, b) => byName(a.texts[0], b.texts[0]));
  const names = all.map(({ texts }) => texts[0]);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`two calls of ${telling}() are named “${twice}”`);
  return table(
    ['name', what, comes, 'the test'],
    all.map(({ texts, file }) => [...texts, `[${testName(file)}](../${file})`]),
  );
}

const byName = (a = '', b = '') => (a.toLowerCase() < b.toLowerCase() ? -1 : 1);
const testName = (file: string) => file.replace(/^.*\//, '').replace(/(?:\.test)?\.(?:ts|py)$/, '');

/** What each sign of a GPU means. */
export function policyTable(): string {
  return table(
    ['sign', 'level', 'what is looked for', 'what to do'],
    POLICY.map(({ sign, level, what, remedy }) => [`\`${sign}\``, level, what, remedy]),
  );
}

const Captures = z.array(
  z.strictObject({ id: z.string(), what: z.string(), real: z.boolean(), reading: HealthReading }),
);
export type HealthCapture = z.infer<typeof Captures>[number];

/** What the harness reads of captures of nvidia-smi: test/harness/captures.py has them, and its tests check these. */
export async function healthCaptures(): Promise<readonly HealthCapture[]> {
  const text = await readFile(join(root, 'test/fixtures/health/readings.jsonl'), 'utf8');
  return Captures.parse(
    text
      .trimEnd()
      .split('\n')
      .map((line): unknown => JSON.parse(line)),
  );
}

/** What each of them comes to, real ones first. */
export async function captureTable(): Promise<string> {
  const captures = await healthCaptures();
  return table(
    ['nvidia-smi, or the machine', '', 'comes to', 'since'],
    [...captures.filter(({ real }) => real), ...captures.filter(({ real }) => !real)].map(
      ({ what, real, reading }) => {
        const { state, signs } = assess([{ lifetime: 'lifetime-1', ...reading }]);
        const told = signs.map(({ sign, level }) => `\`${sign}\` (${level})`);
        return [what, real ? 'real' : 'variant', state, told.join(', ')];
      },
    ),
  );
}

/** Each conclusion in the words of a plain check; a run adds its numbers to them. */
export function conclusionTable(): string {
  return table(
    ['conclusion', 'called', 'what it means', 'what to do'],
    CONCLUSIONS.map((conclusion) => {
      const { title, meaning, next } = plainWords(conclusion);
      return [`\`${conclusion}\``, title, ...[meaning, next].map(linked)];
    }),
  );
}

/** Every known issue: what is wrong, what is looked for, what the thread says and what to try. */
export function knownIssues(): string {
  return lists
    .map((list) =>
      [
        `## ${list.engine === null ? 'PyTorch and CUDA, under every engine' : `Of ${list.engine}`}`,
        ...list.issues.map((issue) => issueSection(issue, list)),
      ].join('\n\n'),
    )
    .join('\n\n');
}

function issueSection(issue: KnownIssue, { engine }: IssueList): string {
  const { thread, see = [], what, says, remedy, untold = [] } = issue;
  const links = (threads: readonly string[]) =>
    threads.map((one) => `[${shortName(one)}](${urlOf(one)})`).join(', ');
  return [
    `### ${shortName(thread)}: ${what}`,
    [
      `- Looked for: ${lookedFor(issue, engine ?? 'torch').join('; ')}.`,
      ...(untold.length === 0 ? [] : [`- Not told by any record: ${untold.join('; ')}.`]),
      `- The thread, ${links([thread])}${see.length === 0 ? '' : ` (see also ${links(see)})`}: ${says}`,
      `- To try: ${remedy}`,
    ].join('\n'),
  ].join('\n\n');
}

function lookedFor(issue: KnownIssue, own: string): string[] {
  const { versions, torch, device, capability, dtypes, compiled, batchInvariant } = issue;
  const { settings = {}, environment = {}, shape } = issue;
  const either = (words: readonly string[]) => words.map((word) => `\`${word}\``).join(' or ');
  const optional = <T>(value: T | undefined, told: (value: T) => string) =>
    value === undefined ? [] : [told(value)];
  return [
    `${either(shape.relations)} breaks`,
    ...optional(shape.kinds, (kinds) => `in ${either(kinds)} passes`),
    ...optional(shape.agreements, (agreements) => `as ${either(agreements)}`),
    ...optional(shape.changed, (changed) => `${either(changed)} changed since the baseline`),
    ...optional(shape.module, (module) =>
      module === null
        ? 'no module that differs, where modules were traced'
        : `the first module that differs, where one is told: \`${module}\``,
    ),
    ...optional(shape.nats, ({ atLeast, atMost }) =>
      [
        ...optional(atLeast, (least) => `a largest difference of ${least} nats or more`),
        ...optional(atMost, (most) => `a largest difference of ${most} nats or less`),
      ].join(', '),
    ),
    ...optional(shape.tokensInStep, (tokens) => `${tokens} tokens or more in a step`),
    ...optional(shape.requestsInStep, (requests) => `${requests} requests or more in a step`),
    `${own}: ${range(versions) ?? 'any version, since the thread names no first and no last one'}`,
    ...optional(torch, (told) => `torch: ${range(told) ?? 'any version'}`),
    ...optional(device, (told) => (told === 'gpu' ? 'a GPU' : 'no GPU')),
    ...optional(capability, (told) => `compute capability ${range(told) ?? 'of any kind'}`),
    ...optional(dtypes, either),
    ...optional(compiled, (told) => (told ? 'a compiled engine' : 'an engine that is not compiled')),
    ...optional(batchInvariant, (told) => `${told ? '' : 'no '}batch invariance asked for`),
    ...[...Object.entries(settings), ...Object.entries(environment)].map(
      ([name, wanted]) => `\`${name}\` ${wantedWords(wanted)}`,
    ),
  ];
}

const range = ({ from, before }: Versions) =>
  from === undefined && before === undefined
    ? undefined
    : [
        ...(from === undefined ? [] : [`from ${from}`]),
        ...(before === undefined ? [] : [`before ${before}`]),
      ].join(', ');

function wantedWords(wanted: Wanted): string {
  if ('is' in wanted) return `is ${wanted.is.join(' or ')}`;
  if ('isNot' in wanted) return `is not ${wanted.isNot.join(' or ')}`;
  if ('atLeast' in wanted) return `is ${wanted.atLeast} or more`;
  return 'like' in wanted ? `has “${wanted.like}” in it` : 'is set';
}

/** A document beside the one that the words are put into. */
const linked = (text: string) => text.replaceAll(/docs\/([\w/-]+\.md)/g, '[$1]($1)');

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll(/\s*\n\s*/g, ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** @throws Error when the file lost one of its two markers */
export function between(file: string, text: string, marker: string, content: string): string {
  const [open, close] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
  const [start, end] = [text.indexOf(open), text.indexOf(close)];
  if (start === -1 || end < start) throw new Error(`${file} lacks ${open} … ${close}`);
  return `${text.slice(0, start + open.length)}\n\n${content}\n\n${text.slice(end)}`;
}

/** Which rooms of src/ each room imports, lowest first: types count. */
export async function importsTable(): Promise<string> {
  const source = join(root, 'src');
  const roomOf = (file: string) => (dirname(file) === '.' ? 'doors and ground' : (file.split(sep)[0] ?? ''));
  const rooms = new Map<string, Set<string>>();
  for (const file of (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))) {
    const text = await readFile(join(source, file), 'utf8');
    const found = rooms.get(roomOf(file)) ?? new Set<string>();
    for (const [, specifier = ''] of text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g))
      found.add(roomOf(relative(source, join(source, dirname(file), specifier))));
    rooms.set(roomOf(file), found);
  }
  const above = (room: string, other: string) => FLOORS.indexOf(room) > FLOORS.indexOf(other);
  return table(
    ['room', 'imports'],
    FLOORS.filter((room) => rooms.has(room)).map((room) => {
      const others = [...(rooms.get(room) ?? [])].filter((other) => FLOORS.includes(other) && other !== room);
      const wrong = others.find((other) => !above(room, other));
      if (wrong !== undefined) throw new Error(`src/${room} imports src/${wrong}, which lies above it`);
      return [`\`${room}\``, FLOORS.filter((other) => others.includes(other)).join(', ')];
    }),
  );
}

/** What a suite can ask for. */
export function relationTable(): string {
  const names = relations.filter(({ byDefault }) => byDefault).map(({ name }) => name);
  const rows = relations.map(({ name, what, requires, lifetimes }) => [
    `\`${name}\``,
    what,
    requires(true) === requires(false)
      ? `\`${requires(false)}\``
      : `\`${requires(false)}\`; \`${requires(true)}\` of a batch-invariant engine`,
    String(lifetimes),
  ]);
  return `Default: \`[${names.join(', ')}]\`.\n\n${table(['relation', 'what it claims', 'required by default', 'engine starts'], rows)}`;
}

/** What proves each relation. */
export const witnessTable = (): string =>
  table(
    ['relation', 'what it claims', 'witness'],
    relations.map(({ name, what, witness }) => [`\`${name}\``, what, witness]),
  );

/** What the host knows of each engine. */
export const engineTable = (): string =>
  table(
    [
      'engine',
      'what it is',
      'passes',
      'prefix cache',
      'arguments that make it repeat',
      'an image that has it',
    ],
    engines.map(({ name, what, kinds, prefixCaching, args, gpuMemory, image }) => [
      `\`${name}\``,
      what,
      kinds.join(', '),
      Object.keys(prefixCaching).length > 0 ? 'yes' : 'none: `prefix-cache` is unmeasured',
      [
        ...Object.entries(args).map(([arg, value]) => `\`${arg}: ${value}\``),
        ...gpuMemory.flatMap((part) =>
          Object.entries(part.args).map(([arg, value]) => `on GPUs \`${arg}: ${value}\``),
        ),
      ].join(', '),
      image === undefined ? 'none: nothing is started' : `\`${image}\``,
    ]),
  );

/** What a suite can ask beside texts, and which engine can take it. */
export const abilityTable = (): string =>
  table(
    ['', 'what a suite asks', ...engines.map(({ name }) => `\`${name}\``)],
    Object.entries(ABILITIES).map(([ability, what]) => [
      ability,
      what,
      ...engines.map(({ takes }) => (takes.some((one) => one === ability) ? 'yes' : 'refused')),
    ]),
  );

export const storeTable = (): string =>
  table(
    ['store', 'what it is'],
    stores.map(({ name, what }, index) => [`\`${name}\`${index === 0 ? ' (default)' : ''}`, what]),
  );

/** What `power` makes, and what a suite lacks that does not notice it. */
export const knownChangeTable = (): string =>
  table(
    ['known change', 'what it is', 'must be', 'a suite that misses it needs', 'of the yardstick'],
    knownChanges.map(({ id, what, equivalent, mayMoveNothing, remedy, yardstick }) => [
      `\`${id}\``,
      what,
      equivalent ? 'left in peace' : mayMoveNothing ? 'noticed where it moves bits' : 'noticed',
      remedy,
      yardstick ? 'yes' : '',
    ]),
  );

/** What action.yml says of `mode`, by the list of modes. */
export function modeInput(all: readonly Mode[] = inputModes): string {
  const told = all.map(({ name, what, needs }) => `\`${name}\` ${what}${PLACES[needs]}`);
  return `  mode:\n    description: ${JSON.stringify(`${told.join('; ')}.`)}\n    default: ${all[0]?.name}\n`;
}

/** Where what needs this can run, as far as it is not wherever a change or a branch is checked. */
const PLACES: Readonly<Record<Mode['needs'], string>> = {
  look: '',
  long: '',
  store: ' (`workflow_dispatch`, default branch)',
  show: '',
  nothing: '',
};

async function generated(): Promise<Map<string, string>> {
  const files = new Map<string, string>();
  for (const name of Object.keys(SCHEMAS) as (keyof typeof SCHEMAS)[])
    files.set(`schema/${name}.json`, jsonSchema(name));
  const action = await readFile(join(root, 'action.yml'), 'utf8');
  // A function, since a description may hold what a replacement would take for a reference.
  const actionYml = action.replace(/^ {2}mode:\n(?: {4}.*\n)+/m, () => modeInput());
  files.set('action.yml', actionYml);
  const { inputs, outputs } = tables(actionYml);
  const parts = {
    'README.md': { inputs, outputs },
    'docs/architecture.md': { imports: await importsTable() },
    'docs/baselines.md': { stores: storeTable() },
    'docs/engines.md': { engines: engineTable(), abilities: abilityTable() },
    'docs/suite.md': { relations: relationTable(), variables: variableTable() },
    'docs/known-issues.md': { issues: knownIssues() },
    'docs/health.md': { policy: policyTable(), captures: await captureTable() },
    'docs/security.md': { tried: await triedTable(), faults: await faultTable() },
    'docs/supply-chain.md': await auditTables(),
    'docs/troubleshooting.md': {
      errors: errorTable(),
      conclusions: conclusionTable(),
      odd: await oddTable(),
    },
    'docs/verdicts.md': { relations: witnessTable(), 'known-changes': knownChangeTable() },
  };
  for (const [file, contents] of Object.entries(parts)) {
    let text = await readFile(join(root, file), 'utf8');
    for (const [marker, content] of Object.entries(contents)) text = between(file, text, marker, content);
    files.set(file, text);
  }
  return files;
}

if (import.meta.main) {
  const check = process.argv.includes('--check');
  const stale: string[] = [];
  for (const [file, text] of await generated()) {
    const path = join(root, file);
    if ((await readFile(path, 'utf8').catch(() => undefined)) === text) continue;
    stale.push(file);
    if (check) continue;
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  }
  if (check && stale.length > 0) {
    console.error(
      `Not what the source gives: ${stale.join(', ')}. Run \`npm run generate\` and commit them.`,
    );
    process.exitCode = 1;
  } else
    console.error(
      check || stale.length === 0 ? 'Schemas and tables match the source.' : `Wrote ${stale.join(', ')}.`,
    );
}

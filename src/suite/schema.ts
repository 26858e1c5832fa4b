import { z } from 'zod';
import { type Able, beyond } from './abilities.ts';
import { type ChatContent, isObject, json, Message, TemplateKwargs, Tool } from './conversation.ts';
import { spelt } from './nearest.ts';
import { drawnAlike, neverLongEnough } from './samples.ts';
import { readServe } from './serve.ts';
import { depthOf, TASKS } from './task.ts';
import { VARIANT_REQUIREMENTS, WITHIN } from './variant.ts';

/** Of the user's YAML file. */
export const SUITE_VERSION = 'deterministic-ml/v1';

const identifier = (what: string) =>
  z
    .string()
    .regex(
      /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?$/,
      `${what} must be 1-64 letters, digits, dots, dashes or underscores, and begin and end with a letter or digit`,
    );

/** Exactly one of these, by the names that servers have for them. */
const GUIDES = ['json', 'regex', 'choice', 'grammar', 'json_object'] as const;

const structuredOutputs = z
  .strictObject({
    json: z
      .union([
        z
          .string()
          .min(1)
          .max(65_536)
          .refine(isObject, { message: 'a JSON Schema is a mapping, or one as JSON' }),
        json,
      ])
      .optional()
      .describe('a JSON Schema'),
    regex: z.string().min(1).max(65_536).optional(),
    choice: z.array(z.string().min(1).max(4096)).min(1).max(1000).optional().describe('one of these texts'),
    grammar: z.string().min(1).max(65_536).optional().describe('in the engine’s own notation, such as EBNF'),
    json_object: z.literal(true).optional().describe('any JSON object'),
  })
  .refine((guide) => GUIDES.filter((key) => guide[key] !== undefined).length === 1, {
    message: `an answer is guided by exactly one of ${GUIDES.map((key) => `\`${key}\``).join(', ')}`,
  })
  .describe('what the answer must look like');

const samplingFields = {
  temperature: z.number().min(0).max(2).describe('0 is greedy decoding'),
  top_p: z.number().gt(0).max(1),
  top_k: z.number().int().min(0, 'must be at least 0, which is off').describe('0 is off'),
  min_p: z.number().min(0).max(1),
  presence_penalty: z.number().min(-2).max(2),
  frequency_penalty: z.number().min(-2).max(2),
  repetition_penalty: z.number().gt(0).max(2),
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 31 - 1),
  max_tokens: z
    .number()
    .int()
    .min(1)
    .max(32_768)
    .describe("required, since an engine's own default is easily missed (16 in one of them)"),
  min_tokens: z.number().int().min(0).max(32_768),
  ignore_eos: z.boolean(),
  stop: z.array(z.string().min(1).max(256)).max(16),
  stop_token_ids: z.array(z.number().int().min(0)).max(64),
  structured_outputs: structuredOutputs,
};

export const Sampling = z.strictObject({
  temperature: samplingFields.temperature.default(0),
  top_p: samplingFields.top_p.default(1),
  top_k: samplingFields.top_k.default(0),
  min_p: samplingFields.min_p.default(0),
  presence_penalty: samplingFields.presence_penalty.default(0),
  frequency_penalty: samplingFields.frequency_penalty.default(0),
  repetition_penalty: samplingFields.repetition_penalty.default(1),
  seed: samplingFields.seed.default(0),
  max_tokens: samplingFields.max_tokens,
  min_tokens: samplingFields.min_tokens.default(0),
  ignore_eos: samplingFields.ignore_eos.default(false),
  stop: samplingFields.stop.default([]),
  stop_token_ids: samplingFields.stop_token_ids.default([]),
  structured_outputs: samplingFields.structured_outputs.optional(),
});
export type Sampling = z.infer<typeof Sampling>;

/** Answers to one prompt: each is asked for by itself, with a seed one higher than the last, and compared by itself. */
const samples = z
  .number()
  .int()
  .min(1)
  .max(64)
  .optional()
  .describe('answers to each prompt, 1 unless told otherwise: each with a seed one higher than the last');

/** What a request says: as it is served, the rest is the model's. */
export type SaidSampling = Pick<Sampling, 'max_tokens' | 'seed'> & Partial<Sampling>;

/** Without what is left to the model. */
export function saidOf(sampling: Sampling, unsaid: readonly string[] = []): SaidSampling {
  const { max_tokens, seed } = sampling;
  const said = Object.fromEntries(Object.entries(sampling).filter(([name]) => !unsaid.includes(name)));
  return { ...said, max_tokens, seed };
}

const source = {
  text: z.string().min(1).optional().describe('sent as it is'),
  file: z.string().min(1).max(1024).optional().describe('a UTF-8 text file beside the suite, sent as it is'),
};

/** What a prompt is: exactly one of these. */
const SOURCES = ['text', 'messages', 'file', 'token-ids'] as const;

/** Below the model's own folder: its files are digested with the model's. */
const adapter = z
  .string()
  .max(256)
  .regex(
    /^[A-Za-z0-9][\w.-]{0,127}(?:\/[A-Za-z0-9][\w.-]{0,127}){0,7}$/,
    'an adapter is a folder below the model’s own, such as `adapters/sql`',
  )
  .optional()
  .describe('a LoRA adapter to ask: a folder below the model’s own');

const Prompt = z
  .strictObject({
    id: identifier('a prompt id'),
    ...source,
    messages: z
      .array(Message)
      .min(1)
      .max(10_000)
      .optional()
      .describe("a conversation, rendered by the model's chat template"),
    tools: z.array(Tool).min(1).max(1000).optional().describe('what the chat template is given as `tools`'),
    chat_template_kwargs: TemplateKwargs.optional().describe(
      'variables of the chat template, such as `enable_thinking: false`',
    ),
    'token-ids': z
      .array(
        z
          .number()
          .int()
          .min(0)
          .max(2 ** 31 - 1),
      )
      .min(1)
      .max(100_000)
      .optional()
      .describe('ids of the model’s tokenizer, given as they are'),
    adapter,
    sampling: z
      .strictObject({ ...samplingFields, n: samples })
      .partial()
      .optional()
      .describe("what differs from the suite's `sampling`"),
  })
  .refine((p) => SOURCES.filter((key) => p[key] !== undefined).length === 1, {
    message: 'a prompt needs exactly one of `text`, `messages`, `file` and `token-ids`',
  })
  .superRefine((prompt, context) => {
    for (const key of ['tools', 'chat_template_kwargs'] as const)
      if (prompt[key] !== undefined && prompt.messages === undefined)
        context.addIssue({
          code: 'custom',
          path: [key],
          message: 'the chat template is given it, and renders `messages` alone',
        });
  })
  // JSON Schema cannot carry a refinement: an editor needs it said again.
  .meta({ oneOf: SOURCES.map((key) => ({ required: [key] })) });

const ScoreText = z
  .strictObject({ id: identifier('the id of a text'), ...source, adapter })
  .refine((t) => (t.text === undefined) !== (t.file === undefined), {
    message: 'a text needs exactly one of `text` and `file`',
  })
  .meta({ oneOf: [{ required: ['text'] }, { required: ['file'] }] });

/** What `init` leaves where it could not look something up. */
export const OPEN = 'FILL-IN';
const isOpen = (value: unknown) => typeof value === 'string' && value.includes(OPEN);

const EITHER = 'a model needs `id` and `revision`, or `path`, or `served` of an endpoint';
const HUB_ID = /^[\w.-]{1,96}\/[\w.-]{1,96}$/;

/** Why a path could be no folder's here: it waits for somebody to make another of it, and nobody does. */
function noFolder(path: string): string | undefined {
  if (path.startsWith('~'))
    return '`~` is nobody’s home here: name the folder from `/`, or relative to the suite';
  if (/\$[{A-Za-z_]/.test(path)) return NOT_FILLED_IN;
  if (/^[A-Za-z][\w+.-]*:\/\//.test(path))
    return 'a folder on the runner, and no address: fetch the model in an earlier step, or name it by `id` and `revision`';
  return /^[A-Za-z]:[\\/]/.test(path) ? 'a path of Windows, and engines run on Linux' : undefined;
}

const NOT_FILLED_IN =
  'variables and expressions are filled in by shells and workflows, and nobody does it here: write the value out';

const Model = z
  .strictObject({
    id: z
      .string()
      .regex(HUB_ID, 'a hub id has the form owner/name')
      .refine((id) => !id.includes('..'), 'a hub id has no `..`')
      .optional(),
    revision: z
      .string()
      .regex(/^[0-9a-f]{40}$/, {
        error: ({ input }) =>
          isOpen(input)
            ? 'fill in the commit of the model, 40 hex digits: its page on the hub shows it under “Files”, “History”'
            : 'a revision is a commit of 40 hex digits: a branch or a tag can move',
      })
      .optional(),
    path: z
      .string()
      .min(1)
      .max(1024)
      .superRefine((path, { addIssue }) => {
        const why = noFolder(path);
        if (why !== undefined) addIssue({ code: 'custom', message: why });
      })
      .optional()
      .describe('a folder on the runner, relative to the suite'),
    served: z
      .string()
      .regex(/^[\x21-\x7e]{1,256}$/, 'a served name is plain text without spaces')
      .optional()
      .describe('the name by which an endpoint serves it'),
  })
  .refine((m) => [m.id, m.path, m.served].filter((one) => one !== undefined).length <= 1, { message: EITHER })
  .refine((m) => m.id === undefined || m.revision !== undefined, {
    message: 'a model from the hub needs its `revision`: 40 hex digits of a commit',
    path: ['revision'],
  })
  .refine((m) => (m.path === undefined && m.served === undefined) || m.revision === undefined, {
    message:
      '`revision` belongs to a hub `id`; a `path` is identified by the digests of its files, and what an endpoint serves nobody here can say',
    path: ['revision'],
  })
  .meta({
    oneOf: [
      { required: ['id', 'revision'] },
      { required: ['path'], not: { required: ['revision'] } },
      { required: ['served'], not: { required: ['revision'] } },
    ],
  });

/** What a suite may name: this version's engines, relations and stores, each from its own list. */
export interface Vocabulary {
  /** What each of them can take. */
  readonly engines: readonly Able[];
  /** Those of them that run a program of the user's: they may do without a model, and choose no tokens. */
  readonly programs: readonly string[];
  /** Those of them that compute without a model, and what they are asked: each probe by its name. */
  readonly modelless: readonly Modelless[];
  /** Those of them that are measured as they are served, too, and how a command line of theirs begins. */
  readonly serving: readonly Server[];
  /** Those of them that are asked over the network, and what is wrong with arguments for one. */
  readonly remote: readonly {
    readonly name: string;
    problems(args: Readonly<Record<string, unknown>>): Iterable<readonly [name: string, message: string]>;
  }[];
  /** `byDefault`: a suite that names none asks for it. `decoding`: it says nothing where nothing is decoded. */
  readonly relations: readonly {
    readonly name: string;
    readonly byDefault: boolean;
    readonly decoding: boolean;
  }[];
  /** The first is what a suite that names none gets. */
  readonly stores: readonly string[];
  /** Environment variables that a suite may set; beginnings of names end in `*`. */
  readonly variables: readonly string[];
}

interface Modelless {
  readonly name: string;
  readonly probes: readonly string[];
}

export const CACHES = ['fresh', 'kept'] as const;
export const DEPTHS = ['full', 'score'] as const;
export const REQUIREMENTS = ['identical', 'within-envelope', 'tokens', 'measure'] as const;
export type Requirement = (typeof REQUIREMENTS)[number];

/** One pattern for all of them, so that an editor knows them too. */
const anyOf = (variables: readonly string[]) =>
  new RegExp(`^(?:${variables.map((name) => name.replace(/\*$/, '[A-Z0-9_]{1,64}')).join('|')})$`);

export const ENGINE_DEFAULTS = ['deterministic', 'as-served'] as const;
export type EngineDefaults = (typeof ENGINE_DEFAULTS)[number];

/** A command line stands for a deployment: whoever gives one and says no more means that. */
export const defaultsOf = ({
  defaults,
  serve,
}: Pick<Suite['engine'], 'defaults' | 'serve'>): EngineDefaults =>
  defaults ?? (serve === undefined ? 'deterministic' : 'as-served');

interface Server {
  readonly name: string;
  readonly programs: readonly string[];
}

function* servingProblems(
  {
    name,
    defaults,
    serve,
  }: { name: string; defaults?: EngineDefaults | undefined; serve?: string | undefined },
  model: z.infer<typeof Model> | undefined,
  serving: readonly Server[],
): Generator<readonly [key: 'defaults' | 'serve', message: string]> {
  const server = serving.find((one) => one.name === name);
  if (server === undefined) {
    const message = `\`${name}\` is no server here, with defaults or a command line of its own: ${serving.map((one) => `\`${one.name}\``).join(', ')} is`;
    if (defaults === 'as-served') yield ['defaults', message];
    if (serve !== undefined) yield ['serve', message];
    return;
  }
  const read = serve === undefined ? undefined : readServe(serve);
  if (read === undefined || 'problem' in read) return;
  const { program, model: named } = read.ok;
  if (program !== '' && !server.programs.includes(program))
    yield [
      'serve',
      `it begins with \`${program}\`: a command line of \`${name}\` begins with ${server.programs.map((one) => `\`${one}\``).join(', with ')} (of a Python: \`python -m\`), or with its first flag; variables before it belong under \`engine.env\``,
    ];
  // A path is the deployment's machine's; a name of the hub must be the suite's.
  else if (named !== undefined && model?.id !== undefined && HUB_ID.test(named) && named !== model.id)
    yield ['serve', `it serves \`${named}\`, and the suite’s model is \`${model.id}\``];
}

/** What is somebody else's cannot be set up here, and what is served by name only they have. */
function* remoteProblems(
  {
    name,
    args,
    env,
    caches,
  }: {
    readonly name: string;
    readonly args: Readonly<Record<string, unknown>>;
    readonly env: object;
    readonly caches: string;
  },
  model: z.infer<typeof Model> | undefined,
  { image, gpus }: { readonly image?: string | undefined; readonly gpus: number | 'none' },
  remote: Vocabulary['remote'],
): Generator<readonly [path: readonly string[], message: string]> {
  const asked = remote.find((one) => one.name === name);
  if (asked === undefined) {
    if (model?.served !== undefined)
      yield [
        ['model', 'served'],
        `\`${name}\` loads a model itself, by \`id\` and \`revision\` or by \`path\``,
      ];
    return;
  }
  if (model !== undefined && model.served === undefined)
    yield [['model'], 'an endpoint serves a model by a name: `model: { served: … }`'];
  for (const [argument, message] of asked.problems(args))
    yield [argument in args ? ['engine', 'args', argument] : ['engine', 'args'], message];
  const elsewhere = 'nothing is started for an endpoint: what it runs on is its own';
  if (Object.keys(env).length > 0) yield [['engine', 'env'], elsewhere];
  if (caches !== 'fresh') yield [['engine', 'caches'], elsewhere];
  if (image !== undefined) yield [['runtime', 'image'], elsewhere];
  if (gpus !== 'none') yield [['runtime', 'gpus'], elsewhere];
}

/** What a flag is called as an argument: `--max-model-len` and `maxModelLen` are `max_model_len`. */
function pythonic(flag: string): string {
  const name = spelt(flag)
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^[_0-9]+|_+$/g, '');
  return name === '' ? 'max_model_len' : name;
}

const engineFields = (variables: readonly string[]) => ({
  defaults: z
    .enum(ENGINE_DEFAULTS)
    .optional()
    .describe(
      'what holds where the suite says nothing: `deterministic` (default), or `as-served`, the engine’s own defaults with the sampling of `generation_config.json` (default beside `serve`)',
    ),
  serve: z
    .string()
    .trim()
    .min(1)
    .max(8192)
    .superRefine((line, context) => {
      const read = readServe(line);
      if ('problem' in read) context.addIssue({ code: 'custom', message: read.problem });
    })
    .optional()
    .describe('the deployment’s own command line, as its server is started; `args` win over it'),
  args: z
    .record(
      z.string().regex(/^[a-z][a-z0-9_]*$/, {
        error: ({ input }) => `an engine argument is a Python name, as in \`${pythonic(String(input))}\``,
      }),
      z.json(),
    )
    .refine((args) => !('model' in args), { message: 'the model is named under `model`', path: ['model'] })
    .superRefine((args, { addIssue }) => {
      for (const [name, value] of Object.entries(args))
        if (/\$\{\{/.test(JSON.stringify(value)))
          addIssue({ code: 'custom', path: [name], message: NOT_FILLED_IN });
    })
    .default({})
    .describe("arguments of the engine's own constructor; they win over the deterministic defaults"),
  env: z
    .record(
      z
        .string()
        .regex(
          anyOf(variables),
          'a suite sets what tunes numbers, and docs/suite.md lists it: devices, paths, caches, plugins and the network are the runner’s, or the image’s own',
        ),
      z
        .string()
        .max(4096)
        .regex(/^[\x20-\x7e]*$/, 'the value is plain text of one line')
        .refine((value) => !/[/\\]/.test(value), { message: 'a value that names a place is refused' })
        .refine((value) => !/\$[{(A-Za-z_]/.test(value), { message: NOT_FILLED_IN }),
    )
    .default({})
    .describe('environment variables that tune the numbers'),
  caches: z
    .enum(CACHES)
    .default('fresh')
    .describe(
      'what an engine start finds of compiled kernels: `fresh` nothing; `kept` what the last refresh on this machine left, verified and named in the record',
    ),
});

/** What a variant must show beside its suite. */
export const VariantRequirement = z.union([
  z.enum(VARIANT_REQUIREMENTS),
  z.string().regex(WITHIN, 'a distance is written `within 2x floor`'),
]);
export type VariantRequirement = z.infer<typeof VariantRequirement>;

/** Of a container's image, as it is run; `chooseRuntime` looks at whether it is pinned. */
const image = z
  .string()
  .min(1)
  .max(512)
  .refine((name) => !isOpen(name), {
    message: 'fill in the digest: `docker buildx imagetools inspect <image>` shows it',
  })
  .optional()
  .describe('repository@sha256:… or a local image id sha256:…');

const gpus = z.union([z.literal('none'), z.number().int().min(1).max(64)]);

/** An engine start each, in every check. */
export const MAX_VARIANTS = 20;

/** What a variant has otherwise than its suite. Whatever is left out stays. */
const changeFields = (engines: readonly string[], variables: readonly string[]) => {
  const { args, env } = engineFields(variables);
  return {
    engine: z.enum(engines).optional(),
    image,
    model: Model.optional(),
    gpus: gpus.optional(),
    args: args.unwrap().optional(),
    env: env.unwrap().optional(),
  };
};
export type Change = z.infer<z.ZodObject<ReturnType<typeof changeFields>>>;

/**
 * Of engine starts, in a refresh and after a first difference: with these an honest engine is called drifted with a chance
 * of at most 0.4 % (`falseAlarm`), and no fewer in all bound it by 0.5 %.
 */
const STARTS = { lifetimes: 4, confirm: 4 } as const;

const BASELINE = {
  path: 'determinism-baselines',
  lifetimes: STARTS.lifetimes,
  'warn-after-days': 90,
  branches: [] as string[],
};

/** As GitHub's filters have it: `*` stands for a part of a name, `**` for parts of several. */
const Branches = z
  .string()
  .regex(/^[\w.*-][\w./*-]{0,254}$/, 'a branch, or a pattern of branches such as `release/*`')
  .refine((one) => !one.startsWith('refs/'), 'without `refs/heads/`')
  // Each more makes a name that does not fit dearer to try.
  .refine((one) => (one.match(/\*+/g) ?? []).length <= 3, 'at most three times `*` or `**`');

export const Acceptance = z.strictObject({
  record: z.string().regex(/^[0-9a-f]{64}$/, 'a record is named by the 64 hex digits that its report shows'),
  'hardware-class': z
    .string()
    .regex(/^[a-z0-9][a-z0-9._-]{0,127}$/, 'a hardware class is written as its report shows it')
    .optional()
    .describe('where the record comes from: others then do not take it for a stale one'),
  reason: z.string().trim().min(1, 'an acceptance needs its reason').max(1000),
});
export type Acceptance = z.infer<typeof Acceptance>;

const POLICY_LEVELS = ['fail', 'warn'] as const;
export const REMOVED_LEVELS = ['fail', 'warn', 'pass'] as const;

export const SuiteName = identifier('a suite name').describe(
  "the suite's identity: baselines are kept under it",
);

/** Which relation an entry of `relations` names. */
const nameIn = (entry: string | { readonly name: string }) =>
  typeof entry === 'string' ? entry : entry.name;

/** A suite in the words of a version. Every type of a suite derives from it, and so does `schema/suite.json`. */
export const suiteSchema = ({
  engines,
  programs,
  modelless,
  serving,
  remote,
  relations: known,
  stores,
  variables,
}: Vocabulary) => {
  const relation = z.enum(known.map(({ name }) => name));
  const [store = ''] = stores;
  return z
    .strictObject({
      apiVersion: z.literal(SUITE_VERSION),
      name: SuiteName,
      model: Model.optional().describe(
        'what computes; an engine of probes has none, and a program of your own may do without',
      ),
      engine: z.strictObject({ name: z.enum(engines.map(({ name }) => name)), ...engineFields(variables) }),
      runtime: z
        .strictObject({
          image,
          gpus: gpus.default('none'),
          memory: z
            .string()
            .regex(/^[1-9][0-9]*[KMG]iB$/, 'a size such as 16GiB')
            .optional()
            .describe("limit of the container's memory; nine tenths of its machine's unless told otherwise"),
          cpus: z
            .number()
            .min(0.1)
            .max(1024)
            .optional()
            .describe("limit of the container's CPU time, in CPUs"),
          shm: z
            .string()
            .regex(/^[1-9][0-9]*[KMG]iB$/, 'a size such as 1GiB')
            .default('1GiB'),
          warm: z
            .boolean()
            .optional()
            .describe(
              'later engine starts of a run are forks of a process that has imported the engine; on without GPUs unless told otherwise',
            ),
        })
        .default({ gpus: 'none', shm: '1GiB' }),
      task: z
        .enum(TASKS)
        .optional()
        .describe(
          '`embed`, `reward`: the model gives a vector for each prompt and text, and generates nothing',
        ),
      probes: z
        .boolean()
        .optional()
        .describe(
          'call single operators before the model is loaded, and tell by them what moved it; on without GPUs unless told otherwise',
        ),
      sampling: Sampling.extend({ n: samples })
        .optional()
        .describe('how tokens are chosen; probes choose none'),
      prompts: z
        .array(Prompt)
        .min(1)
        .max(10_000)
        .optional()
        .describe('what is asked; of an engine of probes, all of them where nothing is said'),
      score: z
        .array(ScoreText)
        .max(10_000)
        .default([])
        .describe('texts that are scored beside the prompts: many positions for little time'),
      depth: z
        .enum(DEPTHS)
        .default('full')
        .describe('`score` is the cheapest check: prefill only, blind to decoding and sampling'),
      relations: z
        .array(z.union([relation, z.strictObject({ name: relation, require: z.enum(REQUIREMENTS) })]))
        .min(1)
        .default(known.flatMap(({ name, byDefault }) => (byDefault ? [name] : []))),
      baseline: z
        .strictObject({
          store: z.enum(stores).default(store),
          path: z
            .string()
            .min(1)
            .max(512)
            .default(BASELINE.path)
            .describe(
              'a folder of the repository, or what tells baselines apart in a bucket or registry, for a store that keeps them there',
            ),
          lifetimes: z
            .number()
            .int()
            .min(1)
            .max(20)
            .default(BASELINE.lifetimes)
            .describe('engine starts of a refresh; fewer than three leave the envelope unknown'),
          'warn-after-days': z
            .number()
            .int()
            .min(1)
            .max(3650)
            .default(BASELINE['warn-after-days'])
            .describe('a baseline that is older is told as a warning'),
          branches: z
            .array(Branches)
            .max(20)
            .default(BASELINE.branches)
            .describe(
              'branches beside the default one that keep cached baselines of their own, if its suite says so too',
            ),
        })
        .default({ store, ...BASELINE }),
      policy: z
        .strictObject({
          'no-baseline': z.enum(POLICY_LEVELS).default('fail'),
          incomparable: z.enum(POLICY_LEVELS).default('fail'),
          removed: z
            .enum(REMOVED_LEVELS)
            .default('fail')
            .describe(
              'what comes of a difference that only prompts show which a pull request takes away or alters: `fail` counts them until the merge',
            ),
          confirm: z
            .number()
            .int()
            .min(0)
            .max(10)
            .default(STARTS.confirm)
            .describe(
              'engine starts more that separate drift from an unstable engine, after a first difference; 0 leaves it open',
            ),
          bisect: z
            .number()
            .int()
            .min(0)
            .max(64)
            .optional()
            .describe(
              'engine starts, at most, by which a check that drifts finds which of several declared changes moved the bits; 0 (default) leaves that to `bisect`',
            ),
          'budget-minutes': z
            .number()
            .positive()
            .max(100_000)
            .optional()
            .describe('GPU minutes that a check and a refresh may take each, by what `validate` estimates'),
        })
        .default({ 'no-baseline': 'fail', incomparable: 'fail', removed: 'fail', confirm: STARTS.confirm })
        .describe('which conclusions fail the job; all but these always do, except `reproduced`'),
      variants: z
        .array(
          z.strictObject({
            name: identifier('the name of a variant'),
            ...changeFields(
              engines.map(({ name }) => name),
              variables,
            ),
            require: VariantRequirement.default('identical').describe(
              'what it must show beside the suite: `identical`, `tokens`, `within 2x floor`, `measure`',
            ),
          }),
        )
        .max(MAX_VARIANTS)
        .optional()
        .describe('the suite with a change made to it, each measured by a check on the tokens of the suite'),
      accept: z
        .array(Acceptance)
        .max(100)
        .default([])
        .describe('records whose drift is meant: each lets exactly one pass'),
    })
    .superRefine(
      ({ engine, ...said }, { issues, addIssue }) => {
        // Of several problems this is one, so that it is looked for whatever else is wrong.
        const named = (engine as { readonly name?: unknown } | undefined)?.name;
        const program = programs.find((name) => name === named);
        const own = modelless.find(({ name }) => name === named);
        const told = new Set(issues.map(({ path }) => path?.[0]));
        const problems =
          program !== undefined
            ? ofProgram(program, said)
            : own === undefined
              ? lackOf(said, askedOf(said))
              : tooMuchIn(own.name, said, false);
        for (const { key, at = [], ...problem } of problems)
          if (!told.has(key)) addIssue({ ...problem, path: [key, ...at] });
      },
      { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
    )
    .superRefine(
      (
        { engine, model, runtime, task, probes, depth, relations, sampling = {}, prompts = [], score },
        context,
      ) => {
        for (const [path, message] of remoteProblems(engine, model, runtime, remote))
          context.addIssue({ code: 'custom', path: [...path], message });
        const able = engines.find(({ name }) => name === engine.name);
        for (const { path, message } of able === undefined
          ? []
          : beyond({ task, probes, sampling, prompts, score }, able))
          context.addIssue({ code: 'custom', path: [...path], message });
        for (const path of defaultsOf(engine) === 'deterministic' ? drawnAlike({ sampling, prompts }) : [])
          context.addIssue({
            code: 'custom',
            path: [...path],
            message: 'without a `temperature` all answers are the same one: `n` is 1',
          });
        for (const path of neverLongEnough({ sampling, prompts }))
          context.addIssue({
            code: 'custom',
            path: [...path],
            message: '`min_tokens` is more than `max_tokens`: no answer can be so long',
          });
        for (const [key, message] of servingProblems(engine, model, serving))
          context.addIssue({ code: 'custom', path: ['engine', key], message });
        for (const [index, entry] of relations.entries()) {
          const name = nameIn(entry);
          if (depthOf({ task, depth }) === 'score' && known.some((one) => one.name === name && one.decoding))
            context.addIssue({
              code: 'custom',
              path: ['relations', index],
              message: `\`${name}\` looks at decoding, and nothing is decoded ${task === undefined ? 'at depth `score`' : `by a model that is asked to \`${task}\``}`,
            });
        }
      },
    )
    .overwrite((suite) => {
      if (programs.includes(suite.engine.name))
        return { ...suite, model: suite.model ?? {}, sampling: NOTHING_SAMPLED };
      const own = modelless.find(({ name }) => name === suite.engine.name);
      return own === undefined
        ? { ...suite, ...(suite.task && { sampling: suite.sampling ?? NOTHING_SAMPLED }) }
        : { ...suite, ...ofProbes(own), ...stripped({ prompts: suite.prompts }) };
    })
    .meta({
      // JSON Schema cannot carry the look at the engine: an editor needs it said again.
      if: { properties: { engine: { properties: { name: { enum: modelless.map(({ name }) => name) } } } } },
      // biome-ignore lint/suspicious/noThenProperty: so JSON Schema has it
      then: {
        properties: { model: { maxProperties: 0 }, score: { maxItems: 0 }, depth: { const: 'full' } },
      },
      else: {
        if: { properties: { engine: { properties: { name: { enum: programs } } } } },
        // biome-ignore lint/suspicious/noThenProperty: so JSON Schema has it
        then: { required: ['prompts'] },
        else: {
          if: { required: ['task'] },
          // biome-ignore lint/suspicious/noThenProperty: so JSON Schema has it
          then: { required: [...WITHOUT_SAMPLING] },
          else: { required: [...ASKED] },
        },
      },
    });
};
export type SuiteSchema = ReturnType<typeof suiteSchema>;

/** What a model is asked, and which. */
const ASKED = ['model', 'sampling', 'prompts'] as const;
/** Of a model that chooses no tokens. */
const WITHOUT_SAMPLING = ['model', 'prompts'] as const;
const askedOf = ({ task }: Said) => (task === undefined ? ASKED : WITHOUT_SAMPLING);

interface Said {
  readonly model?: z.infer<typeof Model> | undefined;
  readonly task?: unknown;
  readonly sampling?: Sampling | undefined;
  readonly prompts?: readonly unknown[] | undefined;
  readonly score?: readonly unknown[];
  readonly depth?: string;
  readonly relations?: readonly unknown[];
}

type Problem = { readonly key: keyof Said; readonly at?: readonly (string | number)[] } & (
  | { readonly code: 'invalid_type'; readonly expected: 'object' | 'array'; readonly input: undefined }
  | { readonly code: 'custom'; readonly message: string }
);

function* lackOf(said: Said, keys: readonly (typeof ASKED)[number][]): Generator<Problem> {
  for (const key of keys)
    if (said[key] === undefined)
      yield { key, code: 'invalid_type', expected: key === 'prompts' ? 'array' : 'object', input: undefined };
  const { model } = said;
  const { id, path, served } = model ?? {};
  if (keys.includes('model') && model !== undefined && (id ?? path ?? served) === undefined)
    yield { key: 'model', code: 'custom', message: EITHER };
}

/** What is filled in is what a suite may say, so that a suite which was read can be read again. */
function* tooMuchIn(
  name: string,
  { model, sampling, score = [], depth }: Said,
  mayHaveModel: boolean,
): Generator<Problem> {
  const problem = (key: keyof Said, why: string): Problem => ({
    ...{ key, code: 'custom' },
    message: `\`${name}\` ${why}: leave it out`,
  });
  if (!mayHaveModel && model !== undefined && Object.values(model).some((value) => value !== undefined))
    yield problem('model', 'computes without a model');
  if (sampling !== undefined && JSON.stringify(sampling) !== JSON.stringify(NOTHING_SAMPLED))
    yield problem('sampling', 'chooses no tokens');
  if (score.length > 0) yield problem('score', 'scores no texts');
  if (depth === 'score') yield problem('depth', 'scores nothing');
}

/** It is given prompts, chooses no tokens, and gives what has no distance. */
function* ofProgram(name: string, said: Said): Generator<Problem> {
  yield* lackOf(said, ['prompts']);
  yield* tooMuchIn(name, said, true);
  const { prompts, relations } = said;
  for (const [index, prompt] of list(prompts).entries())
    if (mapping(prompt)['sampling'] !== undefined)
      yield {
        ...{ key: 'prompts', at: [index, 'sampling'], code: 'custom' },
        message: `\`${name}\` chooses no tokens: leave it out`,
      };
  for (const [index, entry] of list(relations).entries())
    if (['tokens', 'within-envelope'].includes(String(mapping(entry)['require'])))
      yield {
        ...{ key: 'relations', at: [index, 'require'], code: 'custom' },
        message: `\`${name}\` gives neither tokens nor a distance: ask for \`identical\` or \`measure\``,
      };
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const mapping = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};

const NOTHING_SAMPLED = Sampling.parse({ max_tokens: 1 });

/** What a suite of probes leaves out. */
const ofProbes = ({ probes }: Modelless) => ({
  model: {},
  sampling: NOTHING_SAMPLED,
  prompts: probes.map((probe) => ({ id: probe, text: probe })),
});

const stripped = <T extends object>(values: T) =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
/** `said`: which of `sampling` the file itself says; only where the rest is the model's (`as-served`). */
export type Suite = Whole<z.infer<SuiteSchema>> & { readonly said?: readonly string[] };
type Asked = (typeof ASKED)[number];
type Whole<T extends { [K in Asked]?: unknown }> = Omit<T, Asked> & { [K in Asked]: NonNullable<T[K]> };

/** With what every suite has once it is read: by then nothing of it is missing, or it was refused. */
export function wholeSuite(read: z.infer<SuiteSchema>): Suite {
  const { model, sampling, prompts } = read;
  if (model === undefined || sampling === undefined || prompts === undefined)
    throw new Error('the schema let a suite pass that lacks what a model is asked');
  return { ...read, model, sampling, prompts };
}
export type PromptEntry = Suite['prompts'][number];

/** What the engine is asked with: files are already read. */
export type PromptContent = (
  | { readonly text: string }
  | ChatContent
  /** In the order of the prompt. */
  | { readonly 'token-ids': readonly number[] }
) & { readonly adapter?: string };

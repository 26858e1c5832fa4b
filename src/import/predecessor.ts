import { z } from 'zod';
import type { Fingerprint, Gpu } from '../fingerprint/schema.ts';
import { SOFTWARE_LIMITS, type Software } from '../fingerprint/software.ts';
import { digestJson } from '../record/digest.ts';
import { readYaml, type Yaml } from '../suite/yaml.ts';
import { factOf, idOf } from './names.ts';
import type { Problems } from './problems.ts';
import type { Folder, ImportedAnswer, ImportedEnvironment, ImportSource, Taken } from './source.ts';
import { NOTHING } from './source.ts';
import { UNKNOWN_AMBIENT, UNKNOWN_ENVIRONMENT, UNKNOWN_FINGERPRINT } from './unknown.ts';

/*
 * A run of the predecessor `deterministic-ml` (backend-developers-ltd): a folder with `experiment.yaml`, `output.yaml`
 * (prompt -> BLAKE2b-512 of the text) and `sysinfo.yaml`. It tells neither tokens, log-probabilities, model, sampling nor
 * the number of SMs.
 */

const FILES = { experiment: 'experiment.yaml', output: 'output.yaml', system: 'sysinfo.yaml' } as const;
/** Bytes of one: a hundred times what it needs. */
const MAX_BYTES = 2 * 1024 * 1024;
const MAX_PROMPTS = 10_000;

const text = z.string().min(1).max(2000);
const scalar = z.union([text, z.number()]);

const Experiment = z.object({
  experiment: text,
  experiment_hash: text.optional(),
  run_id: text.optional(),
  timestamp: z
    .string()
    .regex(/^\d{4}-\d{2}-\d{2}_\d{2}-\d{2}-\d{2}$/, 'is no time such as 2024-08-22_12-16-19')
    .optional(),
});

const HEX = /^[0-9a-f]{128}$/;
const Output = z.record(
  z.string().min(1),
  z.string().regex(HEX, 'is no BLAKE2b-512 of a text: 128 hex digits'),
);

const Card = z.object({
  name: text.optional(),
  capacity: scalar.optional(),
  cuda: scalar.optional(),
  driver: scalar.optional(),
});
const System = z.object({
  cuda: z.object({ cuda: scalar.optional(), cudnn: scalar.optional() }).nullish(),
  machine: z
    .object({
      cpu: z.object({ count: z.number().int().nonnegative().optional(), model: text.optional() }).nullish(),
      gpu: z
        .object({
          count: z.number().int().nonnegative().max(64).optional(),
          details: z.array(Card).max(64).optional(),
        })
        .nullish(),
      os: text.optional(),
      /** kB, as the kernel counts. */
      ram: z.object({ total: z.number().int().nonnegative().optional() }).nullish(),
    })
    .nullish(),
  python: z
    .object({ packages: z.array(text).max(SOFTWARE_LIMITS.entries).optional(), version: text.optional() })
    .nullish(),
  system: z
    .object({
      dpkg_packages: z.array(text).max(SOFTWARE_LIMITS.entries).optional(),
      release: text.optional(),
    })
    .nullish(),
});
type System = z.infer<typeof System>;

export const predecessor: ImportSource = {
  name: 'deterministic-ml',
  what: 'runs of the predecessor `deterministic-ml`: `experiment.yaml`, `output.yaml` and `sysinfo.yaml` in one folder',
  async take(folder, problems): Promise<Taken> {
    const own = Object.values(FILES).filter((name) => folder.files.includes(name));
    if (!own.includes(FILES.experiment) && !own.includes(FILES.output)) return NOTHING;
    for (const name of [FILES.experiment, FILES.output])
      if (!own.includes(name))
        problems.add(pathOf(folder, name), 1, 'is missing: what lies beside it is half a run');
    const experiment = await read(folder, FILES.experiment, Experiment, problems);
    const output = await read(folder, FILES.output, Output, problems);
    const system = own.includes(FILES.system)
      ? await read(folder, FILES.system, System, problems)
      : { value: {} };
    const taken = { ...NOTHING, files: own };
    if (experiment === undefined || output === undefined || system === undefined) return taken;
    const { value: told } = experiment;
    const prompts = Object.entries(output.value);
    if (prompts.length === 0 || prompts.length > MAX_PROMPTS) {
      problems.add(
        pathOf(folder, FILES.output),
        1,
        `holds ${prompts.length} prompts: 1 to ${MAX_PROMPTS} can be`,
      );
      return taken;
    }
    return {
      ...taken,
      runs: [
        {
          name: '',
          suite: told.experiment,
          // In what time zone nobody told: taken for UTC.
          createdAt: told.timestamp?.replace(/_(\d\d)-(\d\d)-(\d\d)$/, 'T$1:$2:$3Z'),
          environment: environmentOf(system.value, told.experiment_hash),
          answers: answersOf(told.experiment, prompts),
          vocabulary: new Map(),
        },
      ],
    };
  },
};

const pathOf = ({ path }: Folder, name: string) => (path === '' ? name : `${path}/${name}`);

function answersOf(experiment: string, prompts: readonly (readonly [string, string])[]): ImportedAnswer[] {
  const taken = new Set<string>();
  return prompts.map(([prompt, blake2b]) => ({
    prompt: idOf(prompt, taken),
    input: digestJson({ source: 'deterministic-ml', experiment, prompt }),
    finishReason: 'unknown',
    sampling: null,
    channels: [{ name: 'text-digest', kind: 'digest', blake2b }],
  }));
}

/** @returns undefined, and a problem each, for what is not as it should be */
async function read<T>(
  folder: Folder,
  name: string,
  schema: z.ZodType<T>,
  problems: Problems,
): Promise<{ readonly value: T } | undefined> {
  if (!folder.files.includes(name)) return undefined;
  const source = await folder.text(name);
  if (source === undefined) return undefined;
  const file = pathOf(folder, name);
  if (Buffer.byteLength(source) > MAX_BYTES) {
    problems.add(file, 1, `is larger than ${MAX_BYTES} bytes`);
    return undefined;
  }
  const yaml: Yaml = readYaml(source, 'such a file');
  const wrong = [...yaml.syntax, ...yaml.structure];
  for (const { line, column, message } of wrong) problems.add(file, line, message, column);
  if (wrong.length > 0) return undefined;
  const result = schema.safeParse(yaml.value());
  if (result.success) return { value: result.data };
  for (const { path, message } of result.error.issues) {
    const steps = path.map((step) => (typeof step === 'number' ? step : String(step)));
    const { line, column } = yaml.place(steps);
    problems.add(
      file,
      line,
      `${steps.length === 0 ? 'the file' : `\`${steps.join('.')}\``}: ${message}`,
      column,
    );
  }
  return undefined;
}

function environmentOf(told: System, experimentHash: string | undefined): ImportedEnvironment {
  const python = packages(told.python?.packages ?? []);
  const dpkg = packages(told.system?.dpkg_packages ?? []);
  const software: Software = {
    ...(told.python?.packages === undefined ? {} : { python }),
    ...(told.system?.dpkg_packages === undefined ? {} : { dpkg }),
  };
  const engine = python['vllm'];
  const fingerprint: Fingerprint = {
    declared: {
      ...UNKNOWN_FINGERPRINT.declared,
      engine:
        engine === undefined ? { name: 'unknown', version: 'unknown' } : { name: 'vllm', version: engine },
      libraries: librariesOf(told, python),
    },
    ambient: {
      ...UNKNOWN_AMBIENT,
      ...gpusOf(told.machine?.gpu ?? undefined),
      cpu: {
        ...UNKNOWN_AMBIENT.cpu,
        model: factOf(told.machine?.cpu?.model),
        cores: told.machine?.cpu?.count ?? 'unknown',
      },
      memoryBytes: bytesOf(told.machine?.ram?.total, 1024),
      os: factOf(told.machine?.os),
      kernel: factOf(told.system?.release),
    },
  };
  return {
    fingerprint,
    // Of the experiment's own files, which say what was asked for and how.
    settings: {
      ...UNKNOWN_ENVIRONMENT.settings,
      requested: experimentHash === undefined ? {} : { 'experiment-hash': experimentHash },
    },
    software: Object.keys(software).length === 0 ? undefined : software,
  };
}

function gpusOf(gpu: NonNullable<NonNullable<System['machine']>['gpu']> | undefined): {
  gpus: Gpu[];
  driver: string;
} {
  const details = gpu?.details ?? [];
  const count = Math.max(gpu?.count ?? 0, details.length);
  const drivers = new Set(details.flatMap(({ driver }) => (driver === undefined ? [] : [String(driver)])));
  return {
    gpus: Array.from({ length: count }, (_, at) => {
      const { name, cuda, capacity } = details[at] ?? {};
      return {
        name: factOf(name),
        uuidHash: 'unknown',
        computeCapability: factOf(cuda === undefined ? undefined : String(cuda)),
        smCount: 'unknown',
        memoryBytes: bytesOf(capacity, 1024 ** 2),
      };
    }),
    // That there is none was looked at.
    driver: drivers.size > 0 ? factOf([...drivers].join(' + ')) : gpu?.count === 0 ? 'none' : 'unknown',
  };
}

function bytesOf(units: string | number | undefined, unit: number): number | 'unknown' {
  const bytes = Math.round(Number(units ?? Number.NaN) * unit);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? bytes : 'unknown';
}

/** What computes, among what is installed. */
const LIBRARIES: Readonly<Record<string, string>> = {
  torch: 'torch',
  transformers: 'transformers',
  numpy: 'numpy',
  triton: 'triton',
  xformers: 'xformers',
  'vllm-flash-attn': 'vllm-flash-attn',
  'nvidia-nccl-cu12': 'nccl',
  'nvidia-cublas-cu12': 'cublas',
};

function librariesOf({ cuda, python }: System, installed: Readonly<Record<string, string>>) {
  const told: Record<string, string> = {};
  const version = python?.version?.split(' ')[0];
  if (version !== undefined) told['python'] = factOf(version);
  if (cuda?.cuda !== undefined) told['cuda'] = factOf(String(cuda.cuda));
  if (cuda?.cudnn !== undefined) told['cudnn'] = factOf(String(cuda.cudnn));
  for (const [name, library] of Object.entries(LIBRARIES)) {
    const own = installed[name];
    if (own !== undefined) told[library] = own;
  }
  return told;
}

/** `name==version`, or `name @ file:///…/wheel`, of which the wheel's name tells the version. */
function packages(lines: readonly string[]): Record<string, string> {
  const found: Record<string, string> = Object.create(null);
  for (const line of lines) {
    const [name = '', version = ''] = line.includes('==') ? line.split('==') : line.split(' @ ');
    const shown = version.includes('/') ? version.slice(version.lastIndexOf('/') + 1) : version;
    const { name: longest, version: longestVersion } = SOFTWARE_LIMITS;
    if (name !== '' && shown !== '' && name.length <= longest && name.isWellFormed() && shown.isWellFormed())
      found[name] = shown.slice(0, longestVersion);
  }
  return { ...found };
}

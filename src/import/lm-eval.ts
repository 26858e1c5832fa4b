import { z } from 'zod';
import type { Channel } from '../record/channels.ts';
import { digestJson } from '../record/digest.ts';
import { environmentIn } from './collect-env.ts';
import { member, readJson, textOf } from './json.ts';
import { factOf, idOf, partOf } from './names.ts';
import type { Problems } from './problems.ts';
import type {
  Folder,
  ImportedAnswer,
  ImportedEnvironment,
  ImportedRun,
  ImportSource,
  Taken,
} from './source.ts';
import { completed, UNKNOWN_ENVIRONMENT, UNKNOWN_FINGERPRINT } from './unknown.ts';

/*
 * Per-sample logs of lm-evaluation-harness (`--log_samples`): `samples_TASK_TIME.jsonl`, and `results_TIME.json` of the same
 * run, which tells model, arguments and environment. A response is a text, or a log-probability with whether it is greedy.
 */

const MAX_SAMPLES = 100_000;

const number = z.union([z.number(), z.string().regex(/^-?(\d+(\.\d*)?(e[+-]?\d+)?|inf)$/i)]);
const greedy = z.union([z.boolean(), z.enum(['True', 'False'])]);
const Response = z.union([z.string(), z.tuple([number, greedy])]);
const Sample = z.object({
  doc_id: z.union([z.number().int(), z.string().max(200)]),
  arguments: z.unknown(),
  doc_hash: z.string().max(200).optional(),
  prompt_hash: z.string().max(200).optional(),
  /** Of each request, of each repeat. */
  resps: z
    .array(z.union([z.array(Response).max(10_000), Response]))
    .min(1)
    .max(10_000),
});
type Sample = z.infer<typeof Sample>;

export const lmEval: ImportSource = {
  name: 'lm-eval',
  what: 'per-sample logs of lm-evaluation-harness: `samples_….jsonl`, with the `results_….json` beside them',
  async take(folder, problems): Promise<Taken> {
    const samples = folder.files.filter((name) => /^samples_.+\.jsonl?$/.test(name));
    if (samples.length === 0) return { files: [], runs: [], environments: [] };
    const results = folder.files.filter((name) => /^results.*\.json$/.test(name));
    const runs: ImportedRun[] = [];
    const told = new Map<string, ImportedEnvironment>();
    for (const name of results) {
      const environment = await resultsOf(folder, name, problems);
      if (environment !== undefined) told.set(timeOf(name), environment);
    }
    for (const name of samples) {
      // One time, one run; a folder with one run may have no times.
      const environment = told.get(timeOf(name)) ?? (told.size === 1 ? [...told.values()][0] : undefined);
      const run = await runOf(folder, name, environment ?? UNKNOWN_ENVIRONMENT, problems);
      if (run !== undefined) runs.push(run);
    }
    return { files: [...samples, ...results], runs, environments: [] };
  },
};

const pathOf = ({ path }: Folder, name: string) => (path === '' ? name : `${path}/${name}`);
const timeOf = (name: string) => /_(\d{4}-\d\d-\d\dT[\d.:-]+?)\.jsonl?$/.exec(name)?.[1] ?? '';

async function resultsOf(
  folder: Folder,
  name: string,
  problems: Problems,
): Promise<ImportedEnvironment | undefined> {
  const source = await folder.text(name);
  const [first] = (source === undefined ? undefined : readJson(source, pathOf(folder, name), problems)) ?? [];
  if (first === undefined) return undefined;
  const { value } = first;
  const config = member(value, 'config');
  const version = textOf(member(value, 'transformers_version'));
  const args = textOf(member(config, 'model_args')) ?? '';
  const requested = Object.fromEntries(
    args.split(',').flatMap((one): (readonly [string, string])[] => {
      const [key = '', ...rest] = one.split('=');
      return key === '' || key === '__proto__' || rest.length === 0
        ? []
        : [[key.slice(0, 100), rest.join('=').slice(0, 500)]];
    }),
  );
  const own: ImportedEnvironment = {
    ...UNKNOWN_ENVIRONMENT,
    fingerprint: {
      ...UNKNOWN_FINGERPRINT,
      declared: {
        ...UNKNOWN_FINGERPRINT.declared,
        model: {
          label: factOf(textOf(member(value, 'model_name')) ?? requested['pretrained']),
          revision: factOf(requested['revision']),
          files: [],
        },
        engine: { name: factOf(textOf(member(config, 'model'))), version: 'unknown' },
        libraries: version === undefined ? {} : { transformers: factOf(version) },
      },
    },
    settings: { ...UNKNOWN_ENVIRONMENT.settings, requested },
  };
  const printed = textOf(member(value, 'pretty_env_info'));
  return printed === undefined ? own : completed(own, environmentIn(printed.slice(0, 1024 * 1024)));
}

async function runOf(
  folder: Folder,
  name: string,
  environment: ImportedEnvironment,
  problems: Problems,
): Promise<ImportedRun | undefined> {
  const file = pathOf(folder, name);
  const source = await folder.text(name);
  const values = source === undefined ? undefined : readJson(source, file, problems);
  if (values === undefined) return undefined;
  const all =
    values.length === 1 && Array.isArray(values[0]?.value)
      ? values[0].value.map((value: unknown) => ({ line: 1, value }))
      : values;
  if (all.length === 0 || all.length > MAX_SAMPLES) {
    problems.add(file, 1, `holds ${all.length} samples: 1 to ${MAX_SAMPLES} can be`);
    return undefined;
  }
  const task = name.replace(/^samples_/, '').replace(/_\d{4}-\d\d-\d\dT.*$|\.jsonl?$/, '');
  const [seen, taken] = [new Set<string>(), new Set<string>()];
  const answers = all.flatMap(({ line, value }): ImportedAnswer[] => {
    const result = Sample.safeParse(value);
    if (!result.success) {
      for (const { path, message } of result.error.issues.slice(0, 5))
        problems.add(file, line, `\`${path.join('.')}\`: ${message}`);
      return [];
    }
    const sample = result.data;
    // A document stands once for each filter, with the same responses.
    const key = String(sample.doc_id);
    if (seen.has(key)) return [];
    seen.add(key);
    return [
      {
        prompt: idOf(`${task}-${key}`, taken),
        input: digestJson({
          source: 'lm-eval',
          task,
          asked: sample.prompt_hash ?? sample.arguments ?? null,
          doc: sample.doc_hash ?? key,
        }),
        finishReason: 'unknown',
        sampling: null,
        channels: channelsOf(sample),
      },
    ];
  });
  const time = /^(\d{4}-\d\d-\d\d)T(\d\d)[-:](\d\d)[-:](\d\d)/.exec(timeOf(name));
  return {
    name: partOf(name.replace(/\.jsonl?$/, '')),
    suite: `lm-eval-${task}`,
    createdAt: time === null ? undefined : `${time[1]}T${time[2]}:${time[3]}:${time[4]}Z`,
    ...{ environment, answers },
    vocabulary: new Map(),
  };
}

function channelsOf({ resps }: Sample): Channel[] {
  // One request with one answer may stand without its own list.
  const flat = resps.flatMap((one) => (Array.isArray(one) && !isPair(one) ? one : [one])) as (
    | string
    | readonly [string | number, unknown]
  )[];
  const texts = flat.filter((one) => typeof one === 'string');
  const nats = flat.flatMap((one) =>
    typeof one === 'string' ? [] : [Number(String(one[0]).replace(/inf/i, 'Infinity'))],
  );
  return [
    ...(nats.length === 0
      ? []
      : [{ name: 'told-logprobs', kind: 'nats', nats: Float32Array.from(nats) } as const]),
    ...(texts.length === 0 ? [] : [{ name: 'text', kind: 'text', text: texts.join('\n') } as const]),
  ];
}

const isPair = (one: readonly unknown[]) =>
  one.length === 2 && /^(true|false)$/i.test(String(one[1])) && !Array.isArray(one[0]);

import type { Channel } from '../record/channels.ts';
import { digestJson } from '../record/digest.ts';
import { isObject, member, readJson, textOf } from './json.ts';
import { factOf, idOf, partOf } from './names.ts';
import { type Choice, finishOf, KINDS, logprobsIn, Response, textIn } from './openai-response.ts';
import type { Problems } from './problems.ts';
import type { Folder, ImportedAnswer, ImportedRun, ImportSource, Taken } from './source.ts';
import { UNKNOWN_ENVIRONMENT, UNKNOWN_FINGERPRINT } from './unknown.ts';

/*
 * Responses of OpenAI's API, which vLLM's server gives too: one in a file, a list, one a line, or as the batch API writes them
 * (`custom_id`, `response.body`). `openai-response.ts` reads each.
 */

/** One response, what asked for it where that is told, and its line. */
interface Told {
  readonly line: number;
  readonly name: string | undefined;
  readonly asked: unknown;
  readonly response: Response;
}

export const openai: ImportSource = {
  name: 'openai',
  what: "responses of OpenAI's API or vLLM's server: `.json`, or `.jsonl` with one a line, the batch API's too",
  async take(folder, problems): Promise<Taken> {
    const files: string[] = [];
    const runs: ImportedRun[] = [];
    for (const name of folder.files) {
      if (!/\.(json|jsonl|ndjson)$/i.test(name) || /^(samples|results)_/.test(name)) continue;
      const source = await folder.text(name);
      if (source === undefined) {
        files.push(name);
        continue;
      }
      // Any other JSON is left alone.
      if (!/"(chat\.completion|text_completion)"/.test(source)) continue;
      files.push(name);
      const run = runOf(folder, name, source, problems);
      if (run !== undefined) runs.push(run);
    }
    return { files, runs, environments: [] };
  },
};

function runOf(folder: Folder, name: string, source: string, problems: Problems): ImportedRun | undefined {
  const file = folder.path === '' ? name : `${folder.path}/${name}`;
  const values = readJson(source, file, problems);
  if (values === undefined) return undefined;
  const told = values
    .flatMap(({ line, value }) =>
      Array.isArray(value) ? value.map((one) => ({ line, value: one })) : [{ line, value }],
    )
    .flatMap(({ line, value }) => toldOf(value, file, line, problems));
  const [first] = told;
  if (first === undefined) {
    if (!problems.any) problems.add(file, 1, 'holds no response');
    return undefined;
  }
  const taken = new Set<string>();
  const answers = told.flatMap((one, at) => answersOf(one, at, taken, file, problems));
  const models = new Set(told.map(({ response }) => response.model ?? 'unknown'));
  const marks = new Set(told.map(({ response }) => response.system_fingerprint ?? 'unknown'));
  const created = first.response.created;
  const one = (all: ReadonlySet<string>) =>
    factOf(all.size === 1 ? [...all][0] : [...all].sort().join(' + '));
  return {
    name: partOf(name.replace(/\.\w+$/, '')),
    // Files that answer the same questions are one suite, whatever they are called.
    suite: `responses-${digestJson(answers.map(({ input }) => input).sort()).slice(0, 8)}`,
    createdAt: created === undefined || created > 4e9 ? undefined : new Date(created * 1000).toISOString(),
    environment: {
      ...UNKNOWN_ENVIRONMENT,
      fingerprint: {
        ...UNKNOWN_FINGERPRINT,
        declared: {
          ...UNKNOWN_FINGERPRINT.declared,
          model: { label: one(models), revision: 'unknown', files: [] },
        },
      },
      settings: {
        ...UNKNOWN_ENVIRONMENT.settings,
        effective: one(marks) === 'unknown' ? {} : { system_fingerprint: one(marks) },
      },
    },
    answers,
    vocabulary: new Map(),
  };
}

/** A response, the line of a batch with one in it, or a pair of request and response. */
function toldOf(value: unknown, file: string, line: number, problems: Problems): Told[] {
  const body = [value, member(member(value, 'response'), 'body'), member(value, 'response')].find(
    (one) => isObject(one) && KINDS.has(one['object']),
  );
  if (body === undefined) {
    problems.add(
      file,
      line,
      'is no response: its `object` is neither `chat.completion` nor `text_completion`',
    );
    return [];
  }
  const result = Response.safeParse(body);
  if (!result.success) {
    for (const { path, message } of result.error.issues.slice(0, 5))
      problems.add(file, line, `\`${path.join('.')}\`: ${message}`);
    return [];
  }
  const asked = member(value, 'request');
  const name = textOf(member(value, 'custom_id'));
  return [{ line, name, asked: member(asked, 'body') ?? asked, response: result.data }];
}

function answersOf(
  { line, name, asked, response }: Told,
  at: number,
  taken: Set<string>,
  file: string,
  problems: Problems,
): ImportedAnswer[] {
  return response.choices.flatMap((choice, place): ImportedAnswer[] => {
    const prompt = choice.prompt_token_ids ?? response.prompt_token_ids ?? undefined;
    const nth = choice.index ?? place;
    // What tells most of the question: what was asked, its tokens, the name that the caller gave it, its place.
    const question =
      asked !== undefined
        ? { asked }
        : prompt !== undefined
          ? { prompt }
          : name !== undefined
            ? { name }
            : { place: at };
    const channels = channelsOf(choice, prompt, file, line, problems);
    if (channels.length === 0) {
      problems.add(file, line, 'holds neither text, tokens nor log-probabilities');
      return [];
    }
    return [
      {
        prompt: idOf(`${name ?? `prompt-${at + 1}`}${nth === 0 ? '' : `-choice-${nth + 1}`}`, taken),
        input: digestJson({ source: 'openai', question, nth }),
        finishReason: finishOf(choice.finish_reason),
        sampling: null,
        channels,
      },
    ];
  });
}

function channelsOf(
  choice: Choice,
  prompt: readonly number[] | undefined,
  file: string,
  line: number,
  problems: Problems,
): Channel[] {
  const channels: Channel[] = [];
  if (prompt !== undefined)
    channels.push({ name: 'prompt-tokens', kind: 'ids', ids: Uint32Array.from(prompt) });
  const tokens = choice.token_ids ?? undefined;
  if (tokens !== undefined) channels.push({ name: 'tokens', kind: 'ids', ids: Uint32Array.from(tokens) });
  // What was not computed is told as null: of a prompt's first token.
  const logprobs = logprobsIn(choice)?.map((one) => one ?? Number.NEGATIVE_INFINITY);
  if (logprobs !== undefined) {
    if (tokens !== undefined && tokens.length !== logprobs.length)
      problems.add(file, line, `has ${logprobs.length} log-probabilities of ${tokens.length} tokens`);
    // By a name of its own: how many tokens there were, a text does not tell.
    else
      channels.push({ name: 'told-logprobs', kind: 'nats', nats: Float32Array.from(logprobs, Math.fround) });
  }
  const text = textIn(choice);
  if (text !== undefined) channels.push({ name: 'text', kind: 'text', text });
  return channels;
}

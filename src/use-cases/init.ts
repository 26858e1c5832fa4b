import { UserError } from '../errors.ts';
import type { InitSettings } from '../job/settings.ts';
import type { Pins, Tools } from '../job/tools.ts';
import type { Answer } from '../report/answer.ts';
import type { InitAnswer } from '../report/answers.ts';
import { readServeLine } from '../suite/serve-line.ts';
import { type Starter, starterSuite } from '../suite/starter.ts';

type Asked = Pick<Tools, 'console' | 'open' | 'suiteSchema'>;

const COMMIT = /^[0-9a-f]{40}$/;
const OWN_ACTION = /org\/deterministic-ml-action@v1\b/g;

/**
 * A suite and the workflows that check, refresh and accept, in a repository that has none. Shows all of it before it is
 * written, and writes over nothing unless it is told to.
 *
 * @throws UserError `input-invalid` with all flags that are missing, or that are wrong; `file-exists`
 */
export async function init(settings: InitSettings, tools: Asked): Promise<Answer> {
  const { console, open } = tools;
  const { starter, open: openEnds } = await pinned(await chosen(settings, tools), open.pins());
  const files = new Map([...starterSuite(starter), ...(await workflows(settings, starter, open))]);

  const checkout = open.checkout();
  const found = await Promise.all(
    [...files].map(async ([path, text]) => {
      const before = await checkout.read(path);
      const state =
        before === undefined ? ('new' as const) : before === text ? ('same' as const) : ('other' as const);
      return { path, text, before, state };
    }),
  );
  for (const { path, text, before, state } of found)
    if (state !== 'same') console.info(difference(path, before, text));
  const others = found.filter(({ state }) => state === 'other').map(({ path }) => path);
  if (others.length > 0 && !settings.force && !settings.dryRun)
    throw new UserError(
      'file-exists',
      `${others.join(', ')} ${others.length === 1 ? 'is' : 'are'} there already, and other than shown above. Nothing was written.`,
      'Move what is yours away, or let `--force` write over it.',
    );
  const ask = open.ask();
  const isWanted =
    !settings.dryRun && (ask === undefined || /^y/i.test(await ask('Write these files? [y/N] ')));
  if (isWanted)
    for (const { path, text, state } of found) if (state !== 'same') await checkout.write(path, text);

  const value: InitAnswer = {
    schema: 'deterministic-ml/init/v1',
    files: found.map(({ path, state }) => ({ path, state, written: isWanted && state !== 'same' })),
    fillIn: openEnds,
  };
  return {
    verdict: 'pass',
    value,
    lines: [
      ...found.map(
        ({ path, state }) =>
          `${state === 'same' ? 'as it is' : isWanted ? 'written' : 'not written'}: ${path}`,
      ),
      ...openEnds.map((what) => `Fill in ${what}`),
      ...(starter.serve === undefined
        ? []
        : [
            'It is measured as it is served. Where the engine does not repeat itself so, the refresh says it and stores nothing: `defaults: deterministic` beside `serve` lays its flags over defaults that repeat.',
          ]),
      isWanted
        ? 'Set `runs-on` in the workflows to your runner’s labels, commit all of it to the default branch, and run `gh workflow run refresh.yml -f reason="first baseline"`.'
        : 'Nothing was written.',
    ],
  };
}

interface Choice extends Omit<Starter, 'commit' | 'digest'> {
  readonly revision: string | undefined;
}

/** By flags, and on a terminal by questions for what they leave open. */
async function chosen(settings: InitSettings, { open, suiteSchema }: Asked): Promise<Choice> {
  const servers = open.servers();
  const engines = suiteSchema.shape.engine.shape.name.options;
  const invalid = (message: string, hint: string) => new UserError('input-invalid', message, hint);
  const line = settings.from === undefined ? undefined : readServeLine(settings.from, servers);
  if (line !== undefined && 'problem' in line)
    throw invalid(
      `\`--from\` is no command line that a suite can have: ${line.problem}.`,
      `Give it as one word: \`--from "${servers[0]?.programs[0]} owner/model --dtype bfloat16"\`.`,
    );
  const ask = open.ask();
  const asked = async (flag: string, given: string | undefined, question: string) =>
    given ?? ((await ask?.(question)) || undefined) ?? flag;
  const missing = [
    ...(settings.model === undefined && line === undefined ? ['--model owner/name'] : []),
    ...(settings.engine === undefined && line === undefined ? ['--engine NAME'] : []),
  ];
  if (missing.length > 0 && ask === undefined)
    throw invalid(
      `Nobody can be asked here, and these are missing: ${missing.map((flag) => `\`${flag}\``).join(', ')}.`,
      'Name them, or `--from`, which has both.',
    );
  const model = await asked('', settings.model ?? line?.model, 'Model of the hub (owner/name): ');
  const [first = ''] = engines;
  const engine = await asked(first, settings.engine ?? line?.engine, `Engine [${first}]: `);
  const gpus = settings.gpus ?? (engine === first ? String(line?.gpus ?? 1) : 'none');
  const isKnown = suiteSchema.shape.engine.shape.name.safeParse(engine).success;
  if (isKnown && open.isModelless(engine))
    throw invalid(
      `\`${engine}\` computes without a model, and this command asks for one.`,
      `Its whole suite is four lines: \`apiVersion\`, \`name\`, \`engine: { name: ${engine} }\` and \`relations\`; docs/engines.md has it.`,
    );
  if (isKnown && open.runsProgram(engine))
    throw invalid(
      `\`${engine}\` runs your own program, and this command knows none.`,
      'examples/script.yml is a suite to begin with; docs/engines.md has what a script may do.',
    );
  const problems = [
    ...(/^[\w.-]{1,96}\/[\w.-]{1,96}$/.test(model)
      ? []
      : [`\`--model\` is \`${model}\`, and not owner/name`]),
    ...(isKnown
      ? open.imageOf(engine) === undefined
        ? [`\`--engine\` is \`${engine}\`, for which nothing is started: begin with examples/${engine}.yml`]
        : []
      : [`\`--engine\` is \`${engine}\`, which is none of this version`]),
    ...(/^(none|[1-9]\d?)$/.test(gpus)
      ? []
      : [`\`--gpus\` is \`${gpus}\`, and neither a count nor \`none\``]),
    ...(/^[\w.-]+\/[\w.-]+@[\w./-]+$/.test(settings.action)
      ? []
      : ['`--action` has not the form owner/name@ref']),
  ];
  if (problems.length > 0)
    throw invalid(`${problems.join('; ')}.`, '`deterministic-ml --help` has all flags.');
  return {
    ...{ model, engine, gpus: gpus === 'none' ? 0 : Number(gpus) },
    revision: line?.revision,
    image: settings.image ?? `${open.imageOf(engine)}:latest`,
    // Of another engine the line says nothing.
    ...(line?.engine === engine
      ? { serve: line.serve(model), left: line.left }
      : { serve: undefined, left: [] }),
  };
}

/** What can be reached is pinned; what cannot stays open, and is named. */
async function pinned(
  { revision, ...choice }: Choice,
  pins: Pins,
): Promise<{ readonly starter: Starter; readonly open: string[] }> {
  const left: string[] = [];
  const looked = async (what: string, work: () => Promise<string>) => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof UserError) || error.code === 'cancelled') throw error;
      left.push(`${what}: ${error.message}`);
      return undefined;
    }
  };
  const isCommit = revision !== undefined && COMMIT.test(revision);
  const commit = isCommit
    ? revision
    : await looked('`model.revision`', () => pins.commit(choice.model, revision ?? 'main'));
  const digest = await looked('`runtime.image`', () => pins.digest(choice.image));
  return { starter: { ...choice, commit, digest }, open: left };
}

/** The documented ones, with the names of this repository. */
async function workflows(
  { action }: InitSettings,
  { gpus }: Starter,
  open: Asked['open'],
): Promise<(readonly [string, string])[]> {
  const branch = await open.checkout().defaultBranch();
  return [...(await open.workflows())].map(([name, text]) => [
    `.github/workflows/${name}`,
    text
      .replace(/^# Copy to \.github\/workflows\/\. /, '# ')
      .replaceAll(OWN_ACTION, () => action)
      .replace('branches: [main]', () => `branches: [${JSON.stringify(branch)}]`)
      .replaceAll('[self-hosted, gpu]', gpus === 0 ? '[self-hosted]' : '[self-hosted, gpu]'),
  ]);
}

/** The lines that a file gains and loses between those that it keeps at its beginning and end. */
function difference(path: string, before: string | undefined, after: string): string {
  const [old, now] = [before?.split('\n') ?? [], after.split('\n')];
  let head = 0;
  while (head < Math.min(old.length, now.length) && old[head] === now[head]) head += 1;
  let tail = 0;
  while (tail < Math.min(old.length, now.length) - head && old.at(-1 - tail) === now.at(-1 - tail)) tail += 1;
  return [
    `--- ${before === undefined ? '/dev/null' : path}`,
    `+++ ${path}`,
    `@@ -${head + 1},${old.length - head - tail} +${head + 1},${now.length - head - tail} @@`,
    ...old.slice(head, old.length - tail).map((line) => `-${line}`),
    ...now.slice(head, now.length - tail).map((line) => `+${line}`),
  ].join('\n');
}

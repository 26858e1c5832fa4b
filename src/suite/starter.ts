import { OPEN } from './schema.ts';
import { type StarterPrompt, starterPrompts } from './starter-prompts.ts';

export interface ModelChoice {
  readonly model: string;
  /** A branch, a tag or a commit; undefined for the main branch. */
  readonly revision: string | undefined;
}

/** What a new suite is made of. */
export interface Starter {
  readonly engine: string;
  readonly model: string;
  /** Undefined where it could not be looked up. */
  readonly commit: string | undefined;
  /** With its tag. */
  readonly image: string;
  readonly digest: string | undefined;
  readonly gpus: number;
  /** The command line that serves the model today; undefined where none was given. */
  readonly serve: string | undefined;
  /** Flags of it that the suite does not have. */
  readonly left: readonly string[];
}

/** The text of a suite, and of the prompts' files that it names, by their paths beside it. */
export function starterSuite(starter: Starter): ReadonlyMap<string, string> {
  const { model, commit, image, digest, gpus } = starter;
  const prompts = starterPrompts(/instruct|chat|-it\b/i.test(model));
  const repository = image.replace(/:[\w][\w.-]{0,127}$/, '');
  const text = `# What is computed, with what, and what must not change. docs/suite.md of deterministic-ml describes every key, and
# \`deterministic-ml validate\` checks this file.
apiVersion: deterministic-ml/v1
# Baselines are kept under this name: renaming the suite starts anew.
name: ${nameOf(model)}
# A commit of the model's repository, since a branch or a tag can move.
model:
  id: ${model}
  revision: ${commit ?? `${OPEN} # the commit, 40 hex digits: “Files”, “History” on the model's page`}
${engineLines(starter).join('\n')}
# ${image} by its digest.
runtime:
  image: ${repository}@${digest ?? `sha256:${OPEN} # docker buildx imagetools inspect ${image}`}
  gpus: ${gpus === 0 ? 'none' : gpus}
# Greedy. More tokens see smaller changes and take longer.
sampling: { temperature: 0, max_tokens: 64, seed: 0 }
prompts:
${prompts.map(promptLines).join('\n')}
# rerun: the engine repeats itself. baseline: it still computes what the baseline recorded.
relations: [rerun, baseline]
`;
  return new Map([
    ['determinism.yml', text],
    ...prompts.flatMap(({ file }) => (file === undefined ? [] : [[file.name, file.text] as const])),
  ]);
}

function promptLines({ id, why, text = '', file, isChat, sampling }: StarterPrompt): string {
  const asked =
    file !== undefined
      ? `file: ${file.name}`
      : isChat === true
        ? `messages: [{ role: user, content: ${JSON.stringify(text)} }]`
        : `text: ${JSON.stringify(text)}`;
  const own = sampling === undefined ? '' : `, sampling: ${sampling}`;
  return `  # ${why}\n  - { id: ${id}, ${asked}${own} }`;
}

function engineLines({ engine, serve, left }: Starter): string[] {
  if (serve === undefined)
    return [
      "# `args` are the engine's own; changing one is just what a check is for.",
      'engine:',
      `  name: ${engine}`,
      '  args: {}',
    ];
  return [
    "# Measured as it is served: by the deployment's own command line, over the engine's own defaults. Where that does not",
    '# repeat itself, a refresh says so, and `defaults: deterministic` beside it lays the flags over ones that do.',
    ...(left.length === 0 ? [] : [`# Not taken over from the command line: ${left.join(' ')}`]),
    'engine:',
    `  name: ${engine}`,
    `  serve: ${JSON.stringify(serve)}`,
  ];
}

/** A name that a suite can have. */
const nameOf = (model: string) =>
  (model.split('/').at(-1) ?? model)
    .toLowerCase()
    .replaceAll(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+/, '')
    .slice(0, 60) || 'serving';

import { type Chat, chatContent, MEDIA, type Medium, type Message } from './conversation.ts';
import type { Path } from './offsets.ts';
import type { Task } from './task.ts';

/** What a suite can ask that not every engine can take; each reads on after “takes no”. */
export const ABILITIES = {
  chat: '`messages`',
  conversation: 'conversations with `tools`, calls, parts or `chat_template_kwargs`',
  'token-ids': 'prompts as `token-ids`',
  'structured-outputs': 'guided answers (`structured_outputs`)',
  embed: 'embedding models (`task: embed`)',
  reward: 'reward models (`task: reward`)',
  adapter: 'LoRA adapters (`adapter`)',
  probes: 'probes before the model (`probes: true`)',
  image: 'images in messages',
  audio: 'audio in messages',
  video: 'videos in messages',
  file: 'files in messages',
} as const satisfies Readonly<Record<Medium, string>> & Readonly<Record<string, string>>;
export type Ability = keyof typeof ABILITIES;

/** An engine, as far as this goes. */
export interface Able {
  readonly name: string;
  readonly takes: readonly Ability[];
}

/** A suite, as far as this goes. */
interface Asking {
  readonly task?: Task | undefined;
  readonly probes?: boolean | undefined;
  readonly sampling: Guided;
  readonly prompts: readonly {
    readonly sampling?: Guided | undefined;
    readonly messages?: readonly Message[] | undefined;
    readonly tools?: Chat['tools'];
    readonly chat_template_kwargs?: Chat['chat_template_kwargs'];
    readonly 'token-ids'?: readonly number[] | undefined;
    readonly adapter?: string | undefined;
  }[];
  readonly score: readonly { readonly adapter?: string | undefined }[];
}

interface Guided {
  readonly structured_outputs?: unknown;
}

/** Something that a suite asks, and where. */
interface Need {
  readonly ability: Ability;
  readonly path: Path;
}

/** What a suite asks that its engine cannot take, and where: told before anything is started. */
export function* beyond(
  suite: Asking,
  { name, takes }: Able,
): Generator<{ readonly path: Path; readonly message: string }> {
  for (const { ability, path } of needsOf(suite))
    if (!takes.includes(ability)) yield { path, message: `\`${name}\` takes no ${ABILITIES[ability]} here` };
}

function* needsOf({ task, probes, sampling, prompts, score }: Asking): Generator<Need> {
  const guided = (own: Guided | undefined, ...above: Path): Need[] =>
    own?.structured_outputs === undefined
      ? []
      : [{ ability: 'structured-outputs', path: [...above, 'structured_outputs'] }];
  if (task !== undefined) yield { ability: task, path: ['task'] };
  if (probes === true) yield { ability: 'probes', path: ['probes'] };
  yield* guided(sampling, 'sampling');
  for (const [list, entries] of Object.entries({ prompts, score }))
    for (const [index, { adapter }] of entries.entries())
      if (adapter !== undefined) yield { ability: 'adapter', path: [list, index, 'adapter'] };
  for (const [index, prompt] of prompts.entries()) {
    const at = (...path: Path): Path => ['prompts', index, ...path];
    yield* guided(prompt.sampling, ...at('sampling'));
    if (prompt['token-ids'] !== undefined) yield { ability: 'token-ids', path: at('token-ids') };
    const { messages, tools, chat_template_kwargs } = prompt;
    if (messages !== undefined) {
      yield { ability: 'chat', path: at('messages') };
      if ('conversation' in chatContent({ messages, tools, chat_template_kwargs }))
        yield { ability: 'conversation', path: at('messages') };
    }
    for (const [number, { content }] of (prompt.messages ?? []).entries())
      if (Array.isArray(content))
        for (const [part, { type }] of content.entries())
          for (const ability of mediaOf(type))
            yield { ability, path: at('messages', number, 'content', part) };
  }
}

const mediaOf = (type: string) =>
  (Object.keys(MEDIA) as Medium[]).filter((medium) => (MEDIA[medium] as readonly string[]).includes(type));

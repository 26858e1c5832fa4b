import { z } from 'zod';

/** Kinds of content parts that chat APIs have beside text, by what they hold. */
export const MEDIA = {
  image: ['image', 'image_url'],
  audio: ['audio', 'audio_url', 'input_audio'],
  video: ['video', 'video_url'],
  file: ['file', 'input_file'],
} as const;
export type Medium = keyof typeof MEDIA;

const TextPart = z.strictObject({ type: z.literal('text'), text: z.string() });
const MEDIA_TYPES: readonly string[] = Object.values(MEDIA).flat();
/** Read so that it can be refused by its name, with its line. */
const MediaPart = z.looseObject({
  type: z.string().refine((type) => MEDIA_TYPES.includes(type), 'each part is `{ type: text, text: … }`'),
});

/** A mapping, its keys in the order in which they stand. */
export const json = z.record(z.string(), z.json());

/** As chat APIs hand it on: a mapping, or that as JSON. */
const callArguments = z.union([
  z.string().refine(isObject, { message: 'the arguments of a call are a mapping, or one as JSON' }),
  json,
]);

const ToolCall = z.strictObject({
  id: z.string().min(1).max(256).optional(),
  type: z.literal('function').default('function'),
  function: z.strictObject({ name: z.string().min(1).max(256), arguments: callArguments.default({}) }),
});

const ROLES = ['system', 'user', 'assistant', 'tool', 'developer'] as const;

export const Message = z
  .strictObject({
    role: z.enum(ROLES),
    content: z
      .union([z.string(), z.array(z.union([TextPart, MediaPart])).min(1), z.null()])
      .optional()
      .describe(
        'a text, or parts of which each is `{ type: text, text: … }`; null or nothing beside `tool_calls`',
      ),
    name: z.string().min(1).max(256).optional().describe('of a participant, or of the tool that answers'),
    tool_calls: z.array(ToolCall).min(1).max(128).optional().describe('what the assistant called'),
    tool_call_id: z.string().min(1).max(256).optional().describe('which call a `tool` answers'),
  })
  .superRefine(({ role, content, tool_calls, tool_call_id }, context) => {
    const problem = (key: string, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message });
    if ((content ?? undefined) === undefined && tool_calls === undefined)
      problem('content', 'a message needs its `content`; only an assistant’s with `tool_calls` has none');
    if (tool_calls !== undefined && role !== 'assistant')
      problem('tool_calls', 'only an `assistant` calls tools');
    if (tool_call_id !== undefined && role !== 'tool')
      problem('tool_call_id', 'only a `tool` answers a call');
  });
export type Message = z.infer<typeof Message>;

export const Tool = z.strictObject({
  type: z.literal('function').default('function'),
  function: z.strictObject({
    name: z.string().min(1).max(256),
    description: z.string().max(65_536).optional(),
    parameters: json.optional().describe('a JSON Schema'),
    strict: z.boolean().optional(),
  }),
});

/** What is said in another way, or would change what rendering gives back. */
const TAKEN = [
  ...['messages', 'conversation', 'tools', 'documents', 'chat_template'],
  ...['add_generation_prompt', 'continue_final_message', 'return_assistant_tokens_mask'],
  ...['tokenize', 'tokenizer_kwargs', 'return_dict', 'return_tensors', 'padding', 'truncation', 'max_length'],
];

export const TemplateKwargs = z.record(
  z
    .string()
    .regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, 'a variable of a chat template is a Python name')
    .refine((name) => !TAKEN.includes(name), {
      message: 'this is none of the template’s own variables: it is the harness’s to say',
    }),
  z.json(),
);

export interface Chat {
  readonly messages: readonly Message[];
  readonly tools?: readonly z.infer<typeof Tool>[] | undefined;
  readonly chat_template_kwargs?: z.infer<typeof TemplateKwargs> | undefined;
}

/** What a template is given. */
export type ChatContent =
  | { readonly messages: readonly { readonly role: Message['role']; readonly content: string }[] }
  /**
   * JSON of messages, tools and variables: templates print what tools take in the order in which it stands, so that order
   * is part of what is asked.
   */
  | { readonly conversation: string };

/** Of messages that are a role and a text each, and of all others. */
export function chatContent({ messages, tools, chat_template_kwargs }: Chat): ChatContent {
  const plain = messages.flatMap(({ role, content, ...further }) =>
    typeof content === 'string' && Object.values(further).every((one) => one === undefined)
      ? [{ role, content }]
      : [],
  );
  return plain.length === messages.length && tools === undefined && chat_template_kwargs === undefined
    ? { messages: plain }
    : { conversation: JSON.stringify({ messages: messages.map(asked), tools, chat_template_kwargs }) };
}

/** As APIs write down a call, its message has a `content` of null: that is none. */
function asked(message: Message): object {
  const { content, ...further } = message;
  return content === null ? further : message;
}

/** Whether it is JSON of a mapping. */
export function isObject(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}

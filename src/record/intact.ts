import type { Side } from '../compare/types.ts';
import { UserError } from '../errors.ts';
import { describeBody } from './body.ts';
import { digestJson } from './digest.ts';
import { describeModules } from './trace.ts';

/** Opens every body of a record and says which do not hold what `record.json` says of them; one sentence part each. */
export async function* damage({
  record,
  readBody,
  readModules,
  readTokens,
  readVocabulary,
}: Side): AsyncGenerator<string> {
  const seen = new Set<string>();
  for (const { prompt, body, promptTokens, tokens, logprobs, topK, text } of record.observations) {
    const told = digestJson({ promptTokens, tokens, logprobs, topK, text });
    // Observations that agree share one body: once is enough.
    if (seen.has(`${body} ${told}`)) continue;
    seen.add(`${body} ${told}`);
    // Described within the attempt: bits that no engine can mean are damage too.
    const held = await attempt(async () => digestJson(describeBody(await readBody(body))));
    if (held instanceof UserError) yield `is damaged: ${held.message}`;
    else if (held !== told) yield `holds other bits of \`${prompt}\` than its record says`;
  }
  for (const { lifetime, body, modules } of record.traces) {
    const held = await attempt(() => readModules(body));
    if (held instanceof UserError) yield `is damaged: ${held.message}`;
    else if (digestJson(describeModules(held)) !== digestJson(modules))
      yield `holds another trace of ${lifetime} than its record says`;
  }
  for (const { prompt, count, sha256 } of record.known) {
    const held = await attempt(() => readTokens(sha256));
    if (held instanceof UserError) yield `is damaged: ${held.message}`;
    else if (held.length !== count) yield `holds other known tokens of \`${prompt}\` than its record says`;
  }
  const texts = await attempt(readVocabulary);
  if (texts instanceof UserError) yield `is damaged: ${texts.message}`;
}

async function attempt<T>(read: () => Promise<T>): Promise<T | UserError> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof UserError) return error;
    throw error;
  }
}

import { UserError } from '../errors.ts';
import { describeChannel } from './channels.ts';
import { digestJson } from './digest.ts';
import type { Side } from './side.ts';

/** Opens every body of a record and says which do not hold what `record.json` says of them; one sentence part each. */
export async function* damage({
  record,
  readBody,
  readTokens,
  readVocabulary,
}: Side): AsyncGenerator<string> {
  const seen = new Set<string>();
  for (const { prompt, body, channels } of record.observations) {
    const told = digestJson(channels);
    // Observations that agree share one body: once is enough.
    if (seen.has(`${body} ${told}`)) continue;
    seen.add(`${body} ${told}`);
    // Described within the attempt: bits that no engine can mean are damage too.
    const held = await attempt(async () => digestJson((await readBody(body)).map(describeChannel)));
    if (held instanceof UserError) yield `is damaged: ${held.message}`;
    else if (held !== told) yield `holds other bits of \`${prompt}\` than its record says`;
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

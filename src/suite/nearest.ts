import { distance } from 'fastest-levenshtein';

/** What other programs call a thing, and what it is called here. */
const CALLED: Readonly<Record<string, string>> = {
  // Of a prompt.
  ...{ prompt: 'text', input: 'text', content: 'text', conversation: 'messages', conversations: 'messages' },
  ...{ prompt_token_ids: 'token-ids', input_ids: 'token-ids' },
  // Of a message.
  ...{ from: 'role', value: 'content' },
  // Of a model.
  ...{ name: 'id', repo: 'id', repo_id: 'id', model_id: 'id', commit: 'revision', sha: 'revision' },
  // Of sampling.
  ...{ max_new_tokens: 'max_tokens', max_completion_tokens: 'max_tokens', num_return_sequences: 'n' },
  ...{ guided_json: 'structured_outputs', guided_regex: 'structured_outputs' },
  ...{ guided_choice: 'structured_outputs', guided_grammar: 'structured_outputs' },
  ...{ guided_decoding: 'structured_outputs', response_format: 'structured_outputs' },
};

/** As two people write one name: `maxTokens`, `max-tokens` and `MAX_TOKENS` are `max_tokens`. */
export const spelt = (name: string) =>
  name
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replaceAll('-', '_');

/** What somebody meant who wrote `wrong`, to go on after it; undefined where nothing that is known is near. */
export function didYouMean(wrong: string, known: readonly string[]): string | undefined {
  const called = CALLED[wrong];
  const best = called !== undefined && known.includes(called) ? called : nearestOf(wrong, known);
  return best === undefined ? undefined : `: did you mean \`${best}\`?`;
}

function nearestOf(wrong: string, known: readonly string[]): string | undefined {
  const [best] = known
    .map((name) => ({ name, edits: distance(spelt(wrong), spelt(name)) }))
    // Where as much would change as there is, nothing is near.
    .filter(({ name, edits }) => edits <= Math.max(2, Math.floor(name.length / 3)) && edits < name.length)
    .sort((a, b) => a.edits - b.edits);
  return best?.name;
}

/** Names of files and prompts as records have them, made of whatever another program calls them. */

const MAX_ID = 64;

/** An id as a suite may have it: letters, digits, `.`, `_`, `-`. */
export function idOf(text: string, taken: Set<string>): string {
  const plain =
    text
      .normalize('NFKD')
      .toLowerCase()
      .replaceAll(/[^a-z0-9._-]+/g, '-')
      .replaceAll(/^[^a-z0-9]+/g, '')
      .slice(0, MAX_ID - 6)
      .replaceAll(/[^a-z0-9]+$/g, '') || 'prompt';
  for (let again = 1; ; again++) {
    const id = again === 1 ? plain : `${plain}-${again}`;
    if (taken.has(id)) continue;
    taken.add(id);
    return id;
  }
}

/** A part of a path that is one on every system, and never one above. */
export const partOf = (text: string): string =>
  text
    .replaceAll(/[^A-Za-z0-9._-]+/g, '-')
    .replaceAll(/^[.-]+|[.-]+$/g, '')
    .slice(0, 100) || 'run';

/** At most as long as a fact may be; empty text is unknown. */
export const factOf = (text: string | undefined): string => {
  const trimmed = text?.trim() ?? '';
  return trimmed === '' || !trimmed.isWellFormed() ? 'unknown' : trimmed.slice(0, 512);
};

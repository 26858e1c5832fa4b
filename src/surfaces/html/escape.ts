import { excerpt } from '../../inert.ts';

/** Only this file can make the key, and so only this file can call something markup. */
const MARKUP = Symbol('markup');

/** Markup that a template of ours made. Whatever else is put into a template is escaped. */
export interface Html {
  readonly [MARKUP]: string;
}

/** What a template takes. Nothing is shown of `undefined`. */
export type Part = Html | string | number | readonly Part[] | undefined;

/** Longest text from outside, unless it is capped more tightly before. */
const MAX_TEXT = 2000;

/**
 * The only way to markup: what is written in the template is ours, and every string that is put in is text, whatever
 * it holds. Good between tags and in quoted attributes; nowhere else does the page put anything.
 */
export function html(template: TemplateStringsArray, ...parts: readonly Part[]): Html {
  let text = template[0] ?? '';
  for (const [index, part] of parts.entries()) text += rendered(part) + (template[index + 1] ?? '');
  return { [MARKUP]: text };
}

export const NOTHING: Html = { [MARKUP]: '' };

function rendered(part: Part): string {
  if (part === undefined) return '';
  if (typeof part === 'string') return escaped(part);
  if (typeof part === 'number') return String(part);
  // An array is no markup, and markup is no array.
  return MARKUP in part ? part[MARKUP] : part.map(rendered).join('');
}

/** Text that acts as nothing: control, bidi and invisible characters are spelled out, markup is entities. */
export const escaped = (text: string, max = MAX_TEXT): string => entities(excerpt(text, max));

/** The same as part of a template, of at most `max` characters. */
export const capped = (text: string, max: number): Html => ({ [MARKUP]: escaped(text, max) });

const entities = (text: string) =>
  text.replaceAll(/[&<>"'`]/g, (character) => `&#${character.charCodeAt(0)};`);

/** Prose of ours, in which `code` is marked as in Markdown. What else is in it may come from outside. */
export function prose(text: string, max = MAX_TEXT): Html {
  const pieces = excerpt(text, max).split('`');
  const markup = pieces.map((piece, index) => {
    if (index % 2 === 0) return entities(piece);
    // The last one was never closed: a backtick and nothing more.
    return index === pieces.length - 1 ? `&#96;${entities(piece)}` : `<code>${entities(piece)}</code>`;
  });
  return { [MARKUP]: markup.join('') };
}

/** Only the web's own addresses become links; of anything else the text is shown. */
export function link(url: string, text: string): Html {
  return isWeb(url) ? html`<a href="${url}" rel="noreferrer">${text}</a>` : html`${text}`;
}

/** Without what would have to be escaped in an attribute, and short enough that nothing cuts it. */
const isWeb = (url: string) => /^https?:\/\/[^\s"'<>`\\\p{C}]{1,1500}$/u.test(url);

/** A dotted name, which may break behind its dots. */
export const dotted = (name: string, max: number): Html =>
  join(
    excerpt(name, max)
      .split('.')
      .map((piece) => html`${piece}`),
    html`.<wbr>`,
  );

export function join(parts: readonly Part[], between: Html): Html {
  return { [MARKUP]: parts.map(rendered).join(between[MARKUP]) };
}

/** For what is made elsewhere in this folder and holds nothing from outside: the style sheet, a drawn chart. */
export const ours = (markup: string): Html => ({ [MARKUP]: markup });

/** The finished text. */
export const markupOf = (markup: Html): string => markup[MARKUP];

/**
 * Makes hostile text inert. A model, a container or a pull request may print workflow commands, terminal
 * escapes, bidi controls, Markdown and mentions: on no surface may any of it act.
 */

/** Control, format (bidi, zero width), whatever else shows nothing, lone surrogates, line and paragraph separators. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Default_Ignorable_Code_Point}\p{Cs}\p{Zl}\p{Zp}]/gu;

/** Control, bidi and invisible characters as `\u{…}`; nothing else changes. Line breaks are escaped too. */
export function visible(text: string): string {
  return text.replaceAll(UNPRINTABLE, (character) => {
    switch (character) {
      case '\n':
        return '\\n';
      case '\r':
        return '\\r';
      case '\t':
        return '\\t';
      default:
        return `\\u{${character.codePointAt(0)?.toString(16)}}`;
    }
  });
}

/**
 * One line for a log. The runner executes `::command::` after leading white space and `##[command]` anywhere in
 * a line (actions/runner, ActionCommand.cs), so both are broken up with a backslash.
 */
export function logLine(text: string, max = 2000): string {
  const inert = excerpt(text, max)
    .replace(/^(\s*):(?=:)/, '$1\\:')
    .replaceAll('##[', '##\\[');
  return inert.length <= max + MAX_NOTE ? inert : excerpt(inert, max);
}

/** Shown in place of what GitHub's own autolinks would act on: a reader does not see it (renovatebot/renovate#602). */
const BREAK = '&#8203;';

/**
 * What marks text up, as entities. Mentions, #1, GH-1 and :emoji: are found in the finished page, where an entity is its
 * character again.
 */
const ENTITIES: Readonly<Record<string, string>> = {
  ...Object.fromEntries([...'\\`*_{}[]()+!|~^$-'].map((c) => [c, `&#${c.charCodeAt(0)};`])),
  ...{ '&': '&amp;', '<': '&lt;', '>': '&gt;', '@': `&#64;${BREAK}`, '#': `&#35;${BREAK}` },
};

/** Text inside a Markdown table cell or paragraph of GitHub: no markup, mention, reference, link or HTML acts. */
export function markdown(text: string, max = 500): string {
  return (
    excerpt(text, max)
      .trimStart()
      .replaceAll(/[\\`*_{}[\]()+!|~^$\-&<>@#]/g, (c) => ENTITIES[c] ?? c)
      .replaceAll(/GH&#45;(?=\d)/gi, `$&${BREAK}`)
      .replaceAll(/:(?=[\w&#;]+:)/g, `:${BREAK}`)
      .replaceAll(/:(?=\/\/)/g, '&#58;')
      // A commit becomes a link, a stranger's too. Shorter ones stay as they are: keys are copied from here.
      .replaceAll(/\b[0-9a-f]{40}\b/g, (sha) => `${sha.slice(0, 6)}${BREAK}${sha.slice(6)}`)
      .replaceAll(/\bwww\./gi, (w) => `${w.slice(0, -1)}&#46;`)
      // At the start of a block, `1.` would begin a list.
      .replace(/^(\d+)\.(?=\s|$)/, '$1&#46;')
  );
}

/** What XML 1.0 does not know beside what is unprintable anyway. */
const NO_XML = /[\ufffe\uffff]/g;
const XML_ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
};

/** Text inside an element or an attribute of an XML document: no markup, and no character that XML does not know. */
export const xml = (text: string, max = 2000): string =>
  excerpt(text, max)
    .replaceAll(NO_XML, (character) => `\\u{${character.charCodeAt(0).toString(16)}}`)
    .replaceAll(/[&<>"']/g, (character) => XML_ENTITIES[character] ?? '');

/** Longest note about a cut. */
const MAX_NOTE = 40;

/**
 * `visible` text of at most `max` characters, and behind them a note about a cut. Of a text of megabytes no more is
 * looked at than can be shown.
 */
export const excerpt = (text: string, max: number): string => cut(text, max, () => max);

/** The same, its note included. */
export const within = (text: string, max: number): string => cut(text, max, (note) => max - note.length);

function cut(text: string, max: number, room: (note: string) => number): string {
  const shown = visible(whole(text, max));
  if (text.length <= max && shown.length <= max) return shown;
  const note = `… (cut: ${text.length} characters in all)`;
  return `${whole(shown, room(note))}${note}`;
}

/** The first `max` characters at most, never half of a surrogate pair or of an escape. */
const whole = (text: string, max: number) =>
  text.length <= max ? text : text.slice(0, max).replace(/(?:[\ud800-\udbff]|\\(?:u(?:\{[\da-f]*)?)?)$/, '');

/** JSON for a log: still the same value to a parser, but nothing in it acts on a terminal or on the runner. */
export function json(value: unknown): string {
  return JSON.stringify(value, null, 2)
    .replaceAll('##[', '##\\u005b')
    .replaceAll(/[^\n\P{Cc}]|[\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
      // By code unit, since a character outside the first plane is two escapes in JSON.
      [...Array(character.length).keys()]
        .map((i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`)
        .join(''),
    );
}

/**
 * Makes hostile text inert. A model, a container or a pull request may print workflow commands, terminal
 * escapes, bidi controls, Markdown and mentions: on no surface may any of it act.
 */

/** Control, format (bidi, zero width), lone surrogates, line and paragraph separators. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

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
  return cap(visible(text), max)
    .replace(/^(\s*):(?=:)/, '$1\\:')
    .replaceAll('##[', '##\\[');
}

/** Text inside a Markdown table cell or paragraph of GitHub: no markup, mention, reference, link or HTML acts. */
export function markdown(text: string, max = 500): string {
  return cap(visible(text), max)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll(/[\\`*_{}[\]()#+!|~^$-]/g, (c) => `&#${c.charCodeAt(0)};`)
    .replaceAll('@', '&#64;<!-- -->')
    .replaceAll(/:(?=\/\/)/g, '&#58;')
    .replaceAll(/\bwww\./gi, (w) => `${w.slice(0, -1)}&#46;`);
}

/** At most `max` characters, and says so when it cut. Never cuts a surrogate pair in half. */
export function cap(text: string, max: number): string {
  if (text.length <= max) return text;
  const kept = text.slice(0, max).replace(/[\ud800-\udbff]$/, '');
  return `${kept}… (${text.length - kept.length} more characters)`;
}

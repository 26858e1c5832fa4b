import { type Html, html } from './escape.ts';

/** Where in the page a report stands: alone, or as one of several, a level deeper and with ids of its own. */
export interface Level {
  /** An id that no other report on the page has. `name` is ours. */
  id(name: string): string;
  /** For the section of a heading: a landmark where the report stands alone; of many alike, nobody finds one by its name. */
  labelled(name: string): Html | undefined;
  /** @param depth as if the report stood alone: 1 is its verdict */
  heading(depth: number, content: Html | string, id?: string): Html;
}

const HEADINGS = [
  (content: Html | string, id: Html | undefined) => html`<h1${id}>${content}</h1>`,
  (content: Html | string, id: Html | undefined) => html`<h2${id}>${content}</h2>`,
  (content: Html | string, id: Html | undefined) => html`<h3${id}>${content}</h3>`,
  (content: Html | string, id: Html | undefined) => html`<h4${id}>${content}</h4>`,
] as const;

export function levelOf(index: number, count: number): Level {
  const deeper = count === 1 ? 0 : 1;
  return {
    id: (name) => (count === 1 ? name : `r${index + 1}-${name}`),
    labelled: (name) => (count === 1 ? html` aria-labelledby="${name}-h"` : undefined),
    heading(depth, content, id) {
      const make = HEADINGS[Math.min(HEADINGS.length, depth + deeper) - 1] ?? HEADINGS[3];
      return make(content, id === undefined ? undefined : html` id="${id}"`);
    },
  };
}

import { markdown } from '../inert.ts';
import type { Comparison } from '../report/comparison.ts';
import { answerLines } from './answer.ts';
import type { Surface } from './surface.ts';

/** Of a job's summary. */
const MAX_LINE = 500;

/** The first line is what the others come to. */
const lines = (value: Comparison): string[] => [...answerLines(value), `Page: ${value.htmlPath}`];

/** Two sides beside each other: in words, for a program, and as a page. */
export const compared: Surface = {
  name: 'compared',
  compared: {
    async file(value) {
      const { comparedPage } = await import('./html/compared.ts');
      return { path: value.htmlPath, text: comparedPage(value) };
    },
    log: lines,
    terminal: lines,
    json: ({ value }) => value,
    summary: (value) =>
      `${answerLines(value)
        .map((line) => markdown(line, MAX_LINE))
        .join('<br>')}\n`,
  },
};

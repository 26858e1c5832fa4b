import { excerpt, markdown } from '../inert.ts';
import type { Answer } from '../report/answer.ts';
import type { Surface } from './surface.ts';

/** Lines as they are: for whatever has no surface of its own. */
export const answer: Surface = {
  name: 'answer',
  answer: {
    log: shown,
    terminal: shown,
    json: ({ value }) => value,
    summary: ({ lines }) =>
      `${lines
        .slice(0, MAX_LINES)
        .map((line) => markdown(line, MAX_LINE))
        .join('<br>')}\n`,
  },
};

const MAX_LINES = 1000;
const MAX_LINE = 500;

function shown({ lines }: Answer): string[] {
  return lines.slice(0, MAX_LINES).map((line) => excerpt(line, MAX_LINE));
}

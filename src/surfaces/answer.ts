import { excerpt, markdown } from '../inert.ts';
import type { Answer } from '../report/answer.ts';
import type { Surface } from './surface.ts';

/** Lines as they are: for whatever has no surface of its own. */
export const answer: Surface = {
  name: 'answer',
  answer: {
    log: answerLines,
    terminal: answerLines,
    json: ({ value }) => value,
    summary: ({ lines }) =>
      `${some(lines)
        .map((line) => markdown(line, MAX_LINE))
        .join('<br>')}\n`,
  },
};

/** A job summary with as many of the longest still fits beside others. */
const MAX_LINES = 100;
const MAX_LINE = 500;

/** For a terminal or log. */
export function answerLines({ lines }: Answer): string[] {
  return some(lines).map((line) => excerpt(line, MAX_LINE));
}

/** The last line says what the others come to: it is never left out. */
function some(lines: readonly string[]): readonly string[] {
  if (lines.length <= MAX_LINES) return lines;
  const left = lines.length - MAX_LINES;
  return [...lines.slice(0, MAX_LINES - 1), `… (${left} left out)`, ...lines.slice(-1)];
}

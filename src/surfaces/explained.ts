import { excerpt, markdown } from '../inert.ts';
import type { Explanations } from '../report/explained.ts';
import { explainedLines } from '../words/explained.ts';
import type { Surface } from './surface.ts';

const MAX_LINE = 600;

const lines = ({ explained, htmlPath }: Explanations): string[] => [
  ...explainedLines(explained).map((line) => excerpt(line, MAX_LINE)),
  excerpt(`The page with the map: ${htmlPath}`, MAX_LINE),
];

/** Who agrees with whom, and why: in words. */
export const explained: Surface = {
  name: 'explained',
  explained: {
    async file({ explained, htmlPath }) {
      const { explainedPage } = await import('./html/explained.ts');
      return { path: htmlPath, text: explainedPage(explained) };
    },
    log: lines,
    terminal: lines,
    json: ({ explained }) => ({ schema: 'deterministic-ml/explain/v1', ...explained }),
    summary: (value) =>
      `${lines(value)
        .map((line) => markdown(line, MAX_LINE))
        .join('<br>\n')}\n`,
  },
};

import { excerpt, markdown } from '../inert.ts';
import type { Explanations } from '../report/explained.ts';
import { absentWords, apartWords, explainedLines } from '../words/explained.ts';
import type { Surface } from './surface.ts';

const MAX_LINE = 600;

const lines = ({ explained, apart, fleet, htmlPath }: Explanations): string[] =>
  [
    ...explainedLines(explained),
    ...apart.map(apartWords),
    ...(fleet?.absent ?? []).map(absentWords),
    `The page with the map: ${htmlPath}`,
    ...(fleet === undefined ? [] : [fleet.line]),
  ].map((line) => excerpt(line, MAX_LINE));

/** Who agrees with whom, and why: in words. */
export const explained: Surface = {
  name: 'explained',
  explained: {
    async file({ explained, apart, fleet, htmlPath }) {
      const { explainedPage } = await import('./html/explained.ts');
      return { path: htmlPath, text: explainedPage(explained, apart, fleet) };
    },
    log: lines,
    terminal: lines,
    json: ({ explained, apart, fleet }) => ({
      schema: 'deterministic-ml/explain/v1',
      ...explained,
      apart,
      ...(fleet && { fleet }),
    }),
    summary: (value) =>
      `${lines(value)
        .map((line) => markdown(line, MAX_LINE))
        .join('<br>\n')}\n`,
  },
};

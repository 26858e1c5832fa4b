import { excerpt, markdown } from '../inert.ts';
import type { Explanations } from '../report/explained.ts';
import { absentWords, apartWords, explainedLines } from '../words/explained.ts';
import type { Surface } from './surface.ts';

const MAX_LINE = 600;

const lines = ({ explained, apart, across, fleet, htmlPath }: Explanations): string[] =>
  [
    ...explainedLines(explained),
    ...apart.map(apartWords),
    ...(fleet?.absent ?? []).map(absentWords),
    `The page with the map: ${htmlPath}`,
    // A fleet's own line ends with it.
    ...[(fleet ?? across)?.line ?? []].flat(),
  ].map((line) => excerpt(line, MAX_LINE));

/** Who agrees with whom, and why: in words. */
export const explained: Surface = {
  name: 'explained',
  explained: {
    async file({ explained, apart, across, fleet, htmlPath }) {
      const { explainedPage } = await import('./html/explained.ts');
      return { path: htmlPath, text: explainedPage(explained, apart, fleet ?? across) };
    },
    log: lines,
    terminal: lines,
    json: ({ explained, apart, across, fleet }) => ({
      schema: 'deterministic-ml/explain/v1',
      ...explained,
      apart,
      ...(across && { across }),
      ...(fleet && { fleet }),
    }),
    summary: (value) =>
      `${lines(value)
        .map((line) => markdown(line, MAX_LINE))
        .join('<br>\n')}\n`,
  },
};

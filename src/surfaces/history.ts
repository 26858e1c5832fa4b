import { counted } from '../counted.ts';
import { excerpt, markdown, visible } from '../inert.ts';
import type { History } from '../report/history.ts';
import type { Surface } from './surface.ts';

export const history: Surface = {
  name: 'history',
  history: {
    log: logLines,
    terminal: logLines,
    // What it takes to compare them is done for the page alone.
    json: (histories) => ({
      schema: 'deterministic-ml/log/v1',
      histories: histories.map(({ since: _, ...history }) => history),
    }),
    async document(histories) {
      const { historyPage } = await import('./html/history.ts');
      return { name: 'html', text: () => historyPage(histories) };
    },
    summary: logSummary,
  },
};

const NONE =
  'There is no baseline of this suite: never refreshed, evicted, or stored where this run cannot see it.';

/** For a terminal or log. */
export function logLines(histories: readonly History[]): string[] {
  if (histories.length === 0) return [NONE];
  return histories.flatMap(({ suite, hardwareClass, baselines }) => [
    visible(`${suite} on ${hardwareClass}: ${counted(baselines.length, 'baseline')}, newest first`),
    ...baselines.flatMap((link, index) =>
      [
        `${index === 0 ? '*' : ' '} ${told(link)}`,
        `    ${link.key}, baseline.json sha256:${link.baseline.slice(0, 16)}`,
      ].map((line) => excerpt(line, 1900)),
    ),
  ]);
}

/** For a job summary. */
export function logSummary(histories: readonly History[]): string {
  if (histories.length === 0) return `## ❌ ${NONE}\n`;
  return histories
    .map(({ suite, hardwareClass, baselines }) =>
      [
        `## Baselines of ${markdown(suite)} on ${markdown(hardwareClass)}`,
        ...baselines.map((link, index) => `${index + 1}. ${markdown(told(link), 2000)}`),
      ].join('\n'),
    )
    .join('\n\n')
    .concat('\n');
}

/** `2026-11-23 10:00 UTC  a1b2c3d4…  refreshed by octocat for “a new driver” (workflow_dispatch, run 123, commit …)`. */
function told({ record, provenance }: History['baselines'][number]): string {
  const { createdAt, actor, reason, event, runId, commit, pullRequest } = provenance;
  const source = [
    event,
    ...(pullRequest === null ? [] : [`pull request #${pullRequest}`]),
    `run ${runId}`,
    ...(commit === '' ? [] : [`commit ${commit.slice(0, 12)}`]),
  ];
  return `${createdAt.slice(0, 16).replace('T', ' ')} UTC  ${record.slice(0, 16)}  by ${actor} for “${reason}” (${source.join(', ')})`;
}

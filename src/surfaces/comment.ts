import { markdown } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import {
  brief,
  isWell,
  LADDER,
  link,
  shorter,
  UNVERIFIED,
  type Whence,
  worstConclusion,
} from '../words/brief.ts';
import { legTable, mergedLine } from '../words/merged.ts';
import { type Marker, markerLine, type State, type Thread } from '../words/thread.ts';
import { ICON } from '../words/verdict.ts';
import type { PostedRun, Surface } from './surface.ts';

/** GitHub takes 65,536 characters; what it counts as one is not written down. */
export const MAX_COMMENT = 65_000;

export const comment: Surface = {
  name: 'comment',
  post: {
    to: 'comment',
    name: 'comment',
    permission: 'pull-requests: write',
    off: 'comment: never',
    isAsked: ({ comment }) => comment !== 'never',
    isNew: (reports, { comment, across }) => comment === 'always' || !isWell(reports, across),
    ladder: commentLadder,
  },
};

/**
 * The comment, from what a reader may want down to what must be said: each shorter than the one before, the marker on
 * each, none longer than GitHub takes.
 *
 * @param reports worst first; not empty
 * @param before the marker of the comment that this one replaces
 */
export function commentLadder(
  reports: readonly Report[],
  thread: Thread,
  run: PostedRun,
  whence: Whence,
  before: Marker | undefined,
): readonly string[] {
  const { across } = whence;
  const well = isWell(reports, across);
  const was = well && before !== undefined ? wasOf(before) : undefined;
  const state: State = was !== undefined ? 'resolved' : well ? 'well' : worstConclusion(reports, across);
  const marker = markerLine({ thread, run, state, was });
  const texts =
    was === undefined
      ? LADDER.map((room) => brief(reports, whence, room))
      : [10, 0].map((classes) => resolved(reports, run, whence, was, classes));
  return shorter(
    texts.map((text) => `${marker}\n${text}\n`),
    (text) => text.length <= MAX_COMMENT,
  );
}

function wasOf({ state, run, was }: Marker): Marker['was'] {
  switch (state) {
    case 'well':
      return undefined;
    case 'resolved':
      return was;
    default:
      return { conclusion: state, run };
  }
}

/** Short: what it was and what it is. */
function resolved(
  reports: readonly Report[],
  run: PostedRun,
  { isUnverified }: Whence,
  was: NonNullable<Marker['was']>,
  classes: number,
): string {
  const then = run.url.replace(
    /\/runs\/\d+(?:\/attempts\/\d+)?$/,
    `/runs/${was.run.id}/attempts/${was.run.attempt}`,
  );
  const name = was.conclusion.replaceAll('-', ' ');
  return [
    `### ${ICON.pass} Resolved: ${markdown(mergedLine(reports))}`,
    ...(isUnverified ? [UNVERIFIED] : []),
    `It was **${name}** in ${link(`run ${was.run.id}`, then)}; ${link('this run', run.url)} no longer shows it.`,
    ...(reports.length > 1 && classes > 0 ? [legTable(reports, classes)] : []),
  ].join('\n\n');
}

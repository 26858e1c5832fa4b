import { issueOf, shortName, urlOf } from '../issues/index.ts';
import type { Report } from '../report/schema.ts';

/** A known issue that a report looks like. All of it is our own but `matched` and `open`, which are not yet inert. */
export interface ReadIssue {
  /** e.g. `pytorch#45422`. */
  readonly name: string;
  /** In full, e.g. `pytorch/pytorch#45422`. */
  readonly thread: string;
  readonly url: string;
  /** What is wrong, without a full stop. */
  readonly what: string;
  readonly says: string;
  readonly remedy: string;
  /** Relations that broke as it breaks them. */
  readonly relations: readonly string[];
  /** One phrase after another. */
  readonly matched: string;
  readonly open: string;
}

/** Beside every one of them. */
export const NO_VERDICT =
  'A link, never a verdict: it was found by what the record tells, and it may be something else.';

/** What this version of the list knows: nothing is shown, and no link made, of a thread that only a report names. */
export function issuesOf({ knownIssues }: Pick<Report, 'knownIssues'>): ReadIssue[] {
  return knownIssues.alike.flatMap(({ thread, relations, matched, open }): ReadIssue[] => {
    const known = issueOf(thread);
    if (known === undefined) return [];
    return [
      {
        name: shortName(thread),
        thread,
        url: urlOf(thread),
        what: known.what,
        says: known.says,
        remedy: known.remedy,
        relations,
        matched: matched.join('; '),
        open: open.length === 0 ? 'nothing that it depends on' : open.join('; '),
      },
    ];
  });
}

/** `Looks like pytorch#45422: a matrix product on a CPU depends on the size of the batch.` */
export const issueLine = ({ name, what }: ReadIssue) => `Looks like ${name}: ${what}.`;

/** All of it, for a terminal: what it looks like, what fits, what was not looked at, what the thread says, what to try. */
export function issueLines(issues: readonly ReadIssue[]): string[] {
  if (issues.length === 0) return [];
  return [
    ...issues.flatMap((issue) => [
      issueLine(issue),
      `  ${issue.url}`,
      `  Matched: ${issue.matched}.`,
      `  Not looked at: ${issue.open}.`,
      `  The thread: ${issue.says}`,
      `  To try: ${issue.remedy}`,
    ]),
    NO_VERDICT,
  ];
}

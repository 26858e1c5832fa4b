import { digestJson } from '../record/digest.ts';
import type { IssueList, KnownIssue } from './issue.ts';
import { torch } from './torch.ts';
import { transformers } from './transformers.ts';
import { vllm } from './vllm.ts';

/** What is known of each engine, and of what all of them stand on. */
export const lists: readonly IssueList[] = [
  // In the order in which docs/known-issues.md has them.
  vllm,
  transformers,
  torch,
];

/** Of all of it: reports of one list can be compared. */
export const LIST_DIGEST = digestJson(lists);

/** The one of a thread; undefined for one that another version of this list may know. */
export const issueOf = (thread: string): KnownIssue | undefined =>
  lists.flatMap(({ issues }) => issues).find((one) => one.thread === thread);

/** `pytorch#45422`: as short as a reader still finds it. */
export const shortName = (thread: string) => thread.slice(thread.indexOf('/') + 1);

/** GitHub leads from an issue's address to a pull request of the same number. */
export const urlOf = (thread: string) => `https://github.com/${thread.replace('#', '/issues/')}`;

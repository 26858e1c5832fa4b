import { within } from '../inert.ts';
import { type Problem, problemsIn, problemsOf, problemsOfMerged } from './problems.ts';
import type { Surface, TextDocument } from './surface.ts';

/** GitLab's report of code quality, which a merge request shows beside its lines: an empty list where all passes. */
export const codeQuality: Surface = {
  name: 'code quality',
  report: { document: (report) => documentOf(() => problemsOf([report])) },
  merged: { document: (merged) => documentOf(() => problemsOfMerged(merged)) },
  failure: { document: (failure) => documentOf(() => problemsIn(failure)) },
};

const documentOf = (problems: () => readonly Problem[]): TextDocument => ({
  name: 'code-quality',
  text: () => `${JSON.stringify(problems().map(issueOf))}\n`,
});

/** As long as a path can be. */
const MAX_PATH = 4096;

const issueOf = ({ rule, level, message, file, line, fingerprint }: Problem) => ({
  description: message,
  check_name: `${rule.kind}/${within(rule.name, 100)}`,
  fingerprint,
  severity: rule.kind === 'error' ? 'blocker' : level === 'error' ? 'critical' : 'minor',
  location: { path: within(file, MAX_PATH), lines: { begin: line } },
});

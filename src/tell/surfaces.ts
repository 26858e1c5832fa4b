import { onLines } from '../surfaces/annotations.ts';
import { answer } from '../surfaces/answer.ts';
import { checkRun } from '../surfaces/check-run.ts';
import { codeQuality } from '../surfaces/code-quality.ts';
import { comment } from '../surfaces/comment.ts';
import { compared } from '../surfaces/compared.ts';
import { completion } from '../surfaces/completion.ts';
import { explained } from '../surfaces/explained.ts';
import { fingerprint } from '../surfaces/fingerprint.ts';
import { history } from '../surfaces/history.ts';
import { junit } from '../surfaces/junit.ts';
import { merged } from '../surfaces/merged.ts';
import { stepOutputs } from '../surfaces/outputs.ts';
import { page } from '../surfaces/page.ts';
import { power } from '../surfaces/power.ts';
import { reportJson } from '../surfaces/report-json.ts';
import { sarif } from '../surfaces/sarif.ts';
import { jobSummary } from '../surfaces/summary.ts';
import type { Surface } from '../surfaces/surface.ts';
import { terminal } from '../surfaces/terminal.ts';
import { verification } from '../surfaces/verification.ts';

/** All ways to tell a result. One file and one line each; of several for one recipient, the first comes first. */
export const SURFACES: readonly Surface[] = [
  reportJson,
  page,
  junit,
  sarif,
  codeQuality,
  terminal,
  onLines,
  stepOutputs,
  jobSummary,
  comment,
  checkRun,
  merged,
  power,
  history,
  verification,
  fingerprint,
  explained,
  compared,
  completion,
  answer,
];

import { visible, within } from '../inert.ts';
import type { Report } from '../report/model.ts';
import { brief, LADDER, type Whence, worstVerdict } from '../words/brief.ts';
import { mergedLine } from '../words/merged.ts';
import { annotations } from './annotations.ts';
import { type RunName, shorter, type Thread, threadLine } from './comment.ts';

/** Of a request; the rest is appended. */
export const MAX_ANNOTATIONS = 50;
/** Bytes of a summary. */
const MAX_SUMMARY = 65_535;
/** Characters of a title. */
const MAX_TITLE = 255;
/** Characters of a path: as many as Linux takes. */
const MAX_PATH = 4096;
/** Bytes of an annotation's message. */
const MAX_MESSAGE = 64 * 1024;

/** As GitHub's REST API takes it. */
export interface CheckRun {
  readonly name: string;
  readonly head_sha: string;
  readonly details_url?: string;
  /** Tells the thread and the run: what was posted twice is found by it. */
  readonly external_id: string;
  readonly status: 'completed';
  readonly conclusion: 'success' | 'failure' | 'neutral';
  readonly output: { readonly title: string; readonly summary: string };
  /** More than one request takes, perhaps. */
  readonly annotations: readonly CheckAnnotation[];
}

export interface CheckAnnotation {
  readonly path: string;
  readonly start_line: number;
  readonly end_line: number;
  readonly annotation_level: 'notice' | 'warning' | 'failure';
  readonly title: string;
  readonly message: string;
}

const CONCLUSION = { pass: 'success', warn: 'neutral', fail: 'failure' } as const;
const LEVEL = { error: 'failure', warning: 'warning', notice: 'notice' } as const;

/**
 * The check run, from a long summary down to a short one.
 *
 * @param reports worst first; not empty
 */
export function checkRunLadder(
  reports: readonly Report[],
  thread: Thread,
  run: RunName & { readonly url: string },
  whence: Whence,
): readonly CheckRun[] {
  const { suite, hardwareClass } = thread;
  const title = clip(visible(mergedLine(reports)), MAX_TITLE);
  const made: Omit<CheckRun, 'output'> = {
    name: `deterministic-ml / ${suite}${hardwareClass === '*' ? '' : ` (${hardwareClass})`}`,
    head_sha: whence.headSha,
    // GitHub takes no address that is none.
    ...(URL.canParse(run.url) ? { details_url: run.url } : {}),
    external_id: threadLine(thread, run),
    status: 'completed',
    conclusion: whence.isUnverified ? 'neutral' : CONCLUSION[worstVerdict(reports)],
    annotations: reports.flatMap((report) => annotationsOf(report, reports.length > 1)),
  };
  return shorter(
    LADDER.map((room) => brief(reports, whence, room)),
    fitsSummary,
  ).map((summary) => ({ ...made, output: { title, summary } }));
}

export const fitsSummary = (text: string) => Buffer.byteLength(text) <= MAX_SUMMARY;

function annotationsOf(report: Report, isOneOfSeveral: boolean): CheckAnnotation[] {
  const whose = isOneOfSeveral ? `${visible(report.hardwareClass)}: ` : '';
  return annotations(report)
    .filter(({ file }) => file !== '')
    .map(({ level, title, message, file, line }) => ({
      // Of a real file's it is the name itself.
      path: within(file, MAX_PATH),
      start_line: line,
      end_line: line,
      annotation_level: LEVEL[level],
      title: clip(`${whose}${title}`, MAX_TITLE),
      // Four bytes at most are one character, and one unit of UTF-16 at least.
      message: clip(message, MAX_MESSAGE / 4),
    }));
}

/** Never half of a surrogate pair. */
const clip = (text: string, max: number) =>
  text.length <= max ? text : `${text.slice(0, max - 1).replace(/[\ud800-\udbff]$/, '')}…`;

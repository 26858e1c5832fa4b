import { visible, within } from '../inert.ts';
import type { Report } from '../report/schema.ts';
import { brief, LADDER, shorter, type Whence, worstVerdict } from '../words/brief.ts';
import { mergedLine } from '../words/merged.ts';
import { type Thread, threadLine } from '../words/thread.ts';
import { annotations } from './annotations.ts';
import type { CheckAnnotation, CheckRun, PostedRun, Surface } from './surface.ts';

/** Bytes of a summary. */
const MAX_SUMMARY = 65_535;
/** Characters of a title. */
const MAX_TITLE = 255;
/** Characters of a path: as many as Linux takes. */
const MAX_PATH = 4096;
/** Bytes of an annotation's message. */
const MAX_MESSAGE = 64 * 1024;

const CONCLUSION = { pass: 'success', warn: 'neutral', fail: 'failure' } as const;
/** Of what nobody vouches for. Not `neutral`: GitHub takes that for a required check that has passed. */
const UNVERIFIED = { conclusion: 'action_required', title: 'Not verified: ' } as const;
const LEVEL = { error: 'failure', warning: 'warning', notice: 'notice' } as const;

export const checkRun: Surface = {
  name: 'check run',
  post: {
    to: 'check-run',
    name: 'check run',
    permission: 'checks: write',
    off: 'check-run: false',
    isAsked: ({ checkRun }) => checkRun,
    isNew: () => true,
    ladder: checkRunLadder,
  },
};

/**
 * The check run, from a long summary down to a short one.
 *
 * @param reports worst first; not empty
 */
export function checkRunLadder(
  reports: readonly Report[],
  thread: Thread,
  run: PostedRun,
  whence: Whence,
): readonly CheckRun[] {
  const { suite, hardwareClass } = thread;
  const { isUnverified, across } = whence;
  const apart = across?.verdict === 'fail' ? `. Across classes: ${across.status}` : '';
  const line = clip(visible(mergedLine(reports)), MAX_TITLE - UNVERIFIED.title.length - apart.length);
  const title = `${isUnverified ? UNVERIFIED.title : ''}${line}${apart}`;
  const made: Omit<CheckRun, 'output'> = {
    name: `deterministic-ml / ${suite}${hardwareClass === '*' ? '' : ` (${hardwareClass})`}`,
    head_sha: whence.headSha,
    // GitHub takes no address that is none.
    ...(URL.canParse(run.url) ? { details_url: run.url } : {}),
    external_id: threadLine(thread, run),
    status: 'completed',
    conclusion: isUnverified ? UNVERIFIED.conclusion : CONCLUSION[worstVerdict(reports, across)],
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

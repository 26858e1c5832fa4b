import { CONCLUSIONS, type Conclusion } from '../compare/conclusion.ts';

/** What tells one thread of comments from another. */
export interface Thread {
  readonly suite: string;
  /** `*` where all classes of hardware are told together. */
  readonly hardwareClass: string;
}

export interface RunName {
  readonly id: string;
  readonly attempt: string;
}

/** What a comment says: a conclusion that wants a reader, that it is gone, or that all was well all along. */
export type State = Conclusion | 'resolved' | 'well';

/** First line of each of our comments: which thread it is, which run wrote it, what it said. */
export interface Marker {
  readonly thread: Thread;
  readonly run: RunName;
  readonly state: State;
  /** What is resolved, and the run that had found it. */
  readonly was: { readonly conclusion: Conclusion; readonly run: RunName } | undefined;
}

/** Percent signs for all that could end the marker or a field of it; names as suites have them stay as they are. */
const field = (text: string) => encodeURIComponent(text.toWellFormed()).replaceAll('--', '%2D%2D');

/** As it stands in markers; a run that has no number is older than all that have one. */
const runField = ({ id, attempt }: RunName) =>
  `${/^\d{1,20}$/.test(id) ? id : '0'}.${/^\d{1,9}$/.test(attempt) ? attempt : '1'}`;

/** What tells the thread, and the run in it, in one line without spaces at its ends. */
export const threadLine = (thread: Thread, run: RunName) =>
  `deterministic-ml v1 suite=${field(thread.suite)} class=${field(thread.hardwareClass)} run=${runField(run)}`;

/** As it stands in a comment. */
export function markerLine({ thread, run, state, was }: Marker): string {
  const before = was === undefined ? '' : ` was=${was.conclusion}@${runField(was.run)}`;
  return `<!-- ${threadLine(thread, run)} state=${state}${before} -->`;
}

const conclusions = CONCLUSIONS.join('|');
const THREAD =
  'deterministic-ml v1 suite=([^\\s<>]{1,600}) class=([^\\s<>]{1,600}) run=(\\d{1,20})\\.(\\d{1,9})';
const THREAD_LINE = new RegExp(`^${THREAD}$`);
const MARKER = new RegExp(
  `^<!-- ${THREAD} state=(${conclusions}|resolved|well)(?: was=(${conclusions})@(\\d{1,20})\\.(\\d{1,9}))? -->$`,
);

/** The marker in a comment's first line; undefined where there is none, whatever the rest of it holds. */
export function markerOf(comment: string): Marker | undefined {
  const [first = ''] = comment.slice(0, 3000).split(/\r?\n/, 1);
  const [, suite, hardwareClass, id, attempt, state, conclusion, wasId, wasAttempt] =
    MARKER.exec(first) ?? [];
  const thread = threadOf(suite, hardwareClass);
  if (thread === undefined || id === undefined || attempt === undefined) return undefined;
  const found = (name: string | undefined) => CONCLUSIONS.find((one) => one === name);
  const known = state === 'resolved' || state === 'well' ? state : found(state);
  const was = found(conclusion);
  if (known === undefined) return undefined;
  return {
    thread,
    run: { id, attempt },
    state: known,
    was:
      was === undefined || wasId === undefined || wasAttempt === undefined
        ? undefined
        : { conclusion: was, run: { id: wasId, attempt: wasAttempt } },
  };
}

/** What `threadLine` says. */
export function threadIn(line: string): Pick<Marker, 'thread' | 'run'> | undefined {
  const [, suite, hardwareClass, id, attempt] = THREAD_LINE.exec(line) ?? [];
  const thread = threadOf(suite, hardwareClass);
  return thread === undefined || id === undefined || attempt === undefined
    ? undefined
    : { thread, run: { id, attempt } };
}

function threadOf(suite: string | undefined, hardwareClass: string | undefined): Thread | undefined {
  try {
    return suite === undefined || hardwareClass === undefined
      ? undefined
      : { suite: decodeURIComponent(suite), hardwareClass: decodeURIComponent(hardwareClass) };
  } catch {
    return undefined;
  }
}

export const isSameThread = (a: Thread, b: Thread) =>
  field(a.suite) === field(b.suite) && field(a.hardwareClass) === field(b.hardwareClass);

/** Above 0 when the first run is the later one. */
export function compareRuns(a: RunName, b: RunName): number {
  const [x, y] = [runField(a), runField(b)].map((run) => run.split('.').map(BigInt));
  for (const part of [0, 1]) {
    const [left = 0n, right = 0n] = [x?.[part], y?.[part]];
    if (left !== right) return left > right ? 1 : -1;
  }
  return 0;
}

/**
 * The errors a user can meet. `code` is stable and listed in docs/troubleshooting.md; `message` says what
 * happened and where; `hint` says what to do about it. Anything thrown that is not a `UserError` is a bug in
 * this project and keeps its stack.
 */
export const ERROR_CODES = [
  'input-invalid',
  'suite-missing',
  'suite-invalid',
  'prompt-file-invalid',
  'fleet-invalid',
  'fleet-unmeasured',
  'model-missing',
  'model-unreadable',
  'model-changed',
  'model-fetch-failed',
  'platform-unsupported',
  'runtime-unavailable',
  'launcher-missing',
  'launcher-untrusted',
  'launcher-refused',
  'launcher-unreachable',
  'launcher-failed',
  'launcher-lost',
  'launcher-moved',
  'isolation-unavailable',
  'docker-unavailable',
  'image-not-pinned',
  'image-pull-failed',
  'image-mismatch',
  'gpu-unavailable',
  'gpu-in-doubt',
  'engine-missing',
  'engine-rejected',
  'prompt-rejected',
  'engine-died',
  'engine-hung',
  'engine-out-of-memory',
  'engine-failed',
  'script-invalid',
  'script-failed',
  'engine-not-as-asked',
  'endpoint-unavailable',
  'endpoint-refused',
  'endpoint-broken',
  'protocol-violation',
  'deadline-exceeded',
  'cancelled',
  'disk-full',
  'record-invalid',
  'record-too-large',
  'baseline-invalid',
  'baseline-missing',
  'report-invalid',
  'reports-missing',
  'import-invalid',
  'records-missing',
  'report-unverified',
  'acceptance-refused',
  'suite-changed',
  'file-exists',
  'store-unavailable',
  'store-refused',
  'refresh-not-allowed',
  'event-refused',
  'pull-request-limited',
  'github-unavailable',
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

export class UserError extends Error {
  override readonly name = 'UserError';
  readonly code: ErrorCode;
  /** What to do about it: one or two sentences, a command where one helps. */
  readonly hint: string;
  /** Where, when the cause is a line of a file: shown as an annotation. */
  readonly places: readonly Place[];

  constructor(
    code: ErrorCode,
    message: string,
    hint: string,
    options: { cause?: unknown; places?: readonly Place[] } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = hint;
    this.places = options.places ?? [];
  }
}

/** The reason that the entries abort a run with. */
export function cancelled(): UserError {
  return new UserError('cancelled', 'The run was cancelled.', 'Start it again when you want its answer.');
}

/** The user's error in whatever was thrown; one that came up while cleaning up after it does not hide it. */
export function userErrorIn(thrown: unknown): UserError | undefined {
  if (thrown instanceof UserError) return thrown;
  // Any write may meet a full disk: whoever knows more of it says so earlier.
  const code = thrown instanceof Error && 'code' in thrown ? thrown.code : undefined;
  if (thrown instanceof Error && (code === 'ENOSPC' || code === 'EDQUOT'))
    return new UserError(
      'disk-full',
      `The disk is full: ${thrown.message}.`,
      'Free space on the runner and start again.',
      { cause: thrown },
    );
  if (!(thrown instanceof SuppressedError)) return undefined;
  return userErrorIn(thrown.suppressed) ?? userErrorIn(thrown.error);
}

/** A position in a file of the repository. `line` and `column` count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

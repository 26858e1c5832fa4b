import { UserError } from '../errors.ts';

/** The system's own code of a failed file operation, e.g. `ENOENT`; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Turns a full disk into an error with a remedy; everything else passes unchanged. */
export function diskError(error: unknown, what: string): unknown {
  const code = systemCode(error);
  return code === 'ENOSPC' || code === 'EDQUOT'
    ? new UserError(
        'disk-full',
        `The disk is full: ${what} could not be written.`,
        'Free space on the runner and start again; nothing half-written was left.',
        { cause: error },
      )
    : error;
}

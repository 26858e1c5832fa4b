import { UserError } from '../errors.ts';

/** The system's own code of a failed file operation, e.g. `ENOENT`; undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** Why a file cannot be read, in words for the codes that a slip of the pen gives: said of its path. */
export function unread(error: unknown): string {
  const code = systemCode(error);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return 'does not exist';
    case 'EISDIR':
      return 'is a folder';
    case 'EACCES':
      return 'may not be read by this user';
    default:
      return `cannot be read (${code ?? String(error)})`;
  }
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

import { rm } from 'node:fs/promises';
import { UserError } from '../errors.ts';
import { refuseLinks } from './confined.ts';
import { diskError, systemCode } from './errors.ts';
import { writeText } from './report-file.ts';

const REFUSED = ['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EEXIST', 'EISDIR', 'ERR_FS_EISDIR', 'ENOTEMPTY'];

/**
 * Files that inputs name, for other programs to read.
 *
 * @param workspace the checkout: a change can bring links, and none of them is followed
 */
export function openDocuments(workspace: string) {
  return {
    clear: (path: string) => placed(path, () => rm(path, { force: true })),
    write: (path: string, text: string) => placed(path, () => writeText(path, text)),
  };

  async function placed(path: string, act: () => Promise<void>): Promise<void> {
    try {
      await refuseLinks(path, workspace);
      await act();
    } catch (cause) {
      if (!REFUSED.includes(systemCode(cause) ?? '')) throw diskError(cause, path);
      throw new UserError(
        'input-invalid',
        `${path} cannot be written to (${systemCode(cause)}).`,
        'Give `junit`, `sarif` or `code-quality` the path of a file that this runner may write to.',
        { cause },
      );
    }
  }
}

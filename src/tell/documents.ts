import type { Documents } from '../job/tools.ts';
import type { DocumentName } from '../surfaces/surface.ts';
import type { Recipients } from './tell.ts';

/** Files for other programs: those of which an input says where. @throws UserError `input-invalid`, `disk-full` */
export const documents = (
  paths: Readonly<Partial<Record<DocumentName, string>>>,
  disk: Pick<Documents, 'write'>,
): Recipients => ({
  async document({ name, text }) {
    const path = paths[name];
    if (path !== undefined) await disk.write(path, text());
  },
});

import type { Reports } from '../job/tools.ts';
import type { Recipients } from './tell.ts';

/** Files beside a record: for people, and for programs that come later. @throws UserError `disk-full` */
export const files = (reports: Pick<Reports, 'write'>): Recipients => ({
  file: ({ path, text }) => reports.write(path, text),
});

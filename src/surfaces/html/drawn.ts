import type { Merged } from '../../report/merged.ts';
import type { Report } from '../../report/schema.ts';
import { profileChart } from './chart.ts';
import { htmlReport as page } from './page.ts';

/** Any reports as a page, with charts where they have some. */
export const htmlReport = (
  reports: readonly Report[],
  of: Pick<Merged, 'explained' | 'across'> = {},
): string => page(reports, of, profileChart);

import { counted } from '../counted.ts';
import type { RunRecord } from '../record/schema.ts';
import type { Verification } from '../report/verification.ts';

/** For a terminal: what differs, how much was looked at, what that proves and what it does not. */
export function verificationLines({ agrees, checked, disagreements }: Omit<Verification, 'lines'>): string[] {
  const { files, bodies, relations, findings } = checked;
  return [
    ...disagreements.map(
      ({ path, reported, derived }) => `${path}: the report says ${reported}, its files give ${derived}`,
    ),
    `Checked: ${counted(files, 'file')} by digest, ${bodies} bodies opened and digested anew, ${counted(relations, 'relation')} with ${counted(findings, 'finding')} compared anew.`,
    'Not checked: that an engine computed this record, and what the report takes from outside of it (what the suite asked for, places in its file, paths, the runtime’s words).',
    agrees
      ? 'The report agrees with its record and baseline.'
      : 'The report DISAGREES with its record and baseline.',
  ];
}

/** Of a record without a report. @param source undefined where it could not be read */
export function recordLines(
  { agrees, checked: { files, bodies }, disagreements }: Omit<Verification, 'lines'>,
  source: RunRecord['source'] | undefined,
): string[] {
  const by =
    source === 'imported' ? 'that the program which told it computed this' : 'that an engine computed it';
  return [
    ...disagreements.map(({ path, derived }) => `${path}: ${derived}`),
    `Checked: ${counted(files, 'file')} against its schema, ${bodies} bodies opened and digested anew.`,
    `Not checked: ${by}; no report was named.`,
    agrees ? 'The record is whole.' : 'The record is NOT what its digests say.',
  ];
}

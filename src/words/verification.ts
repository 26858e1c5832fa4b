import type { Verification } from '../report/verification.ts';
import { counted } from './figures.ts';

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

import type { Proof, Provenance } from '../baseline/store.ts';
import type { Accepted } from '../compare/acceptance.ts';
import { counted } from './figures.ts';
import type { BaselineView, Derived, Notice, Rules } from './model.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Whole days between two times of day. */
export const daysBetween = (from: string, to: string) =>
  Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / DAY_MS));

/** What the notices follow from. */
export interface Ground {
  readonly now: string;
  readonly baseline: BaselineView;
  readonly proof: Proof | undefined;
  /** A pull request that brings its own baseline in files; what its base branch has. */
  readonly replacedByChange: { readonly before: Provenance | null } | undefined;
  readonly warnAfterDays: number;
  readonly rules: Rules;
  readonly acceptances: Derived['acceptances'];
}

/** What a reader should know beside the verdict, in the order of its weight. Not yet inert. */
export function notices(ground: Ground): Notice[] {
  return [
    ...changedJudge(ground),
    ...changedBaseline(ground),
    ...unproven(ground),
    ...age(ground),
    ...stale(ground),
  ];
}

function changedJudge({ rules }: Ground): Notice[] {
  if (rules.kind === 'checkout') return [];
  const held = rules.changes.filter(({ inForce }) => !inForce);
  const fields = held.map(({ field, before, after }) => `${field}: ${before} → ${after}`).join('; ');
  return [
    ...(rules.missing
      ? [
          warning(
            'No suite on the base branch',
            `${rules.ref} has no valid suite at this path: the strict defaults judge this change, and not its own suite.`,
          ),
        ]
      : []),
    ...(held.length > 0
      ? [
          warning(
            'This change alters what judges it',
            `Here ${rules.ref} judges, and these changes count only after the merge: ${fields}.`,
          ),
        ]
      : []),
  ];
}

function changedBaseline({ replacedByChange }: Ground): Notice[] {
  if (replacedByChange === undefined) return [];
  const { before } = replacedByChange;
  const old =
    before === null
      ? 'the base branch has none'
      : `the base branch’s is of ${before.createdAt.slice(0, 10)}, by ${before.actor} for “${before.reason}”`;
  return [
    warning(
      'This change brings its own baseline',
      `It was compared with the baseline in its own diff; ${old}. Merging it is what approves it.`,
    ),
  ];
}

function unproven({ proof }: Ground): Notice[] {
  return proof?.kind === 'unproven'
    ? [warning('Where the baseline comes from is not proven', `${proof.why} ${proof.remedy}`)]
    : [];
}

function age({ baseline, warnAfterDays, now }: Ground): Notice[] {
  if (baseline.kind !== 'found') return [];
  const days = daysBetween(baseline.provenance.createdAt, now);
  return days > warnAfterDays
    ? [
        warning(
          'Old baseline',
          `The baseline is ${counted(days, 'day')} old, and the suite wants to hear of more than ${warnAfterDays} (\`baseline: { warn-after-days: … }\`). Refresh it if it is still what you trust.`,
        ),
      ]
    : [];
}

const stale = ({ acceptances }: Ground) => acceptances.flatMap(ofAcceptance);

function ofAcceptance({ record, state, reason }: Accepted): Notice[] {
  const which = `\`${record.slice(0, 16)}…\` (“${reason}”)`;
  switch (state) {
    case 'matched':
    case 'elsewhere':
      return [];
    case 'baseline':
      return [
        {
          level: 'notice',
          title: 'Acceptance has done its work',
          message: `The accepted record ${which} is the baseline by now: the line can go.`,
        },
      ];
    case 'stale':
      return [
        warning(
          'Stale acceptance',
          `Nothing here gives the accepted record ${which} any more: something else changed after it, or it is of other hardware (then say which: \`hardware-class\`). Remove the line or accept the record that this report names.`,
        ),
      ];
  }
}

const warning = (title: string, message: string): Notice => ({ level: 'warning', title, message });

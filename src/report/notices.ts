import type { Memory, Proof, Provenance } from '../baseline/port.ts';
import type { Accepted } from '../compare/acceptance.ts';
import type { RelationResult } from '../compare/types.ts';
import { counted, some } from '../counted.ts';
import { engines } from '../engine/engines/index.ts';
import { type NotInForce, notInForce } from '../fingerprint/in-force.ts';
import type { Sign } from '../health/schema.ts';
import type { RunRecord } from '../record/schema.ts';
import { leavingIn } from '../record/select.ts';
import { codeInArguments, pickledIn } from '../suite/code.ts';
import { disagreeing, idleGpus } from './by-devices.ts';
import { ofCaches } from './caches.ts';
import { isEager } from './coverage.ts';
import { differences } from './environment.ts';
import type { BaselineView, Derived, Notice, Rules } from './schema.ts';
import { asServed, unread } from './served.ts';

/** Of what stands in one sentence; the rest is counted. */
const MAX_TOLD = 10;

const DAY_MS = 24 * 60 * 60 * 1000;

/** Whole days between two times of day. */
export const daysBetween = (from: string, to: string) =>
  Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / DAY_MS));

/** A pull request that brings its own baseline in files, or takes it away; and what its base branch has. */
export interface ReplacedByChange {
  readonly how: 'brought' | 'removed';
  readonly before: Provenance | null;
}

/** A baseline that is missing, and not because there never was one. */
export type LostBaseline = Exclude<Memory, { readonly kind: 'never' }>;

/** How the newest baseline stands to the measured commit, where that is not one that came after it. */
export type Standing =
  /** It brought other bits, and this commit was held to the one before, if that is kept. `more`: such ones before it. */
  | {
      readonly kind: 'lacks';
      readonly accepted: Provenance;
      readonly more: number;
      /** Key of the newest. */
      readonly newest: string;
      readonly isKept: boolean;
      /** The measured commit's branch, or the one that it is to go into, where that is another than what accepted it. */
      readonly apart: string | null;
    }
  /** It was made on a later commit, and nothing tells that this one computes otherwise. */
  | { readonly kind: 'younger'; readonly made: Provenance }
  /** `why` is a part of a sentence. */
  | { readonly kind: 'unknown'; readonly why: string };

/** What the notices follow from. */
export interface Ground {
  readonly now: string;
  readonly baseline: BaselineView;
  readonly proof: Proof | undefined;
  readonly replacedByChange: ReplacedByChange | undefined;
  readonly lostBaseline: LostBaseline | undefined;
  readonly standing: Standing | undefined;
  readonly record: Pick<RunRecord, 'suite' | 'fingerprint' | 'lifetimes' | 'observations' | 'software'>;
  readonly relations: readonly Pick<RelationResult, 'relation' | 'status' | 'findings'>[];
  /** The baseline's. */
  readonly before: Pick<RunRecord, 'suite' | 'fingerprint' | 'lifetimes' | 'software'> | undefined;
  readonly warnAfterDays: number;
  readonly rules: Rules;
  readonly acceptances: Derived['acceptances'];
  /** Undefined where none were asked for. */
  readonly probes: Derived['probes'];
  /** Of the GPUs; undefined where nobody looked. */
  readonly health: Derived['health'];
  /** Why nothing keeps the engine from what the job knows; undefined where something does. */
  readonly exposed: string | undefined;
  /** Engine arguments that are deterministic defaults of ours. */
  readonly defaults: readonly string[];
  /** Variables that the engine was given. */
  readonly environment: Readonly<Record<string, string>>;
  /** Records that the baseline, or one before it, has replaced. */
  readonly replaced: readonly string[];
}

/** What a reader should know beside the verdict, in the order of its weight. Not yet inert. */
export function notices(ground: Ground): Notice[] {
  return [
    ...ofGpus(ground),
    ...suspectHardware(ground),
    ...disagreeing(ground.record),
    ...idleGpus(ground.record),
    ...foreignCode(ground),
    ...changedJudge(ground),
    ...changedBaseline(ground),
    ...lostIts(ground),
    ...behind(ground),
    ...takenAway(ground),
    ...lessCompared(ground),
    ...ofProbes(ground),
    ...otherRelations(ground),
    ...notAsAsked(ground),
    ...ofCaches(ground.record),
    ...notWarm(ground.record),
    ...unread(ground),
    ...asServed(ground),
    ...unproven(ground),
    ...age(ground),
    ...stale(ground),
    ...notIsolated(ground),
    ...byItsWord(ground.record),
  ];
}

/** What the suite asks for and did not get: it costs seconds, and no bit. */
function notWarm({ lifetimes }: Pick<RunRecord, 'lifetimes'>): Notice[] {
  const cold = lifetimes.filter(({ start }) => start?.unfit !== undefined);
  const [first] = cold;
  if (first === undefined) return [];
  return [
    {
      level: 'notice',
      title: 'Engine starts were to be warm, and were cold',
      message: `${some(cold.map(({ lifetime }) => lifetime))}: ${first.start?.unfit}. A cold start takes longer and is held to the same.`,
    },
  ];
}

/** A notice a GPU and level: what was seen, and what to do about the worst of it. */
function ofGpus({ health }: Ground): Notice[] {
  const told = (health?.signs ?? []).filter(({ level }) => level !== 'fact');
  return [...Map.groupBy(told, ({ level, gpu }) => `${level} ${gpu ?? ''}`).values()].flatMap((signs) => {
    const [first] = signs;
    if (first === undefined) return [];
    const { level, gpu, remedy } = first;
    const reasons = signs.map(({ reason, seen }) => `${reason} (${seen})`).join('; ');
    const message = `${gpu === null ? '' : `${gpu} `}${reasons}. ${remedy}`;
    return [
      {
        level: level === 'note' ? ('notice' as const) : ('warning' as const),
        title: HEALTH_TITLE[level],
        message,
      },
    ];
  });
}

/** The same GPU, the same process, nothing that chooses kernels by timing: what is left is a kernel with a race, or the card. */
function suspectHardware({ record, relations }: Ground): Notice[] {
  const [gpu, ...more] = record.fingerprint.ambient.gpus;
  const broken = relations.some(({ relation, status }) => relation === 'rerun' && status === 'broken');
  if (!broken || gpu === undefined || !isEager(record)) return [];
  // Then kernels that add in whatever order they come are what was asked for, and no sign of a fault.
  if (record.lifetimes.some(({ settings }) => settings.requested['deterministic_algorithms'] === false))
    return [
      warning(
        'Deterministic algorithms are off',
        'The same work in the same process gave other bits, and `deterministic_algorithms: false` under `engine.args` allows kernels that add in whatever order they come. Ask for `true`: what is then still unequal is another matter.',
      ),
    ];
  return [
    warning(
      'Suspect the hardware',
      `The same work on the same ${more.length === 0 ? 'GPU' : 'GPUs'}, in the same process and without compilation, gave other bits. Run the suite on another card of that kind: if it holds there, have this one tested (\`dcgmi diag -r 3\`); if it breaks there too, look for a kernel with atomics or a race.`,
    ),
  ];
}

const HEALTH_TITLE: Readonly<Record<Sign['level'], string>> = {
  unhealthy: 'Unhealthy GPU',
  warning: 'A GPU in doubt',
  note: 'Health of the GPUs',
  fact: 'Health of the GPUs',
};

/** What ran or was read beside the pinned engine and the model's tensors. */
function foreignCode({ record: { lifetimes, fingerprint } }: Ground): Notice[] {
  // What somebody else's server loads, its arguments do not say; files of a program have digests in the fingerprint.
  const asked =
    fingerprint.declared.endpoint === undefined && fingerprint.declared.program === undefined
      ? lifetimes.flatMap(({ settings }) => codeInArguments(settings.requested))
      : [];
  const files = pickledIn(fingerprint.declared.model.files);
  const told = [
    ...new Set(asked),
    ...(files.length === 0 ? [] : [`the model’s own files can hold a program: ${some(files)}`]),
  ];
  if (told.length === 0) return [];
  const [shown, left] = [told.slice(0, 10), told.length - 10];
  return [
    {
      level: 'notice',
      title: 'Code and files beside the pinned engine',
      message: `${shown.join('; ')}${left > 0 ? `; and ${left} more` : ''}. Digests of a record cover the engine’s image and the model’s folder, not these: review them as code.`,
    },
  ];
}

function changedJudge({ rules, baseline }: Ground): Notice[] {
  if (rules.kind === 'checkout') return [];
  const { ref, path, missing, changes } = rules;
  const held = changes.filter(({ inForce }) => !inForce);
  const fields = held.map(({ field, before, after }) => `${field}: ${before} → ${after}`).join('; ');
  const hardware = changes.some(({ field }) => field.startsWith('runtime.gpus'));
  return [
    ...(missing
      ? [
          warning(
            'No suite on the base branch',
            `${ref} has no suite at \`${path}\`, or one that cannot be read (the log says why): the strict defaults judge this change, and not its own suite.`,
          ),
        ]
      : []),
    ...(held.length > 0
      ? [
          warning(
            'This change alters what judges it',
            `Here ${ref} judges as it is now, and these differences count only after the merge (or the change is behind that branch: update it): ${fields}.`,
          ),
        ]
      : []),
    ...(hardware && baseline.kind === 'incomparable'
      ? [
          warning(
            'This change alters what it runs on',
            'Its own `runtime.gpus` chooses hardware without a baseline, so that nothing was compared.',
          ),
        ]
      : []),
  ];
}

function changedBaseline({ replacedByChange }: Ground): Notice[] {
  if (replacedByChange === undefined) return [];
  const { how, before } = replacedByChange;
  const old =
    before === null
      ? 'the base branch has none that can be read'
      : `the base branch’s is of ${before.createdAt.slice(0, 10)}, by ${before.actor} for “${before.reason}”`;
  switch (how) {
    case 'brought':
      return [
        warning(
          'This change brings its own baseline',
          `It was compared with the baseline in its own diff; ${old}. Merging it is what approves it. (A change that is behind its base branch looks the same: update it.)`,
        ),
      ];
    case 'removed':
      return [
        warning(
          'This change takes its baseline away',
          `Nothing was compared, and ${old}: the policy lets no such change pass. Bring the folder back from the base branch.`,
        ),
      ];
  }
}

/** Why a policy of `warn` let nothing pass. */
function lostIts({ lostBaseline }: Ground): Notice[] {
  if (lostBaseline === undefined) return [];
  switch (lostBaseline.kind) {
    case 'once':
      return [
        warning(
          'The baseline was lost',
          `${lostBaseline.what} A policy of \`warn\` lets pass what never had a baseline, and not this: refresh it.`,
        ),
      ];
    case 'unknown':
      return [
        warning(
          'Whether there ever was a baseline is unknown',
          `${lostBaseline.why} A policy of \`warn\` lets pass only what is known never to have had one. ${lostBaseline.remedy}`,
        ),
      ];
  }
}

/** What was accepted and this commit has not: else it would be shown as a drift of its own. */
function behind({ standing, relations }: Ground): Notice[] {
  if (standing === undefined) return [];
  const differs = relations.some(({ relation, status }) => relation === 'baseline' && status === 'broken');
  switch (standing.kind) {
    case 'lacks': {
      const { accepted, more, isKept, apart } = standing;
      const branch = branchOf(accepted);
      if (apart !== null) {
        const ofItsOwn = `${apart} has no baseline of its own, and the newest of ${branch} is of ${acceptedWords(accepted)}, which this commit lacks`;
        return isKept
          ? [
              {
                level: 'notice',
                title: 'The baseline is another branch’s',
                message: `${ofItsOwn}: it was compared with the one that its ancestors had.`,
              },
            ]
          : [
              warning(
                'The branch has no baseline',
                `${ofItsOwn}. The one that its ancestors had is not kept any more: nothing was compared, and no policy lets that pass. Refresh the baseline on ${apart}; docs/baselines.md says how a branch keeps its own.`,
              ),
            ];
      }
      const told = `${branch} accepted ${acceptedWords(accepted)}, and this commit lacks it${more === 0 ? '' : `, and ${counted(more, 'accepted change')} before it`}`;
      return isKept
        ? [
            {
              level: 'notice',
              title: 'This commit lacks an accepted change',
              message: `${told}: it was compared with the baseline that its ancestors had. Merge ${branch} to be compared with the newest.`,
            },
          ]
        : [
            warning(
              'The baseline of this commit is not kept any more',
              `${told}. The newest baseline would show that as a drift, and the one that its ancestors had is gone: nothing was compared, and no policy lets that pass. Merge ${branch}.`,
            ),
          ];
    }
    case 'younger': {
      const branch = branchOf(standing.made);
      return differs
        ? [
            {
              level: 'notice',
              title: 'The baseline is of a later commit',
              message: `It is of ${acceptedWords(standing.made)}, which this commit lacks: a part of the difference may be what ${branch} has brought since. Merge ${branch} to know.`,
            },
          ]
        : [];
    }
    case 'unknown':
      return differs
        ? [
            warning(
              'Whether this commit has every accepted change is unknown',
              `${standing.why}. If it lacks one, this is what differs: update it to its base branch.`,
            ),
          ]
        : [];
  }
}

const branchOf = ({ ref }: Provenance) => ref.replace(/^refs\/heads\//, '');

const acceptedWords = ({ reason, commit, createdAt, actor }: Provenance) =>
  `“${reason}” in ${commit.slice(0, 7)} (${createdAt.slice(0, 10)}, ${actor})`;

/** What the base branch asks and the change does not: it was measured all the same, and counts until the merge. */
function takenAway({ record, relations, rules }: Ground): Notice[] {
  const leaving = leavingIn(record);
  if (leaving.length === 0 || rules.kind !== 'base') return [];
  const failing = relations.filter(({ status }) => status === 'broken' || status === 'unmeasured');
  const strange = new Set(
    failing.flatMap(({ findings }) => findings.flatMap(({ prompt, holds }) => (holds ? [] : [prompt]))),
  );
  const differing = leaving.filter((id) => strange.has(id));
  const told =
    differing.length === 0
      ? 'what was compared of them agrees as the suite requires'
      : `${differing.length === leaving.length ? 'none of them agrees' : `${differing.length} of them ${differing.length === 1 ? 'does' : 'do'} not agree`} as the suite requires: ${some(differing)}`;
  return [
    {
      level: differing.length === 0 ? 'notice' : 'warning',
      title: 'Taken away by this change',
      message: `${leaving.length} of the prompts and texts that ${rules.ref} asks are gone here or ask something else (or the change is behind that branch: update it): ${some(leaving)}. Until the merge they were measured all the same, and ${told}.`,
    },
  ];
}

/** Of what the baseline knows, nothing may quietly stay uncompared. */
function lessCompared({ record, before }: Ground): Notice[] {
  if (before === undefined) return [];
  const entries = ({ suite }: Pick<RunRecord, 'suite'>) =>
    new Map([...suite.prompts, ...suite.texts].map(({ id, input }) => [id, input]));
  const [then, now] = [entries(before), entries(record)];
  const lost = [...then].filter(([id, input]) => now.get(id) !== input).map(([id]) => id);
  const fresh = [...now.keys()].filter((id) => !then.has(id));
  return [
    ...(lost.length > 0
      ? [
          warning(
            'Less is compared than the baseline knows',
            `${lost.length} of its ${counted(then.size, 'prompt')} and texts are gone or ask something else, so that nothing is known of them: ${some(lost)}.`,
          ),
        ]
      : []),
    ...(fresh.length > 0
      ? [
          {
            level: 'notice' as const,
            title: 'New in the suite',
            message: `The baseline does not know ${fresh.length} of the suite’s prompts and texts yet, and nothing compares them until a refresh: ${some(fresh)}.`,
          },
        ]
      : []),
  ];
}

/** What somebody asked for and did not get; the deterministic defaults apart, which the suite did not choose. */
function notAsAsked({ record, defaults, environment }: Ground): Notice[] {
  const engine = engines.find(({ name }) => name === record.fingerprint.declared.engine.name);
  const isOurs = ({ name, kind, asked }: NotInForce) =>
    kind === 'argument' ? defaults.includes(name) : engine?.environment[name] === asked;
  const all = record.lifetimes.flatMap(({ settings }) => notInForce(settings, environment));
  const told = (ones: readonly NotInForce[]) => [
    ...new Set(
      ones.map(
        ({ name, asked, inForce }) =>
          `\`${name}\` was asked for as \`${asked}\`, and is \`${inForce}\` in the running engine`,
      ),
    ),
  ];
  const [own, ours] = [told(all.filter((one) => !isOurs(one))), told(all.filter(isOurs))];
  return [
    ...(own.length > 0 ? [warning('Asked for, not in force', `${some(own, MAX_TOLD, '; ')}.`)] : []),
    ...(ours.length > 0
      ? [
          {
            level: 'notice' as const,
            title: 'Deterministic defaults that are not in force',
            message: `${some(ours, MAX_TOLD, '; ')}.`,
          },
        ]
      : []),
  ];
}

/** No change of anybody's, and yet another way of the engine: where bits differ, a reader must know of it. */
function otherRelations({ record, before, relations }: Ground): Notice[] {
  const broken = relations.some(({ relation, status }) => relation === 'baseline' && status === 'broken');
  if (before === undefined || !broken) return [];
  const told = differences(before, record).byRelations.map(
    (one) => `\`${one.field.replace(/^engine\.requested\./, '')}\` was ${one.before} and is ${one.after}`,
  );
  if (told.length === 0) return [];
  return [
    {
      level: 'notice',
      title: 'Other relations than at the refresh',
      message: `The refresh was asked for other relations, and so ${told.join(', ')}. If nothing else explains the difference, ask this check for the same relations.`,
    },
  ];
}

/** What single operators say of a drift, and where they say something of a model that did not drift. */
function ofProbes({ probes, relations }: Ground): Notice[] {
  const held = relations.find(({ relation }) => relation === 'baseline')?.status;
  if (probes === undefined || held === undefined) return [];
  const { compared, moved, unmeasured } = probes;
  const note = (title: string, message: string): Notice[] => [{ level: 'notice', title, message }];
  // Told among what was not exercised.
  if (compared === 0) return [];
  const few = unmeasured === null ? '' : ` Not compared: ${unmeasured}.`;
  if (moved.length === 0)
    return held === 'broken'
      ? note(
          'No probe foretold it',
          `${counted(compared, 'call')} of single operators, before the model was loaded, gave the bits of the baseline: what moved is the model, its inputs, or kernels that no probe calls.${few}`,
        )
      : [];
  const told = some(
    moved.map(
      ({ probe, calls, differing, first }) => `${probe} (${differing} of ${calls} calls, first \`${first}\`)`,
    ),
    MAX_TOLD,
    '; ',
  );
  const first = `Single operators gave other bits than for the baseline before the model was loaded: ${told}.${few}`;
  switch (held) {
    case 'broken':
      return note(
        'Foretold by probes',
        `${first} They do not depend on the model: look for another library, CPU, GPU or setting first.`,
      );
    case 'held':
      return note(
        'Probes alone moved',
        `${first} What was measured of the model did not move as the suite counts it: another suite or model may.`,
      );
    case 'measured':
    case 'unmeasured':
      return note('Probes moved', first);
  }
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

function notIsolated({ exposed }: Ground): Notice[] {
  if (exposed === undefined) return [];
  return [
    {
      level: 'notice',
      title: 'The engine was not isolated',
      message: `It ran as the job’s user among the job’s processes, and could read the job’s tokens and files: ${exposed}. docs/security.md says what helps.`,
    },
  ];
}

/** No content address and no digest of this machine stands behind what a launcher reaches. */
function byItsWord({ fingerprint: { declared, ambient } }: Ground['record']): Notice[] {
  if (ambient.runtime !== 'launcher') return [];
  const whats = [
    'the machine',
    ...(declared.image.certainty === 'declared' ? ['the image'] : []),
    ...(declared.model.files.length > 0 ? ['the model'] : []),
  ];
  return [
    {
      level: 'notice',
      title: 'The far side vouches for itself',
      message: `The engine ran where a launcher took it. What ${whats.join(' and ')} there ${whats.length === 1 ? 'is' : 'are'}, that side told itself, and this machine could not check.`,
    },
  ];
}

const stale = ({ acceptances, replaced }: Ground) =>
  acceptances.flatMap((one) =>
    one.state === 'matched' && replaced.includes(one.record) ? goesBack(one) : ofAcceptance(one),
  );

/** A line that nobody took out lets an old record pass again, and the diff does not show it. */
const goesBack = ({ record, reason }: Accepted): Notice[] => [
  warning(
    'Back to an older baseline',
    `The accepted record \`${record.slice(0, 16)}…\` was the baseline once: this goes back to it by a line that was accepted then, for “${reason}”.`,
  ),
];

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

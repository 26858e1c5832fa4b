import { relationNamed } from '../compare/relations/index.ts';
import { isVariant } from '../compare/relations/variant.ts';
import { counted } from '../counted.ts';
import { excerpt } from '../inert.ts';
import { ARRANGEMENTS } from '../record/names.ts';
import type { PassKind } from '../record/schema.ts';
import type {
  Report,
  ReportedDivergence,
  ReportedFinding,
  ReportedForkSide,
  ReportedTrace,
} from '../report/schema.ts';
import { finite, nats } from './figures.ts';
import { distanceWords } from './sizes.ts';

/** Longest name of a module and text of a token, once they are inert. */
const MAX_MODULE = 160;
const MAX_TOKEN = 40;
/** Modules of one side only that are named. */
const MAX_NAMED = 3;
/** A comparison lists no more of them. */
const LISTED = 20;

/** What a finding's numbers are told with. */
export interface Frame {
  readonly relation: string;
  /** Of the logits, e.g. `bfloat16`; undefined where the engine does not tell. */
  readonly dtype: string | undefined;
  /** What to call the two in place of the relation's own names: neither is the older one. */
  readonly sides?: readonly [left: string, right: string];
}

export function frameOf(relation: string, { environment }: Pick<Report, 'environment'>): Frame {
  const dtype = environment.settings.effective['dtype'];
  return {
    relation,
    ...(isVariant(relation) ? { sides: relationNamed(relation).sides } : {}),
    dtype: typeof dtype === 'string' ? excerpt(dtype.replace(/^torch\./, ''), MAX_TOKEN) : undefined,
  };
}

/** All that is known of a finding beside its agreement; empty for an identical one. Not yet inert, but capped. */
export function findingWords(finding: ReportedFinding, frame: Frame): string {
  const { kind, agreement, divergence, distance, trace, reason } = finding;
  const parts = [
    divergence === null ? '' : divergenceWords(divergence, kind, frame, distance === null),
    distance === null ? '' : distanceWords(distance),
    trace === null ? '' : traceWords(trace, frame.sides, traceUnit(finding)),
    reason === null || (agreement === 'identical' && isNote(reason)) ? '' : besideWords(reason),
  ];
  return parts.filter((part) => part !== '').join('; ');
}

/** What tells the two passes beside others apart, in words. */
export const besideWords = (reason: string) => BESIDE.get(reason) ?? reason;
const BESIDE: ReadonlyMap<string, string> = new Map([
  ['together', 'beside the suite’s other prompts'],
  ['strangers', 'beside texts that are not of the suite'],
]);

/** A reason that only tells pairs apart, e.g. `lifetime-1 and lifetime-2`: of what is identical, nothing to tell. */
const isNote = (reason: string) =>
  reason
    .replaceAll(ON_DEVICES, '')
    .split(' ')
    .every((word) => word === 'and' || NAMES.has(word) || /^lifetime-\d+$/.test(word));
/** As a record calls them. */
const ON_DEVICES = /,? (?:both )?on (?:GPUs? [0-9a-f]+(?:, [0-9a-f]+)*|CPUs \d[\d,-]*)/g;
const NAMES: ReadonlySet<string> = new Set([...ARRANGEMENTS, 'trace']);

/** A step of a score is a position of the sequence. */
const unitOf = (kind: PassKind) => (kind === 'score' ? 'position' : 'step');

/** Where and how much, in one plain sentence. Steps are told from 1. */
export function divergenceWords(
  divergence: ReportedDivergence,
  kind: PassKind,
  frame: Frame,
  tellsLargest = true,
): string {
  const { logprobStep, logprobSteps, tokenStep, steps, largestNats, fork } = divergence;
  const unit = unitOf(kind);
  const parts: string[] = [];
  if (logprobStep !== null && logprobStep !== tokenStep)
    parts.push(
      logprobSteps > 1
        ? `bits differ at ${logprobSteps} of ${counted(steps, unit)}, first at ${unit} ${logprobStep + 1}`
        : `bits differ at ${unit} ${logprobStep + 1} of ${steps} only`,
    );
  // Not a number is worth telling as much as a number above 0.
  if (tellsLargest && finite(largestNats) !== 0)
    parts.push(
      `largest difference ${nats(largestNats)}${tokenStep === null ? '' : ' before the tokens part'}`,
    );
  if (tokenStep !== null) {
    const [left, right] = frame.sides ?? relationNamed(frame.relation).sides;
    const told =
      fork === null
        ? ''
        : `: ${forkSideWords(fork.left, left, frame)}; ${forkSideWords(fork.right, right, frame)}`;
    parts.push(`tokens part at ${unit} ${tokenStep + 1}${told}`);
  }
  return parts.join('; ');
}

/** `“ Paris” (token 12) in the baseline, near tie, 0.0180 nats (1 step of bfloat16)`. */
function forkSideWords(side: ReportedForkSide, when: string, frame: Frame): string {
  if (side.token === null) return `the end ${when}`;
  const text = side.text === null ? '' : `“${excerpt(side.text, MAX_TOKEN)}” `;
  return `${text}(token ${side.token}) ${when}, ${tieWords(side, frame)}`;
}

export function tieWords({ tie, marginNats, marginSteps, top }: ReportedForkSide, { dtype }: Frame): string {
  const known = marginNats === null ? undefined : finite(marginNats);
  const margin = known === undefined ? '' : `, ${known < 0 ? 'behind' : 'ahead'} by ${nats(Math.abs(known))}`;
  switch (tie) {
    case 'exact':
      return 'an exact tie';
    case 'near': {
      const steps = marginSteps === null ? undefined : finite(marginSteps);
      const told =
        steps === undefined
          ? ''
          : ` (${counted(Number(steps.toPrecision(2)), 'step')} of ${dtype ?? 'the logits’ dtype'})`;
      return `near tie${margin}${told}`;
    }
    case 'none':
      return `not a tie${margin}`;
    case 'unknown':
      return marginNats === null
        ? `margin unknown: the other token is not among its ${top.length} best`
        : margin.replace(/^, /, '') || nats(marginNats);
  }
}

/** Of an engine that gives no tokens: what modules came to is all that was generated. */
export const givesModulesAlone = ({
  kind,
  modules,
  textIdentical,
}: Pick<ReportedFinding, 'kind' | 'modules' | 'textIdentical'>) =>
  kind === 'generate' && modules !== null && textIdentical === null;

/** What a trace is of: modules of a model, or calls of probes. */
export const traceUnit = (finding: Parameters<typeof givesModulesAlone>[0]) =>
  givesModulesAlone(finding) ? 'call' : 'module';

/** Which module, or call, computes something else first. @param sides what to call the two, where neither is the older one */
export function traceWords(
  { modules, differing, first, firstIndex, onlyLeft, onlyRight }: ReportedTrace,
  sides?: Frame['sides'],
  unit: ReturnType<typeof traceUnit> = 'module',
): string {
  const named = (names: readonly string[]) => {
    const shown = names.slice(0, MAX_NAMED).map(moduleName);
    const more = names.length - shown.length;
    const least = names.length >= LISTED ? 'at least ' : '';
    return more > 0 ? `${shown.join(', ')} and ${least}${more} more` : shown.join(', ');
  };
  const parts: string[] = [];
  const [gone, fresh] = sides?.map((side) => `${unit}s only ${side}`) ?? [
    `${unit}s that are gone`,
    `${unit}s that are new`,
  ];
  if (onlyLeft.length > 0) parts.push(`${gone}: ${named(onlyLeft)}`);
  if (onlyRight.length > 0) parts.push(`${fresh}: ${named(onlyRight)}`);
  if (first !== null) {
    const before =
      firstIndex === null
        ? ''
        : firstIndex === 0
          ? '; it is the first that runs'
          : `; ${firstIndex} ran before it and agree`;
    parts.push(`first different ${unit}: ${moduleName(first)} (${differing} of ${modules} differ${before})`);
  } else if (differing > 0) parts.push(`${differing} of ${modules} ${unit}s differ`);
  else if (parts.length === 0) parts.push(`none of ${modules} ${unit}s differs`);
  return parts.join('; ');
}

/** What it means that something else differs and no module does. */
export const OUTSIDE_MODULES =
  'in the traced texts no module differs: what changed lies outside of modules (sampling, log-softmax, compilation, decode), or does not show in these texts';

const moduleName = (name: string) => excerpt(name, MAX_MODULE);

/** What a text hash would have said of a finding: the reason this project looks at bits. */
export function textHashWords(textIdentical: boolean | null): string {
  return textIdentical === null ? '–' : textIdentical ? 'same' : 'differs';
}

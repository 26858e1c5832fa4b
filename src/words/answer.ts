import { counted } from '../counted.ts';
import { excerpt, visible, within } from '../inert.ts';
import { isBroken } from '../report/finding.ts';
import type { Report, ReportedFinding } from '../report/schema.ts';
import { besideWords, givesModulesAlone, traceUnit } from './findings.ts';
import { firstModule, seesModules, seesNoModule, textOf } from './groups.ts';
import { isAsked } from './owner.ts';
import { type Drifted, harmOf, type ReadRelation, read } from './reading.ts';
import { shortSize } from './sizes.ts';
import { agreementIn } from './words.ts';

type Change = Report['changes'][number];

/** Characters of the sentence that a reader sees first, and of the line of one prompt. */
const MAX_ANSWER = 120;
const MAX_LINE = 160;
const MAX_MODULE = 70;
const MAX_VALUE = 24;

/**
 * What changed, where it shows first, how large it is and what it did to the text, in one sentence of at most 120
 * characters: `Weights changed (model.safetensors): first at layers.15.mlp.down_proj, the size of rounding, no text
 * changed`. What changed is told as a fact beside the drift, not as its cause. Of a relation that does not hold: which, and for
 * how many prompts. Empty where nothing differs. Not yet inert.
 */
export function answerOf(report: Report): string {
  const { drifted, relations } = read(report);
  if (report.conclusion === 'unmeasured') return unmeasuredAnswer(report);
  if (drifted.length === 0) return '';
  switch (report.conclusion) {
    case 'drift':
      return driftAnswer(report);
    case 'unstable':
      return unstableAnswer(report.changes.filter(isAsked), drifted);
    case 'relation-broken': {
      const held = relations.flatMap(brokenWords).join(', ');
      return within(
        [`Does not hold: ${held}`, harmOf(drifted)].filter((part) => part !== '').join('; '),
        MAX_ANSWER,
      );
    }
    case 'reproduced':
    case 'no-baseline':
    case 'incomparable':
    case 'unhealthy-gpu':
      return '';
  }
}

/** Which relations say nothing, and of one why, where there is room. */
function unmeasuredAnswer({ relations }: Report): string {
  const untold = relations.filter(({ status }) => status === 'unmeasured');
  const [only] = untold;
  if (only === undefined) return '';
  const names = `Not measured: ${untold.map(({ relation }) => relation).join(', ')}`;
  const whole = `${names}: ${only.evidence}`;
  return untold.length === 1 && whole.length <= MAX_ANSWER ? whole : within(names, MAX_ANSWER);
}

/** `batch for 4 of 5 prompts`. */
function brokenWords({ relation, groups }: ReadRelation): string[] {
  if (relation.status !== 'broken' || relation.relation === 'baseline') return [];
  const broken = groups.filter(({ findings }) => findings.some(isBroken)).length;
  return [`${relation.relation} for ${broken} of ${counted(groups.length, 'prompt')}`];
}

/** What the suite asks for otherwise is told as a fact beside it. */
function unstableAnswer(asked: readonly Change[], drifted: readonly Drifted[]): string {
  const itself = `the engine does not repeat itself in ${counted(drifted.length, 'prompt')}`;
  const found = [itself, harmOf(drifted)].filter((part) => part !== '').join(', ');
  if (asked.length === 0) return capital(found);
  const told = causeOf(asked).flatMap((cause) => [`${cause}: ${found}`, `${cause}: ${itself}`]);
  return told.find((text) => text.length <= MAX_ANSWER) ?? capital(found);
}

function driftAnswer(report: Report): string {
  const { changes } = report;
  const { baseline, drifted } = read(report);
  if (baseline === undefined) return '';
  const place = placeOf(baseline);
  const size = shortSize(baseline.relation.size);
  const harm = harmOf(drifted);
  const [whole, short] = causeOf(changes);
  const told = [
    [whole, place, size, harm],
    [short, place, size, harm],
    [short, size, harm],
    [short, harm],
  ].map(([cause = '', ...rest]) => {
    const found = rest.filter((part) => part !== '').join(', ');
    return found === '' ? cause : `${cause}: ${found}`;
  });
  return told.find((text) => text.length <= MAX_ANSWER) ?? within(told.at(-1) ?? '', MAX_ANSWER);
}

/** One prompt: how it differs, from where on, in which module first, and what a hash of its text says. Not yet inert. */
export function promptLine({ broken, worst }: Drifted): string {
  const [first] = broken;
  if (first === undefined) return '';
  const { group } = first;
  const own = group.findings.find(isBroken) ?? worst;
  const module = group.findings.find(seesModules)?.trace?.first ?? null;
  const [name, ...others] = broken.map(({ relation, group: { worst: other } }) => ({
    ...{ relation: relation.relation, agreement: agreementIn(other) },
  }));
  const text = textOf(group);
  const parts = [
    agreementIn(own),
    whereOf(own),
    module === null ? '' : `first ${traceUnit(own)} ${moduleOf(module)}`,
    besideWords(own.reason ?? ''),
    text === null ? '' : text ? 'same text' : 'another text',
    ...others.map(({ relation, agreement }) => `${relation}: ${agreement}`),
  ].filter((part) => part !== '');
  // With the baseline alone its name says nothing that the title does not say.
  const told = others.length === 0 && name?.relation === 'baseline' ? '' : `${name?.relation}: `;
  return within(`${told}${parts.join('; ')}`, MAX_LINE);
}

/** Steps are told from 1. */
function whereOf({ kind, divergence }: ReportedFinding): string {
  if (divergence === null) return '';
  const { logprobStep, logprobSteps, tokenStep, steps } = divergence;
  const unit = kind === 'score' ? 'position' : 'step';
  if (tokenStep !== null) return `tokens part at ${unit} ${tokenStep + 1}`;
  return logprobStep === null
    ? ''
    : `bits differ at ${logprobSteps} of ${counted(steps, unit)}, first at ${logprobStep + 1}`;
}

/** Of all texts that were traced, the module that differs first. */
function placeOf({ relation }: ReadRelation): string {
  const seen = relation.findings.filter(seesModules);
  // Each prompt of probes has calls of its own: the one that the suite names first ran first.
  const [first] = seen.every(givesModulesAlone) ? seen : seen.toSorted(firstModule);
  const name = first?.trace?.first ?? null;
  if (name !== null) return `first at ${moduleOf(name)}`;
  if (seesNoModule(relation)) return 'no traced module differs';
  const values = relation.findings.find(seesValues);
  // What differs first of all that was emitted.
  return excerpt(values?.reason?.split('; ')[0] ?? '', MAX_MODULE);
}

/** Of several ranks it says those before the module. */
const moduleOf = (name: string) =>
  excerpt(name.replace(/^((?:all \d+ ranks|ranks? [\d, ]+): )?model\./, '$1'), MAX_MODULE);

/** Of a program nobody expects a text. */
const seesValues = ({ agreement }: ReportedFinding) => agreement === 'values-differ';

/** What changed, with its values and without them. Not yet inert. */
export function causeOf(changes: readonly Change[]): readonly [string, string] {
  if (changes.length === 0) return ['No recorded fact changed', 'No recorded fact changed'];
  const asked = changes.filter(isAsked);
  // What the engine made of it follows from what was asked, and a label is a name for files that tell more.
  const causes = asked.length > 0 ? asked : changes;
  const telling = causes.filter(({ field }) => field !== 'model.label');
  const named = new Map<string, string>();
  for (const change of telling.length > 0 ? telling : causes) {
    const [what, detail] = nameOf(change);
    if (!named.has(what)) named.set(what, detail);
  }
  const [[first, detail] = ['', ''], ...others] = [...named];
  const rest =
    others.length === 0 ? '' : others.length === 1 ? ` and ${others[0]?.[0]}` : ` and ${others.length} more`;
  const short = capital(`${first}${rest} changed`);
  // Of many the values of one would look like the cause.
  return [others.length > 1 ? short : `${short} (${detail})`, short];
}

/** A changed fact in a word or two, and what is worth telling of it. */
function nameOf({ field, before, after }: Change): readonly [string, string] {
  const values = `${brief(before)} → ${brief(after)}`;
  const file = /^model\.files\.(.+)$/.exec(field)?.[1];
  if (file !== undefined)
    return [FILES.find(([pattern]) => pattern.test(file))?.[1] ?? 'model files', excerpt(file, 40)];
  const script = /^program\.(.+)$/.exec(field)?.[1];
  if (script !== undefined) return ['script', excerpt(script, 40)];
  const setting = /^engine\.(?:requested|effective)\.(.+)$/.exec(field)?.[1];
  if (setting !== undefined) return [excerpt(setting, 40), values];
  const known = FIELDS.find(([pattern]) => pattern.test(field))?.[1];
  return [known ?? excerpt(field.replace(/^(?:libraries|environment)\./, ''), 40), values];
}

const FILES: readonly (readonly [RegExp, string])[] = [
  [/\.(?:safetensors|bin|pt|pth|gguf)$/, 'weights'],
  [/chat_template/, 'chat template'],
  [/tokenizer|vocab|merges|special_tokens|added_tokens/, 'tokenizer'],
  [/generation_config/, 'generation config'],
  [/config\.json$/, 'model config'],
];

const FIELDS: readonly (readonly [RegExp, string])[] = [
  [/^model\.revision$/, 'model revision'],
  [/^model\.label$/, 'model'],
  [/^image\b/, 'image'],
  [/^engine\.version$/, 'engine version'],
  [/^engine\.name$/, 'engine'],
  [/^engine\.caches$/, 'the suite’s choice of caches'],
  [/^driver$/, 'driver'],
  [/^gpus?\b/, 'GPU'],
  [/^cpu\b/, 'CPU'],
];

/** `(absent)` as a word, and of what is long its beginning. */
function brief(value: string): string {
  const shown = [...visible(value.slice(0, 4 * MAX_VALUE).replace(/^\((\w+)\)$/, '$1'))];
  return shown.length <= MAX_VALUE ? shown.join('') : `${shown.slice(0, MAX_VALUE - 1).join('')}…`;
}

const capital = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

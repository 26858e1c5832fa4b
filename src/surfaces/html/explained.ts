import { counted } from '../../counted.ts';
import type { Explained, ExplainingSet, Explanation, Family, Grouping, Rule } from '../../explain/types.ts';
import type { Apart, FleetView } from '../../report/explained.ts';
import {
  absentWords,
  againstWords,
  almostWords,
  apartWords,
  className,
  contradictionWords,
  firstOf,
  fitWords,
  groupsWords,
  inseparableWords,
  namesOf,
  noneWords,
  runWords,
  searchWords,
  setName,
  viewsWords,
} from '../../words/explained.ts';
import { capped, type Html, html } from './escape.ts';
import { framed } from './frame.ts';
import { pairsPart } from './pairs.ts';

/** What one page shows: the JSON has the rest. */
const MAX_FAMILIES = 40;
const MAX_GROUPS = 100;
const MAX_ROWS = 120;
const MAX_TEXT = 600;

/** Records as one page: who agrees with whom, what explains it, and what of it is to be believed. */
export function explainedPage(
  { families }: Explained,
  apart: readonly Apart[] = [],
  answer?: Pick<FleetView, 'line'> & Partial<Pick<FleetView, 'absent'>>,
): string {
  const shown = families.slice(0, MAX_FAMILIES);
  const cases = families.reduce((sum, family) => sum + family.cases.length, 0);
  const body = html`<header><h1><span class="title tally">Who agrees with whom, and why</span><span class="rest">${counted(cases, 'record')} of ${counted(families.length, 'suite')}</span></h1></header>
${answer === undefined ? undefined : html`<p class="answer">${capped(answer.line, MAX_TEXT)}</p>`}
${answer?.absent?.map((one) => html`<p class="note">${capped(absentWords(one), MAX_TEXT)}</p>`)}
${apart.map((one) => html`<p class="note">${capped(apartWords(one), MAX_TEXT)}</p>`)}
${shown.map(familyPart)}
${families.length > shown.length ? html`<p class="note">${families.length - shown.length} more suites are left out.</p>` : undefined}`;
  return framed('Who agrees with whom, and why', body, {
    skip: 'Skip to the records',
    madeOf: html`records`,
  });
}

/** The same of the legs of a matrix, on their page: only where they do not all agree. */
export function legsPart({ families }: Explained): Html | undefined {
  const shown = families.filter(({ groupings }) => (groupings[0]?.groups.length ?? 0) > 1);
  return shown.length === 0 ? undefined : html`${shown.slice(0, MAX_FAMILIES).map(familyPart)}`;
}

function familyPart(family: Family, index: number): Html {
  const [whole, ...others] = family.groupings;
  const id = `suite-${index + 1}`;
  return html`<article class="leg" aria-labelledby="${id}"><h2 id="${id}"><span class="title">${capped(family.suite, 120)}</span><span class="rest">${whole === undefined ? 'nothing that could be compared' : groupsWords(whole)}, ${counted(family.cases.length, 'record')}, ${counted(family.prompts.length, 'prompt')}</span></h2>
${whole?.explanation === undefined ? undefined : answerOf(family, whole.explanation)}
${family.notes.map(({ note, cases }) => html`<p class="note">Of ${counted(cases, 'record')} ${capped(note, MAX_TEXT)}.</p>`)}
${section('Who agrees', html`${pairsPart(family)}${whole === undefined ? undefined : groupTable(family, whole)}`)}
${whole?.explanation === undefined ? undefined : explanationPart(family, whole.explanation)}
${others.map((grouping) => partPart(family, grouping))}
</article>`;
}

const section = (title: string, part: Html | undefined): Html | undefined =>
  part === undefined ? undefined : html`<section><h3>${title}</h3>${part}</section>`;

function answerOf(family: Family, explanation: Explanation): Html {
  const [best] = explanation.sets;
  if (best === undefined) return html`<p class="answer">${noneWords(explanation)}</p>`;
  return html`<p class="answer">Explained by ${capped(setName(best), MAX_TEXT)}: ${fitWords(best, family)}.</p>`;
}

function groupTable(family: Family, { groups, unmeasured, views }: Grouping): Html {
  const rest = groups.length - MAX_GROUPS;
  return html`<table><caption>${capped(viewsWords({ views, groups, unmeasured, explanation: undefined }), MAX_TEXT)}: records in one group gave the same bits.</caption>
<thead><tr><th scope="col">Group</th><th scope="col" class="n">Records</th><th scope="col">Which</th></tr></thead>
<tbody>${groups
    .slice(0, MAX_GROUPS)
    .map(
      ({ name, cases }) =>
        html`<tr><th scope="row"><span class="group">${name}</span></th><td class="n">${cases.length}</td><td>${capped(namesOf(family, cases), MAX_TEXT)}</td></tr>`,
    )}${unmeasured.length === 0 ? undefined : html`<tr><th scope="row">unmeasured</th><td class="n">${unmeasured.length}</td><td>${capped(namesOf(family, unmeasured), MAX_TEXT)}: did not give all of it</td></tr>`}</tbody></table>
${rest > 0 ? html`<p class="note">${rest} more groups.</p>` : undefined}`;
}

function explanationPart(family: Family, explanation: Explanation): Html {
  const { sets, almost, contradictions, inseparable, next, untested } = explanation;
  const [best] = sets;
  return html`${best === undefined ? undefined : section('What explains it', treePart(family, best))}
${section(
  'All that fits',
  html`${sets.length === 0 ? undefined : setTable(family, sets)}
${almost.length === 0 ? undefined : html`<ul class="plain">${almost.map((set) => html`<li>${capped(setName(set), 200)} explains all but ${capped(almostWords(set, family), MAX_TEXT)}</li>`)}</ul>`}
<p>${searchWords(explanation)}${untested === 0 ? undefined : html` ${counted(untested, 'set')} more ${untested === 1 ? 'fits' : 'fit'} only because no two records share the values: nothing was ever held against that.`}</p>`,
)}
${contradictions.length === 0 ? undefined : section('Contradictions', html`<ul class="plain">${contradictions.map((one) => html`<li>${capped(contradictionWords(one, family), MAX_TEXT)}</li>`)}</ul>`)}
${next.length === 0 ? undefined : section('The next most telling runs', html`<ul class="plain">${next.map((run) => html`<li>${capped(runWords(run, family, explanation), MAX_TEXT)} (${run.gain.toFixed(2)} bits)</li>`)}</ul>`)}
${section('Field by field', fieldTable(family, explanation))}
${inseparable.length === 0 ? undefined : section('Always changed together', html`<ul class="plain">${inseparable.map((one) => html`<li>${capped(inseparableWords(one, family), MAX_TEXT)}</li>`)}</ul>`)}`;
}

/** Values of one field after the other, down to the groups. */
function treePart(family: Family, set: ExplainingSet): Html {
  return html`<ul class="tree" aria-label="Tree of the explanation">${branches(family, set, set.rules, 0)}</ul>`;
}

function branches(
  family: Family,
  set: ExplainingSet,
  rules: readonly Rule[],
  depth: number,
): readonly Html[] {
  const by = Map.groupBy(rules, ({ values }) => (values[depth] ?? []).join(' '));
  const fields = set.classes[depth]?.fields ?? [];
  const at = fields.indexOf(firstOf(fields));
  return [...by.values()].slice(0, MAX_GROUPS).map((own) => {
    const [first] = own;
    const value = first?.values[depth]?.[at] ?? '';
    const head = html`${capped(firstOf(fields), 100)} <b>${capped(value, 160)}</b>`;
    if (depth < set.classes.length - 1)
      return html`<li>${head}<ul>${branches(family, set, own, depth + 1)}</ul></li>`;
    return html`<li>${head} → ${own.map(({ group, cases }) => html`<span class="group">${group}</span> ${counted(cases.length, 'record')}: <span class="quiet">${capped(namesOf(family, cases), MAX_TEXT)}</span>`)}</li>`;
  });
}

function setTable(family: Family, sets: readonly ExplainingSet[]): Html {
  return html`<table><caption>Sets of fields of which equal values always came with equal bits, and none of which can be left out. A repeat is a record whose values another had before it: there the set could have been wrong.</caption>
<thead><tr><th scope="col">Fields</th><th scope="col" class="n">Combinations</th><th scope="col" class="n">Repeats</th><th scope="col" class="n">Says nothing of</th></tr></thead>
<tbody>${sets.map((set) => {
    const told = set.rules.reduce((sum, { cases }) => sum + cases.length, 0);
    return html`<tr><th scope="row">${capped(setName(set), 300)}</th><td class="n">${set.rules.length}</td><td class="n">${set.repeats}</td><td class="n">${family.cases.length - told}</td></tr>`;
  })}</tbody></table>`;
}

const STATES = {
  explains: 'explains it by itself',
  part: 'explains it with the others of the best set',
  not: 'does not explain it',
  unique: 'another value in every record: nothing is known of it',
  constant: 'never varied: nothing is known of it',
} as const;

function fieldTable(family: Family, { fields, sets }: Explanation): Html {
  const varied = fields.filter(({ state }) => state !== 'constant');
  const constant = fields.filter(({ state }) => state === 'constant');
  const rest = varied.length - MAX_ROWS;
  return html`<table class="facts"><caption>What varied, and what that says</caption>
<thead><tr><th scope="col">Field</th><th scope="col" class="n">Values</th><th scope="col">What is known</th><th scope="col">By which records</th></tr></thead>
<tbody>${varied
    .slice(0, MAX_ROWS)
    .map(
      (field) =>
        html`<tr><th scope="row">${capped(className(field), 160)}</th><td class="n">${field.values}</td><td>${STATES[field.state]}</td><td>${field.state === 'unique' ? undefined : capped(againstWords(field, family, sets[0]).slice(className(field).length), MAX_TEXT)}</td></tr>`,
    )}</tbody></table>
${rest > 0 ? html`<p class="note">${rest} more fields varied.</p>` : undefined}
${constant.length === 0 ? undefined : html`<details class="folded"><summary>${counted(constant.length, 'field')} never varied: nothing is known of them</summary><ul class="names">${constant.slice(0, 1000).map(({ fields: [name = ''] }) => html`<li>${capped(name, 100)}</li>`)}</ul></details>`}`;
}

/** A prompt or a channel that groups otherwise than the whole. */
function partPart(family: Family, grouping: Grouping): Html | undefined {
  const { explanation } = grouping;
  return section(
    viewsWords({ ...grouping, views: grouping.views.slice(0, 1) }),
    html`<p>${groupsWords(grouping)}.</p>${groupTable(family, grouping)}${explanation === undefined ? undefined : html`${answerOf(family, explanation)}${explanation.sets[0] === undefined ? undefined : treePart(family, explanation.sets[0])}`}`,
  );
}

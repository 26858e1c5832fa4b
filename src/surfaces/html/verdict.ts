import { counted } from '../../counted.ts';
import type { Report } from '../../report/schema.ts';
import { acceptWords } from '../../words/accept.ts';
import { answerOf } from '../../words/answer.ts';
import { finite, nats, times } from '../../words/figures.ts';
import { givesModulesAlone, traceUnit } from '../../words/findings.ts';
import { firstModule } from '../../words/groups.ts';
import { type Drifted, read, textsOf } from '../../words/reading.ts';
import { capped, dotted, type Html, html, join, prose } from './escape.ts';
import type { Level } from './level.ts';

export const GLYPH = { pass: '✓', warn: '!', fail: '✕' } as const;
const MAX_CAUSES = 3;
const MAX_NOTICES = 50;
const JOB = { pass: 'passes', warn: 'warns', fail: 'fails' } as const;

/** The first thing on a page and, of most runs, the only one that is read: what, how much, does it matter, what now. */
export function verdictPart(report: Report, { id, heading }: Level): Html {
  const { verdict, context, suite, createdAt, hardwareClass } = report;
  const { line, words: told } = read(report);
  const { title, meaning, next } = told;
  const answer = answerOf(report);
  // The same words as everywhere; only the title is set larger.
  const rest = line.startsWith(`${title}: `) ? line.slice(title.length + 2) : undefined;
  const words =
    rest === undefined
      ? html`${line}`
      : html`<span class="title">${title}<span class="vh">: </span></span> <span class="rest">${rest}</span>`;
  return html`<header class="verdict v-${verdict}">
<p class="eyebrow"><b>${suite.name}</b> <span>${context.run.repository}</span> <span>${hardwareClass}</span> <time datetime="${createdAt}">${createdAt.slice(0, 16).replace('T', ' ')} UTC</time></p>
<p class="badge"><span aria-hidden="true">${GLYPH[verdict]}</span> The ${context.mode} ${JOB[verdict]}</p>
${heading(1, words, id('verdict'))}
${answer === '' ? undefined : html`<p class="answer">${answer}</p>`}
<p class="meaning">${prose(meaning)}</p>
${causes(report, id)}
${figures(report)}
</header>
${nextPart(report, next, heading)}
${noticesPart(report)}`;
}

/** What may have caused it, where something differs: the first that a reader asks for. */
function causes({ changes, digests, conclusion }: Report, id: Level['id']): Html | undefined {
  if (digests.baselineRecord === null || conclusion === 'reproduced') return undefined;
  if (changes.length === 0)
    return html`<p class="causes">No recorded fact of the environment differs from the baseline’s.</p>`;
  const shown = changes.slice(0, MAX_CAUSES);
  const rest = changes.length - shown.length;
  return html`<p class="causes"><a href="#${id('environment')}">Changed since the baseline</a>: ${join(
    shown.map(
      ({ field, before, after }) =>
        html`<code>${capped(field, 60)}</code> ${capped(before, 28)} → ${capped(after, 28)}`,
    ),
    html`; `,
  )}${rest === 0 ? undefined : html`; and ${rest} more`}.</p>`;
}

interface Figure {
  readonly what: string;
  readonly value: Html | string;
  readonly told: Html | string;
}

function figures(report: Report): Html {
  const found = read(report).drifted;
  const shown = [
    ...(found.length === 0 ? compared(report) : drift(report, found)),
    ...sizeFigure(report),
    ...moduleFigure(report),
  ];
  return html`<dl class="figures">${shown.map(
    ({ what, value, told }) => html`<div><dt>${what}</dt><dd><b>${value}</b><span>${told}</span></dd></div>`,
  )}</dl>`;
}

function compared({ work }: Report): Figure[] {
  return [
    {
      what: 'Ran',
      // GPUs that do not count stop a run before its first start.
      value: work.lifetimes === 0 ? 'nothing' : counted(work.prompts + work.texts, 'prompt'),
      told: `${counted(work.lifetimes, 'engine start')}, ${work.seconds.toFixed(1)} s`,
    },
    {
      what: 'Decoded',
      value: counted(work.tokens, 'token'),
      told: work.positions === 0 ? 'nothing scored' : `${counted(work.positions, 'position')} scored`,
    },
  ];
}

function drift({ work, conclusion }: Report, found: readonly Drifted[]): Figure[] {
  const texts = textsOf(found);
  const seen = texts.filter((same) => !same).length;
  const total = work.prompts + work.texts;
  return [
    {
      what: conclusion === 'drift' ? 'Drifted' : 'Differ',
      value: html`${found.length} <small>of ${total}</small>`,
      told: work.texts === 0 ? 'prompts' : 'prompts and texts',
    },
    {
      what: 'Generated text',
      value:
        texts.length === 0
          ? '–'
          : seen === 0
            ? 'the same'
            : html`${seen} <small>of ${texts.length} differ</small>`,
      told: texts.length === 0 ? 'none was compared' : 'all that a hash of the text would see',
    },
    ...firstToken(found),
  ];
}

/** The earliest step at which another token was generated. */
function firstToken(found: readonly Drifted[]): Figure[] {
  const places = found.flatMap(({ prompt, broken }) =>
    broken.flatMap(({ group }) =>
      group.findings.flatMap(({ kind, divergence }) => {
        const at = divergence?.tokenStep ?? null;
        return at === null || kind !== 'generate' ? [] : [{ at, prompt }];
      }),
    ),
  );
  const [first] = places.sort((a, b) => a.at - b.at);
  return first === undefined
    ? []
    : [
        {
          what: 'First other token',
          value: `step ${first.at + 1}`,
          told: html`of ${capped(first.prompt, 40)}`,
        },
      ];
}

function sizeFigure({ relations }: Report): Figure[] {
  const size = relations.find(({ relation }) => relation === 'baseline')?.size ?? null;
  if (size === null) return [];
  const rms = finite(size.distance.rmsNats);
  const floor = size.floorNats === null ? undefined : finite(size.floorNats);
  if (rms === undefined || floor === undefined || floor === 0)
    return [
      {
        what: 'Size',
        value: html`${nats(size.distance.rmsNats).replace(/ nats$/, '')} <small>nats</small>`,
        told: 'typical change of a log-probability; no scale of rounding was measured',
      },
    ];
  return [
    {
      what: 'Size',
      value: html`${times(rms / floor)} <small>the floor</small>`,
      told: `${nats(rms)}; rounding alone makes ${nats(floor)}`,
    },
  ];
}

/** Of what broke: what is only measured may differ as it likes. */
function moduleFigure({ relations }: Report): Figure[] {
  const seen = relations
    .filter(({ status }) => status === 'broken')
    .flatMap(({ findings }) => findings)
    .filter(({ trace }) => trace !== null && trace.first !== null);
  // Each prompt of probes has calls of its own: the one that the suite names first ran first.
  const [earliest] = seen.every(givesModulesAlone) ? seen : seen.sort(firstModule);
  const trace = earliest?.trace ?? null;
  if (earliest === undefined || trace === null || trace.first === null) return [];
  return [
    {
      what: `First ${traceUnit(earliest)}`,
      value: html`<code>${dotted(trace.first, 120)}</code>`,
      told: `${trace.differing} of ${trace.modules} differ`,
    },
  ];
}

function nextPart(report: Report, next: string, heading: Level['heading']): Html {
  const words = acceptWords(report);
  return html`<section class="next">${heading(2, 'What to do')}
<p>${prose(next)}</p>
${
  words === undefined
    ? undefined
    : html`<p><b>If it is meant.</b> ${prose(words.intro)}</p>${
        words.accept.length === 0
          ? undefined
          : html`${block(words.command, 'Command')}<p>${prose(words.adds)}</p>${block(words.accept, 'Lines for the suite')}<p>${words.between}</p>`
      }${block([words.refresh], 'Command')}`
}</section>`;
}

/** Lines to be copied: one click takes all of them. */
export function block(lines: readonly string[], label: string): Html {
  return html`<pre class="copy" tabindex="0" role="group" aria-label="${label}, to be copied"><code>${lines.map(
    (line, index) => html`${index === 0 ? '' : NEWLINE}${line}`,
  )}</code></pre>`;
}

const NEWLINE = html`
`;

function noticesPart({ context: { notices } }: Report): Html | undefined {
  if (notices.length === 0) return undefined;
  const left = notices.length - MAX_NOTICES;
  return html`<div class="notices">${notices
    .slice(0, MAX_NOTICES)
    .map(
      ({ level, title, message }) =>
        html`<p class="notice n-${level}"><b><span aria-hidden="true">${level === 'warning' ? '!' : 'i'}</span> ${level === 'warning' ? html`<span class="vh">Warning: </span>` : undefined}${prose(title)}.</b> ${prose(message)}</p>`,
    )}${left > 0 ? html`<p class="note">${left} more are in the report’s JSON.</p>` : undefined}</div>`;
}

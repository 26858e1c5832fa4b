import { relationNamed } from '../../compare/relations/index.ts';
import { excerpt } from '../../inert.ts';
import type { Nats, ReportedDivergence, ReportedFinding } from '../../report/schema.ts';
import { finite, nats } from '../../words/figures.ts';
import { type Frame, tieWords } from '../../words/findings.ts';
import { capped, type Html, html, join } from './escape.ts';

/** Of a token's text, and of the candidates of a step. */
const MAX_TOKEN = 40;
const MAX_CANDIDATES = 10;

type Passage = NonNullable<ReportedDivergence['passage']>;
type Token = Passage['left'][number];
type Candidates = NonNullable<ReportedDivergence['parting']>['left']['top'];

/** The tokens around the first divergence, side by side, and what both sides thought of it. */
export function closeUp(finding: ReportedFinding, frame: Frame): Html | undefined {
  const { divergence, kind } = finding;
  if (divergence === null) return undefined;
  const { fork, parting, passage, tokenStep, logprobStep } = divergence;
  const unit = kind === 'score' ? 'position' : 'step';
  const at = tokenStep ?? logprobStep;
  if (at === null) return undefined;
  const bars =
    fork !== null && tokenStep !== null
      ? tops(
          { left: fork.left.top, right: fork.right.top },
          { left: fork.left.token, right: fork.right.token },
          `The likeliest tokens at ${unit} ${tokenStep + 1}, where the tokens part`,
          frame,
          [tieWords(fork.left, frame), tieWords(fork.right, frame)],
        )
      : parting !== null && logprobStep !== null
        ? tops(
            { left: parting.left.top, right: parting.right.top },
            { left: parting.token.id, right: parting.token.id },
            `The likeliest tokens at ${unit} ${logprobStep + 1}, where the bits part`,
            frame,
            [taken(parting.left.nats), taken(parting.right.nats)],
          )
        : undefined;
  const tokens = passage === null ? undefined : sideBySide(passage, at, tokenStep, frame, unit);
  return tokens === undefined && bars === undefined
    ? undefined
    : html`<div class="closeup">${tokens}${bars}</div>`;
}

const taken = (value: Nats) => `log-probability of the token that was taken, ${nats(value)}`;

function sideBySide(
  passage: Passage,
  at: number,
  tokenStep: number | null,
  frame: Frame,
  unit: string,
): Html {
  const [left, right] = relationNamed(frame.relation).sides;
  const column = (tokens: readonly Token[], others: readonly Token[], when: string) => html`<div>
<p class="side">${sentence(when)}, from ${unit} ${passage.from + 1}</p>
<ol class="tokens" aria-label="Tokens ${when}" start="${passage.from + 1}">${tokens.map((token, index) => {
    const step = passage.from + index;
    const differs = tokenStep !== null && step >= tokenStep && token.id !== others[index]?.id;
    const text = tokenText(token);
    if (step === at)
      return html`<li class="here"><mark class="${tokenStep === null ? 'm-bits' : 'm-tokens'}">${text}</mark></li>`;
    return differs ? html`<li class="other">${text}</li>` : html`<li>${text}</li>`;
  })}${hadEnded(tokens, passage.from, at) ? html`<li class="here"><mark class="m-tokens">the end</mark></li>` : undefined}</ol></div>`;
  return html`<div class="sides">${column(passage.left, passage.right, left)}${column(passage.right, passage.left, right)}</div>`;
}

/** Whether a side had ended where the other one went on. */
const hadEnded = (tokens: readonly Token[], from: number, at: number) => from + tokens.length === at;

const sentence = (text: string) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

/** A token as a reader tells it from another: its spaces are dots, and one whose text is not known is its id. */
export function tokenText({ id, text }: Token): Html {
  if (text === null) return html`<span class="id">#${id}</span>`;
  if (text === '') return html`<span class="id">#${id} (empty)</span>`;
  const spelled = excerpt(text, MAX_TOKEN).replaceAll(
    /(?! )\p{Zs}/gu,
    (space) => `\\u{${space.codePointAt(0)?.toString(16)}}`,
  );
  return join(
    spelled.split(' ').map((piece) => html`${piece}`),
    html`<span class="sp">·</span>`,
  );
}

interface Row {
  readonly token: Token;
  readonly left: Nats | undefined;
  readonly right: Nats | undefined;
}

/** Both sides' best candidates in one table, so that each token is compared with itself. */
function tops(
  top: { readonly left: Candidates; readonly right: Candidates },
  chosen: { readonly left: number | null; readonly right: number | null },
  title: string,
  frame: Frame,
  words: readonly [string, string],
): Html {
  const [left, right] = relationNamed(frame.relation).sides;
  const rows = new Map<number, Row>();
  for (const { id, text, nats } of top.left)
    rows.set(id, { token: { id, text }, left: nats, right: undefined });
  for (const { id, text, nats } of top.right)
    rows.set(id, { token: { id, text }, left: rows.get(id)?.left, right: nats });
  const all = [...rows.values()];
  const shownRows = all.slice(0, MAX_CANDIDATES);
  const more = all.length - shownRows.length;
  return html`<table class="tops"><caption>${title}. ${sentence(left)}: ${words[0]}. ${sentence(right)}: ${words[1]}.</caption>
<thead><tr><th scope="col">Token</th><th scope="col">${sentence(left)}</th><th scope="col">${sentence(right)}</th><th scope="col" class="n">Moved by</th></tr></thead>
<tbody>${shownRows.map(
    ({ token, left, right }) =>
      html`<tr><th scope="row">${tokenText(token)}</th>${bar(left, token.id === chosen.left)}${bar(right, token.id === chosen.right)}<td class="n">${moved(left, right)}</td></tr>`,
  )}</tbody></table>${more === 0 ? undefined : html`<p class="quiet">${more} less likely candidates are in the report’s JSON.</p>`}`;
}

function bar(value: Nats | undefined, isChosen: boolean): Html {
  if (value === undefined) return html`<td class="quiet">not among its best</td>`;
  const known = finite(value);
  const share = known === undefined ? 0 : Math.min(1, Math.exp(known));
  return html`<td><div class="cell"><span class="bar${isChosen ? ' chosen' : ''}"><i style="--p:${(share * 100).toFixed(2)}%"></i></span><span><span class="prob">${percent(share)}</span> <span class="quiet">${capped(nats(value), 40)}</span></span><span class="took">${isChosen ? '◂ taken' : undefined}</span></div></td>`;
}

const percent = (share: number) => `${(share * 100).toFixed(share < 0.1 ? 2 : 1)} %`;

function moved(left: Nats | undefined, right: Nats | undefined): string {
  const [a, b] = [left, right].map((value) => (value === undefined ? undefined : finite(value)));
  if (a === undefined || b === undefined) return '–';
  if (a === b) return '0';
  return `${b > a ? '+' : '−'}${nats(Math.abs(b - a))}`;
}

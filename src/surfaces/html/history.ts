import { counted } from '../../counted.ts';
import type { History, Since } from '../../report/history.ts';
import { shortSize, sizeWords } from '../../words/sizes.ts';
import { capped, dotted, type Html, html, join, link, prose } from './escape.ts';
import { framed } from './frame.ts';

type Link = History['baselines'][number];

/** What one page shows: `--json` has the rest. */
const MAX_CLASSES = 40;
const MAX_ROWS = 60;
const MAX_FACT = 300;
const MAX_NAME = 128;

/** The baselines of a suite as a line of time, newest first: who trusted what, why, and what it changed. */
export function historyPage(histories: readonly History[]): string {
  const suite = histories[0]?.suite ?? '';
  const all = histories.reduce((sum, { baselines }) => sum + baselines.length, 0);
  const shown = histories.slice(0, MAX_CLASSES);
  const left = histories.length - shown.length;
  const body = html`<header><h1><span class="title tally">${histories.length === 0 ? 'No baseline' : html`Baselines of ${capped(suite, MAX_NAME)}`}</span><span class="rest">${
    histories.length === 0
      ? 'Never refreshed, evicted, or stored where this run cannot see it.'
      : `${counted(all, 'baseline')} on ${histories.length === 1 ? '1 hardware class' : `${histories.length} hardware classes`}, newest first`
  }</span></h1></header>
${shown.map(classPart)}
${left === 0 ? undefined : html`<p class="note">${left} more hardware classes are left out: <code>--json</code> has them.</p>`}`;
  return framed(histories.length === 0 ? 'No baseline' : `Baselines of ${suite}`, body, {
    skip: 'Skip to the baselines',
    madeOf: html`<code>baseline.json</code> and the records beside it`,
  });
}

function classPart({ hardwareClass, baselines, since = [] }: History, index: number): Html {
  const id = `class-${index + 1}`;
  return html`<section aria-labelledby="${id}"><h2 id="${id}"><code>${capped(hardwareClass, MAX_NAME)}</code></h2>
<ol class="timeline">${baselines.map((one, at) => baselinePart(one, baselines[at + 1], since[at], at === 0))}</ol></section>`;
}

function baselinePart(
  one: Link,
  before: Link | undefined,
  since: Since | undefined,
  isNewest: boolean,
): Html {
  const { createdAt, actor, reason, runUrl, runId, runAttempt, event, commit, ref, pullRequest } =
    one.provenance;
  const run = `run ${runId}, attempt ${runAttempt}`;
  const whence: readonly (Html | string)[] = [
    html`by <b>${capped(actor, MAX_NAME)}</b>`,
    capped(event, 64),
    ...(pullRequest === null ? [] : [`accepted with pull request #${pullRequest}`]),
    link(runUrl, run),
    ...(commit === '' ? [] : [html`commit <code>${capped(commit, 64)}</code>`]),
    ...(ref === '' ? [] : [html`<code>${capped(ref, MAX_FACT)}</code>`]),
  ];
  return html`<li${isNewest ? html` class="now"` : undefined}><p class="when"><time datetime="${createdAt}">${createdAt.slice(0, 16).replace('T', ' ')} UTC</time>${isNewest ? html` <b>the baseline of today</b>` : undefined}</p>
<h3>“${capped(reason, 1000)}”</h3>
<p class="quiet">${join(whence, html`, `)}</p>
${before === undefined ? html`<p class="quiet">Nothing is known that it replaced.</p>` : html`${sincePart(since)}${changesPart(one, before, since)}`}
<dl class="ids"><div><dt>Accepted record</dt><dd><code>${one.record}</code></dd></div><div><dt>Key</dt><dd><code>${capped(one.key, 512)}</code></dd></div><div><dt>baseline.json</dt><dd><code>sha256:${one.baseline}</code></dd></div></dl></li>`;
}

/** How large the change was, in words. */
function sincePart(since: Since | undefined): Html {
  if (since === undefined) return html`<p>Its bits were not compared with those of the one before.</p>`;
  switch (since.kind) {
    case 'unknown':
      return html`<p>What its bits changed is not known: ${capped(since.why, MAX_FACT)}.</p>`;
    case 'compared': {
      const { outcome, prompts, differ, size } = since;
      switch (outcome) {
        case 'identical':
          return html`<p class="moved s-same"><span class="glyph" aria-hidden="true">=</span> The same bits as the one before, in ${counted(prompts, 'prompt')}.</p>`;
        case 'unmeasured':
          return html`<p class="moved s-unmeasured"><span class="glyph" aria-hidden="true">?</span> Not all of it could be compared with the one before.</p>`;
        case 'inputs-differ':
        case 'differs': {
          const short = shortSize(size);
          const asked =
            outcome === 'inputs-differ' ? ': the suite asks something else, or more, or less' : '';
          return html`<p class="moved s-bits"><span class="glyph" aria-hidden="true">≈</span> ${differ} of ${counted(prompts, 'prompt')} not the same as in the one before${asked}${short === '' ? undefined : `, ${short}`}.</p>
${sizeWords({ relation: 'baseline', requirement: 'identical', size }, []).map((words) => html`<p class="quiet">${prose(words)}</p>`)}`;
        }
      }
    }
  }
}

interface Fact {
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** What changed around it: all that both records tell, else the little that the chain keeps. */
function changesPart(one: Link, before: Link, since: Since | undefined): Html {
  const isWhole = since?.kind === 'compared';
  const facts: readonly Fact[] = isWhole ? since.changes : kept(one, before);
  if (facts.length === 0)
    return html`<p>${isWhole ? 'No recorded fact of the environment changed.' : 'Image, model files and tool are those of the one before; nothing else of its environment is known here.'}</p>`;
  const shown = facts.slice(0, MAX_ROWS);
  const left = facts.length - shown.length;
  return html`<table class="facts"><caption>Changed since the one before${isWhole ? '' : ', of what the chain keeps'}</caption>
<thead><tr><th scope="col">Fact</th><th scope="col">Before</th><th scope="col">Then</th></tr></thead>
<tbody>${shown.map(
    (fact) =>
      html`<tr><th scope="row"><code>${dotted(fact.field, MAX_FACT)}</code></th><td class="before">${capped(fact.before, MAX_FACT)}</td><td class="after">${capped(fact.after, MAX_FACT)}</td></tr>`,
  )}</tbody></table>${left === 0 ? undefined : html`<p class="note">${left} more facts changed.</p>`}`;
}

function kept({ provenance: now }: Link, { provenance: was }: Link): Fact[] {
  const facts = [
    { field: 'image', before: was.image, after: now.image },
    { field: 'model files', before: was.model, after: now.model },
    { field: 'tool', before: was.tool, after: now.tool },
  ];
  return facts.filter(({ before, after }) => before !== after);
}

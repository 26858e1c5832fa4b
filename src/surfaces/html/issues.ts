import type { Report } from '../../report/schema.ts';
import { NO_VERDICT } from '../../words/issues.ts';
import { read } from '../../words/reading.ts';
import { type Html, html, link, prose } from './escape.ts';
import type { Level } from './level.ts';

/** Upstream problems that this looks like, each with what fits, what was not looked at, and its thread. */
export function issuesPart(report: Report, { id, heading, labelled }: Level): Html | undefined {
  const { issues } = read(report);
  if (issues.length === 0) return undefined;
  return html`<section id="${id('issues')}"${labelled('issues')}>
${heading(2, 'Looks like', id('issues-h'))}
<p class="note">${prose(NO_VERDICT)}</p>
<ul class="relations">${issues.map(
    ({ thread, url, what, says, remedy, matched, open }) =>
      html`<li><p class="head">${link(url, thread)}: <b>${prose(what)}</b></p>
<p>Matched: ${prose(matched)}.</p><p class="quiet">Not looked at: ${prose(open)}.</p><p>The thread: ${prose(says)}</p><p>To try: ${prose(remedy)}</p></li>`,
  )}</ul>
</section>`;
}

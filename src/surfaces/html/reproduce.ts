import { counted } from '../../counted.ts';
import type { Report } from '../../report/schema.ts';
import { capped, type Html, html, link } from './escape.ts';
import type { Level } from './level.ts';
import { block } from './verdict.ts';

/** How to get the same again, and how to find out whether this page tells the truth. */
export function reproducePart(report: Report, { id, heading, labelled }: Level): Html {
  const { context } = report;
  const { run, places, reportPath } = context;
  const commit = run.commit === '' ? undefined : html` at commit <code>${run.commit}</code>`;
  const file = reportPath.split(/[\\/]/).at(-1) ?? reportPath;
  return html`<section id="${id('reproduce')}"${labelled('reproduce')}>
${heading(2, 'Reproduce and verify', id('reproduce-h'))}
<p>To run the same once more, in ${run.url === '' ? 'the same checkout' : html`a checkout of ${run.repository}`}${commit}${run.ref === '' ? undefined : html` (<code>${run.ref}</code>)`}, on hardware of the class <code>${report.hardwareClass}</code>:</p>
${block([`deterministic-ml ${context.mode} ${shellWord(places.file)}${context.mode === 'refresh' ? ' --dry-run --reason again' : ''}`], 'Command')}
<p>To derive this verdict anew from the records, without a GPU, where the run’s artifacts lie:</p>
${block([`deterministic-ml verify ${shellWord(file)}`], 'Command')}
${facts(report)}
</section>`;
}

function facts(report: Report): Html {
  const { environment, context, outcome, work, digests, sha256, suite } = report;
  const { fingerprint, settings } = environment;
  const { engine, image, model } = fingerprint.declared;
  const { run } = context;
  const forced = context.defaults.map((name) => `${name}=${JSON.stringify(settings.requested[name])}`);
  const rows: readonly (readonly [string, Html | string])[] = [
    [
      'Model',
      html`${model.label}${model.revision === 'none' ? undefined : html` <code>${model.revision}</code>`}`,
    ],
    ['Engine', `${engine.name} ${engine.version}`],
    ['Image', html`<code>${image.reference}</code> (${image.certainty})`],
    ['Runtime', context.runtime],
    [
      'Work',
      html`${counted(work.tokens, 'token')} decoded, ${counted(work.positions, 'position')} scored, ${counted(work.lifetimes, 'engine start')}, ${work.seconds.toFixed(1)} s`,
    ],
    ...(forced.length === 0
      ? []
      : [
          [
            'Deterministic defaults',
            html`<code>${capped(forced.join(', '), 1000)}</code>, beside the suite’s own arguments`,
          ] as const,
        ]),
    ...(settings.dropped.length === 0
      ? []
      : [['Left out', html`${settings.dropped.join(', ')}: not known to this engine version`] as const]),
    [
      'Run',
      run.url === ''
        ? `${run.repository}, ${run.workflow}, ${run.event}`
        : link(run.url, `${run.repository}, ${run.workflow} ${run.id}, attempt ${run.attempt}, ${run.event}`),
    ],
    ['Suite', html`${suite.name} <code>${suite.digest}</code>`],
    [
      'Outcome',
      html`<code>${outcome}</code>: equal digests, equal bits. What <code>accept</code> names as its record`,
    ],
    ['record.json', html`<code>${digests.record}</code>`],
    ...(digests.baselineRecord === null
      ? []
      : [['record.json of the baseline', html`<code>${digests.baselineRecord}</code>`] as const]),
    ['Report', html`<code>${sha256}</code>`],
  ];
  return html`<dl class="ids">${rows.map(([what, value]) => html`<div><dt>${what}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** A word of a command that a reader pastes into a shell: whatever the file is called, it is one word and no option. */
export function shellWord(word: string): string {
  if (/^[\w./@:+][\w./@:+-]*$/.test(word)) return word;
  return `'${(word.startsWith('-') ? `./${word}` : word).replaceAll("'", "'\\''")}'`;
}

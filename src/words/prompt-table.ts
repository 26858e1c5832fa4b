import { markdown } from '../inert.ts';
import type { ReportedFinding } from '../report/schema.ts';
import { type Frame, givesModulesAlone, textHashWords } from './findings.ts';
import { type Group, kindWords, textOf } from './groups.ts';
import { tellingStrip, textStrip } from './strip.ts';
import { agreementIn } from './words.ts';

const NOTHING = '–';

/**
 * What a relation found for each prompt, as a table of GitHub Markdown. A column that would say nothing of any prompt is
 * left out.
 *
 * @param strips whether each has its strip along the steps
 * @param kinds whether each kind of pass has its words
 */
export function promptTable(
  groups: readonly Group[],
  frame: Frame,
  { strips, kinds }: { readonly strips: boolean; readonly kinds: boolean },
): string {
  if (groups.length === 0) return '';
  const columns: readonly { readonly head: string; readonly cells: readonly string[] }[] = [
    { head: 'prompt', cells: groups.map(nameOf) },
    {
      head: 'agreement',
      cells: groups.map(({ worst }) => `${worst.holds ? '' : '❗ '}${agreementIn(worst)}`),
    },
    { head: 'hash of the text alone', cells: groups.map((group) => textHashWords(textOf(group))) },
    { head: 'tokens', cells: groups.map(tokensCell) },
    { head: 'decode bits', cells: groups.map(decodeCell) },
    { head: 'score bits', cells: groups.map(scoreCell) },
    { head: 'along the steps', cells: strips ? groups.map(stripCell) : [] },
    {
      head: 'where',
      cells: kinds ? groups.map((group) => markdown(kindWords(group, frame).join('. '), 1500)) : [],
    },
  ];
  const used = columns.filter(({ cells }) => cells.some((cell) => cell !== NOTHING && cell !== ''));
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [
    line(used.map(({ head }) => head)),
    line(used.map(() => '---')),
    ...groups.map((_, row) => line(used.map(({ cells }) => cells[row] ?? ''))),
  ].join('\n');
}

export const nameOf = ({ prompt }: Group) => `<code>${markdown(prompt)}</code>`;

/** One strip of a prompt, the most telling, and which kind of pass it is of. */
function stripCell({ findings }: Group): string {
  const telling = tellingStrip(findings);
  // Escaped, since two `~` strike through what stands between them, in `<code>` too.
  return telling === undefined
    ? NOTHING
    : `${telling.kind} <code>${markdown(textStrip(telling.divergence))}</code>`;
}

const of = ({ findings }: Group, kind: ReportedFinding['kind']) => findings.find((f) => f.kind === kind);

function tokensCell(group: Group): string {
  const generated = of(group, 'generate');
  if (generated !== undefined && givesModulesAlone(generated)) return NOTHING;
  switch (generated?.agreement) {
    case undefined:
    case 'added':
    case 'removed':
      return NOTHING;
    case 'identical':
    case 'logprobs-differ':
    case 'vector-differs':
    case 'modules-differ':
      return 'same';
    case 'values-differ':
      return NOTHING;
    case 'text-differs':
      return 'same, other text';
    case 'tokens-differ': {
      const step = generated.divergence?.tokenStep ?? null;
      return step === null ? 'differ' : `differ at step ${step + 1}`;
    }
    case 'another-model':
      return 'another model';
    case 'indistinct':
      return 'not told apart';
    case 'inputs-differ':
      return 'other prompt';
    case 'unmeasured':
      return 'unmeasured';
  }
}

function decodeCell(group: Group): string {
  const [generate, force] = [bitsCell(of(group, 'generate')), bitsCell(of(group, 'force'))];
  if (force === NOTHING || force === generate) return generate;
  return generate === NOTHING ? force : `${generate}; by force ${force}`;
}

const scoreCell = (group: Group) => bitsCell(of(group, 'score'));

function bitsCell(finding: ReportedFinding | undefined): string {
  if (finding !== undefined && givesModulesAlone(finding)) return NOTHING;
  switch (finding?.agreement) {
    case undefined:
    case 'added':
    case 'removed':
      return NOTHING;
    case 'identical':
    case 'text-differs':
      return 'same';
    case 'another-model':
      return 'another model';
    case 'indistinct':
      return 'not told apart';
    case 'modules-differ':
      return 'same, other modules';
    case 'values-differ':
      return 'other values';
    case 'vector-differs':
      return 'another vector';
    case 'logprobs-differ':
    case 'tokens-differ': {
      const { divergence } = finding;
      if (divergence === null) return 'differ';
      const { logprobSteps, tokenStep, steps } = divergence;
      if (tokenStep === null) return `${logprobSteps} of ${steps} differ`;
      // Beyond the first other token nothing can be compared.
      return logprobSteps === 0 ? `same to step ${tokenStep}` : `${logprobSteps} of ${tokenStep + 1} differ`;
    }
    case 'inputs-differ':
      return 'other prompt';
    case 'unmeasured':
      return 'unmeasured';
  }
}

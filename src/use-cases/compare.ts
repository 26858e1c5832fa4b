import { compareChannels } from '../compare/channels.ts';
import { compare } from '../compare/compare.ts';
import type { Finding } from '../compare/types.ts';
import { UserError } from '../errors.ts';
import { diffEnvironments } from '../fingerprint/diff.ts';
import { excerpt } from '../inert.ts';
import type { CompareSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Channel } from '../record/channels.ts';
import type { RunRecord } from '../record/schema.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { Answer } from '../report/answer.ts';
import { counted } from '../report/counted.ts';

const MAX_LINES = 40;
const MAX_VALUE = 200;

/**
 * Holds one record against another by the relation `baseline`. It passes where all that either of them has was compared,
 * and has the same bits: what only one has, or what says nothing, is no equality.
 *
 * @throws UserError `input-invalid` for other than two folders, `record-invalid`
 */
export async function compareRecords(
  { paths }: CompareSettings,
  { records }: Pick<Tools, 'records'>,
): Promise<Answer> {
  const [left, right, ...more] = paths;
  if (left === undefined || right === undefined || more.length > 0)
    throw new UserError(
      'input-invalid',
      `\`compare\` takes the folders of two records, and ${counted(paths.length, 'path')} ${paths.length === 1 ? 'was' : 'were'} named.`,
      'Name what was first, then what is to be held against it.',
    );
  const [before, now] = [await records.open(left), await records.open(right)];
  if (before.record.source === 'imported' && now.record.source === 'engine')
    throw new UserError(
      'input-invalid',
      'The second record is of an engine that was measured, and the first was told by another program.',
      'Name the one that was measured first.',
    );
  const [found] = await compare(now, before, [{ relation: 'baseline', requirement: 'identical' }]);
  if (found === undefined) throw new Error('a claim has a result');
  const { findings } = found;
  const other = findings.filter(({ agreement }) => agreement !== 'identical');
  const same = found.status === 'held' && other.length === 0;
  const told: string[] = [];
  for (const finding of other.slice(0, MAX_LINES)) told.push(...(await lineOf(finding, before, now)));
  const equal = counted(findings.length - other.length, 'result');
  return {
    verdict: same ? 'pass' : 'fail',
    lines: [
      ...told,
      ...(other.length > MAX_LINES ? [`… and ${other.length - MAX_LINES} more`] : []),
      ...(same ? [] : environment(before.record, now.record)),
      same
        ? `Both records hold the same bits: ${equal} compared, and neither has more.`
        : findings.length === 0
          ? `Nothing was compared: ${found.evidence}.`
          : `The records are NOT the same: ${equal} identical, ${other.length} not.`,
    ],
    value: {
      same,
      status: found.status,
      evidence: found.evidence,
      left: before.record.digest,
      right: now.record.digest,
      findings: findings.map(({ prompt, kind, agreement, reason }) => ({ prompt, kind, agreement, reason })),
    },
  };
}

async function lineOf(finding: Finding, before: OpenedRecord, now: OpenedRecord): Promise<string[]> {
  const { prompt, kind, agreement, reason } = finding;
  // Of programs, which give each result once; what engines' channels say has words of its own in a report.
  const [a, b] = [before, now].map(({ record: { source, observations } }) =>
    source === 'imported' ? observations.find((one) => one.prompt === prompt) : undefined,
  );
  const name = kind === 'generate' ? prompt : `${prompt} (${kind})`;
  if (agreement === 'added') return [`${name}: only the second record asks it so`];
  if (agreement === 'removed') return [`${name}: only the first record has it`];
  if (agreement === 'unmeasured')
    return [`${name}: not compared: ${excerpt(reason ?? 'nothing tells why', 500)}`];
  const why = reason === null ? '' : ` (${excerpt(reason, 500)})`;
  const line = `${name}: ${agreement.replaceAll('-', ' ')}${why}`;
  if (a === undefined || b === undefined) return [line];
  const differ = compareChannels(a, b).flatMap(({ rule, outcome }) =>
    outcome === 'differs' ? rule.name : [],
  );
  const [left, right] = [await before.readBody(a.body), await now.readBody(b.body)];
  const details = differ.flatMap((channel) => {
    const [was, is] = [left, right].map((channels) => channels.find((one) => one.name === channel));
    const told = was && is && detail(was, is);
    return told === undefined ? [] : [`${name}: ${channel}: ${told}`];
  });
  return details.length > 0 ? details : [line];
}

/** What of a channel is other; undefined for one that says more in steps. */
function detail(was: Channel, is: Channel): string | undefined {
  if (was.kind === 'text' && is.kind === 'text') {
    const at = firstDifference(was.text, is.text);
    const part = (text: string) => `“${excerpt(text.slice(Math.max(0, at - 20), at + 60), MAX_VALUE)}”`;
    return `differs at character ${at + 1}: was ${part(was.text)}, is ${part(is.text)}`;
  }
  if (was.kind !== 'digests' || is.kind !== 'digests' || was.name === 'modules') return undefined;
  if (was.digests.length !== is.digests.length)
    return `had ${was.digests.length} values, has ${is.digests.length}`;
  const pairs = was.digests.flatMap((one, at) => {
    const other = is.digests[at];
    return other === undefined || (one.sha256 === other.sha256 && one.name === other.name)
      ? []
      : [{ at, one, other }];
  });
  const [first] = pairs;
  if (first === undefined) return undefined;
  const { at, one, other } = first;
  const [a, b] = [excerpt(one.name, MAX_VALUE), excerpt(other.name, MAX_VALUE)];
  const where =
    was.digests.length > 1 ? `${pairs.length} of ${was.digests.length} differ, the first at ${at}: ` : '';
  return a === b
    ? `${where}other bits in ${a}: was ${one.sha256.slice(0, 16)}, is ${other.sha256.slice(0, 16)}`
    : `${where}was ${a}, is ${b}`;
}

function firstDifference(a: string, b: string): number {
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

/** What the records tell of where they came from, where it is not the same. */
function environment(before: RunRecord, now: RunRecord): string[] {
  const of = ({ fingerprint, lifetimes }: RunRecord) => ({
    fingerprint,
    settings: lifetimes[0]?.settings ?? { requested: {}, dropped: [], effective: {} },
  });
  const changes = diffEnvironments(of(before), of(now));
  if (changes.length === 0) return ['Nothing that both records tell of their environments differs.'];
  const lines = changes
    .slice(0, MAX_LINES)
    .map(
      ({ half, field, before, after }) =>
        `  changed (${half}): ${excerpt(field, MAX_VALUE)}: ${excerpt(before, MAX_VALUE)} → ${excerpt(after, MAX_VALUE)}`,
    );
  return [...lines, ...(changes.length > MAX_LINES ? [`  … and ${changes.length - MAX_LINES} more`] : [])];
}

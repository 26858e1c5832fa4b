import { measureOnce } from '../changes/measure.ts';
import { compareSides, questionsOf } from '../compare/sides.ts';
import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import type { Asks, SidesSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { Comparison } from '../report/comparison.ts';
import { recordPathOf } from '../report/paths.ts';
import { makePlan, type Plan } from '../run/plan.ts';
import { questionsOfPlan } from '../run/requests.ts';
import { changeWords } from '../suite/change.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { files } from '../tell/files.ts';
import { tell } from '../tell/tell.ts';
import { loadRuled } from '../trust/judge.ts';
import { answerOf, unlike } from './compare-lines.ts';

/** A side before anything is measured: what there is already, or what is to be. */
type AskedSide = { readonly name: string } & (
  | { readonly kind: 'record'; readonly record: OpenedRecord }
  | { readonly kind: 'suite'; readonly loaded: LoadedSuite; readonly plan: Plan }
);

/**
 * Holds two sides against each other. A suite is measured on the other side's tokens, as a check is on its baseline's; of
 * two, the second on the first one's. It passes where they show what is required of them: by default, that all that either of
 * them has was compared, and has the same bits.
 *
 * @throws UserError `input-invalid`, `record-invalid`, and what measuring throws
 */
export async function compare(settings: SidesSettings & Asks<'long'>, tools: Tools): Promise<Comparison> {
  const htmlPath = `${settings.recordPath}.compared.html`;
  const [first, second] = await sidesOf(settings, tools);
  refuseForeign(first, second);
  if (!asksAlike(first, second))
    return await leave(unlike(first, second, settings.required, htmlPath), tools);
  const known = second.kind === 'record' ? second.record : undefined;
  const a = await measured(first, known, 'first', settings, tools);
  const b = await measured(second, a, 'second', settings, tools);
  const compared = await compareSides(a, b, settings.required);
  const named = [
    { ...first, record: a },
    { ...second, record: b },
  ] as const;
  return await leave(await answerOf(compared, settings.required, ...named, htmlPath), tools);
}

/** With its page. */
async function leave(comparison: Comparison, { reports }: Pick<Tools, 'reports'>): Promise<Comparison> {
  await tell('compared', comparison, files(reports));
  return comparison;
}

async function sidesOf(
  settings: SidesSettings & Asks<'long'>,
  tools: Tools,
): Promise<readonly [AskedSide, AskedSide]> {
  const { paths, change } = settings;
  const [left, right = left, ...more] = paths;
  const isChanged = Object.keys(change).length > 0;
  const isOne = paths.length === 1;
  if (left === undefined || right === undefined || more.length > 0)
    throw invalid(
      `\`compare\` takes two sides, and ${counted(paths.length, 'path')} ${paths.length === 1 ? 'was' : 'were'} named.`,
      'Name a suite and a change to it, or two of suites and folders of records.',
    );
  if (isOne && (!isSuite(left) || !isChanged))
    throw invalid(
      isSuite(left)
        ? 'Of one suite, `compare` needs a change that makes the second side.'
        : '`compare` needs a second side, and one record was named.',
      'Name a second suite or the folder of a record; or of a suite a change: `--engine`, `--image`, `--model`, `--gpus`, `--arg` or `--env`.',
    );
  if (isChanged && !isSuite(right))
    throw invalid('A record cannot be changed.', 'Name a suite as the second side, or leave the change out.');
  return [await open(left, {}, settings, tools), await open(right, change, settings, tools)];
}

/** Whatever else a path names is the folder of a record. */
const isSuite = (path: string) => /\.ya?ml$/i.test(path);

async function open(
  path: string,
  change: SidesSettings['change'],
  settings: SidesSettings & Asks<'long'>,
  tools: Tools,
): Promise<AskedSide> {
  // Of a report, the record that lies beside it.
  if (!isSuite(path))
    return { kind: 'record', name: path, record: await tools.records.open(recordPathOf(path)) };
  const { loaded } = await loadRuled({ ...settings, suite: path }, tools);
  const { file } = loaded.places;
  if (Object.keys(change).length === 0)
    return { kind: 'suite', name: file, loaded, plan: makePlan(loaded, 'side') };
  const changed = await tools.open.changed(loaded, change);
  const name = `${file} with ${changeWords(change)}`;
  return { kind: 'suite', name, loaded: changed, plan: makePlan(changed, 'side') };
}

/** What another program told is compared with what is like it, or held against an engine: no engine against it. */
function refuseForeign(first: AskedSide, second: AskedSide): void {
  const isForeign = (side: AskedSide) => side.kind === 'record' && side.record.record.source === 'imported';
  if (!isForeign(first) || isForeign(second)) return;
  throw invalid(
    'The second side is of an engine that is measured here, and the first was told by another program.',
    'Name the one that is measured first.',
  );
}

/** Whether there is anything that both ask: without it no engine is started. */
function asksAlike(first: AskedSide, second: AskedSide): boolean {
  // Of two records the comparison itself tells it, with what each has.
  if (first.kind === 'record' && second.kind === 'record') return true;
  const asked = askedBy(first);
  return [...askedBy(second)].some(([id, input]) => asked.get(id) === input);
}

const askedBy = (side: AskedSide) =>
  side.kind === 'record' ? questionsOf(side.record.record) : questionsOfPlan(side.plan);

async function measured(
  side: AskedSide,
  known: OpenedRecord | undefined,
  folder: string,
  settings: SidesSettings,
  tools: Tools,
): Promise<OpenedRecord> {
  if (side.kind === 'record') return side.record;
  const recordPath = `${settings.recordPath}.sides/${folder}`;
  return await tools.console.section(`The ${folder} side: ${side.name}`, () =>
    measureOnce(side.loaded, side.plan, known, { ...settings, recordPath }, tools),
  );
}

const invalid = (message: string, hint: string) => new UserError('input-invalid', message, hint);

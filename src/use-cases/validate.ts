import { knownChanges } from '../changes/known/index.ts';
import { falseAlarm } from '../compare/decision.ts';
import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import type { ValidateSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { RunRecord } from '../record/schema.ts';
import type { Answer } from '../report/answer.ts';
import type { Estimate, ValidateAnswer } from '../report/answers.ts';
import { type Cost, costOf, costOfPlan, paidBy } from '../run/cost.ts';
import { makePlan } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import type { Position } from '../suite/parse.ts';
import { percentUp } from '../words/figures.ts';
import { earlierRecords, RECORDS_PATH } from './earlier.ts';

type Asked = Pick<Tools, 'open' | 'reports' | 'records'>;

/**
 * Whether a suite could be asked, without an engine: every problem at once, and what a check, a refresh and `power` would
 * take by what earlier records of it took. `policy: { budget-minutes }` fails what takes longer. A model's folder that is not
 * here, or not whole, is a warning: the suite may run elsewhere.
 *
 * @throws UserError what `open.suite` throws, `image-not-pinned`
 */
export async function validate(settings: ValidateSettings, tools: Asked): Promise<Answer> {
  const loaded = await tools.open.suite(settings.suite);
  const { suite, places, prompts, texts } = loaded;
  tools.open.store(suite.baseline);
  const { image } = suite.runtime;
  if (image !== undefined) demandPinned(image, loaded, tools);
  const model = await wrongModel(loaded, tools);

  const { found, untold } = await earlierRecords(settings, suite, tools);
  const gpus = suite.runtime.gpus === 'none' ? 0 : suite.runtime.gpus;
  const estimates = estimatesOf(loaded, found).map(([what, cost]): Estimate => {
    const minutes = cost.seconds === null ? null : (cost.seconds / 60) * Math.max(1, gpus);
    return { what, ...cost, unknown: [...cost.unknown], minutes };
  });
  const { baseline, lifetimes, confirm, endpoint } = makePlan(loaded, 'check');
  const chance = baseline ? falseAlarm(lifetimes + confirm, suite.baseline.lifetimes) : null;
  const budget = suite.policy['budget-minutes'] ?? null;
  const held = estimates.filter(({ what }) => what !== 'power');
  const over = held.filter(({ minutes }) => budget !== null && minutes !== null && minutes > budget);
  const isOpen =
    budget !== null && held.some(({ minutes, unknown }) => minutes === null || unknown.length > 0);
  const verdict = over.length > 0 ? 'fail' : isOpen || model !== null ? 'warn' : 'pass';
  const value: ValidateAnswer = {
    schema: 'deterministic-ml/validate/v1',
    ...{ suite: suite.name, file: places.file, prompts: prompts.length, texts: texts.length },
    ...{ gpus, estimates, records: found.length, budget },
    over: over.map(({ what }) => what),
    falseAlarm: chance,
    model,
  };
  const unit = gpus > 0 ? 'GPU minutes' : 'minutes';
  return {
    verdict,
    value,
    lines: [
      ...untold,
      basisOf(found, settings.recordsPath ?? RECORDS_PATH),
      ...estimates.map((estimate) => lineOf(estimate, unit)),
      ...(baseline && endpoint === undefined ? [chanceLine(chance, lifetimes + confirm, suite)] : []),
      ...(budget === null ? [] : [budgetLine(budget, unit, value.over, isOpen)]),
      ...(model === null
        ? []
        : [`${placeOf(places.file, places.model)}  ${model} A run needs it where it runs.`]),
      `${places.file} is a suite: ${counted(prompts.length, 'prompt')}${texts.length === 0 ? '' : ` and ${counted(texts.length, 'text')}`}. Whether the model and the engine take them is seen when they run.`,
    ],
  };
}

const placeOf = (file: string, { line, column }: Position) => `${file}:${line}:${column}`;

/** Of a folder, as this machine has it: the one that runs the suite may be another, or get the model in an earlier step. */
async function wrongModel(
  { modelFolder }: Pick<LoadedSuite, 'modelFolder'>,
  { open }: Pick<Tools, 'open'>,
): Promise<string | null> {
  if (modelFolder === undefined) return null;
  try {
    await open.modelFiles(modelFolder.path);
    return null;
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return error.message;
  }
}

/** With its place in the suite. */
function demandPinned(image: string, { places }: LoadedSuite, { open }: Pick<Tools, 'open'>): void {
  try {
    open.image(image);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { line, column } = places.runtime;
    throw new UserError(error.code, `${places.file}:${line}:${column}  ${error.message}`, error.hint, {
      cause: error,
      places: [{ file: places.file, line, column, message: error.message }],
    });
  }
}

function estimatesOf(
  loaded: LoadedSuite,
  found: readonly RunRecord[],
): (readonly [Estimate['what'], Cost])[] {
  const paid = paidBy(found);
  const check = makePlan(loaded, 'check');
  const { repeats } = makePlan({ ...loaded, suite: { ...loaded.suite, relations: ['baseline'] } }, 'check');
  return [
    ['check', costOfPlan(check, paid, (loaded.suite.variants ?? []).length)],
    ['refresh', { ...costOfPlan(makePlan(loaded, 'refresh'), paid), perhaps: 0 }],
    ['power', costOf([repeats, ...knownChanges.map(() => repeats)], 0, paid)],
  ];
}

function basisOf(found: readonly RunRecord[], recordsPath: string): string {
  const [newest] = found;
  if (newest === undefined)
    return `No earlier record of this suite lies beside its report below ${recordsPath}: how long anything takes is unknown. \`--records\` names a folder that holds some.`;
  return `By ${counted(found.length, 'earlier record')} of this suite on ${newest.hardwareClass}, the newest of ${newest.createdAt.slice(0, 10)}:`;
}

function lineOf({ what, starts, perhaps, minutes, unknown }: Estimate, unit: string): string {
  const upTo = what === 'power' ? 'up to ' : '';
  const more = perhaps === 0 ? '' : `, ${perhaps} more after a first difference`;
  const time =
    minutes === null
      ? 'how long is unknown'
      : `${unknown.length > 0 ? 'at least ' : 'about '}${minutes.toFixed(1)} ${unit}${unknown.length > 0 ? `, without ${unknown.join(', ')}, which no record has` : ''}`;
  return `  ${what}: ${upTo}${counted(starts, 'engine start')}${more}; ${time}`;
}

function chanceLine(chance: number | null, starts: number, { baseline }: LoadedSuite['suite']): string {
  return chance === null
    ? '  An engine that did not change may be called drifted: one start decides, and nothing bounds that (`policy: { confirm }`).'
    : `  An engine that did not change is called drifted with a chance of at most ${percentUp(chance)}: ${starts} starts must differ alike from the baseline’s ${baseline.lifetimes}, if starts are independent.`;
}

function budgetLine(budget: number, unit: string, over: readonly string[], isOpen: boolean): string {
  if (over.length > 0)
    return `Over the budget of ${budget} ${unit}: ${over.join(' and ')}. Ask for fewer prompts, tokens, relations or lifetimes, or raise \`policy: { budget-minutes }\`.`;
  return isOpen
    ? `Whether the budget of ${budget} ${unit} holds is unknown.`
    : `Within the budget of ${budget} ${unit}, as far as no difference asks for more starts.`;
}

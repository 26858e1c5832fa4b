import { measureOnce, REFUSALS, reasonOf } from '../changes/measure.ts';
import type { RelationResult } from '../compare/types.ts';
import { type AskedVariant, compareVariant, unmeasuredVariant } from '../compare/variants.ts';
import type { CheckSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord } from '../record/side.ts';
import { variantFolder } from '../report/make.ts';
import { makePlan } from '../run/plan.ts';
import { changeWords } from '../suite/change.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { refuseArguments, refusePickled } from '../trust/code.ts';
import { refuseVariantEndpoint, refuseVariantMount } from '../trust/judge.ts';
import type { Begun, Prepared } from './begin.ts';

export interface MeasuredVariant {
  readonly asked: AskedVariant;
  /** SHA-256 of its `record.json`; null where its engine refused the change, or died of it. */
  readonly record: string | null;
  readonly result: RelationResult;
}

/** Measures each variant of the suite once, on the tokens that the run itself was measured on, and holds it against the run. */
export async function measureVariants(
  prepared: Prepared,
  { run, lifetimes }: Pick<Begun, 'run' | 'lifetimes'>,
  side: OpenedRecord,
  settings: CheckSettings,
  tools: Tools,
): Promise<MeasuredVariant[]> {
  const { loaded, permission } = prepared;
  const { variants = [] } = loaded.suite;
  // Where a GPU is not to be trusted, neither is what another engine computes on it.
  if (variants.length === 0 || lifetimes.health?.state === 'unhealthy') return [];
  // Runs of their own: GPUs that this one still had, they would wait for in vain.
  await run[Symbol.asyncDispose]();
  const all: MeasuredVariant[] = [];
  for (const { name, require: required, ...change } of variants) {
    const asked: AskedVariant = { name, change: changeWords(change), required };
    const changed = await tools.open.changed(loaded, change);
    refuseArguments(permission, changed);
    refuseVariantMount(permission, changed);
    refuseVariantEndpoint(permission, loaded, changed, change);
    all.push(
      await tools.console.section(`Variant ${name}: ${asked.change}`, async () => {
        const own = await measured(prepared, changed, name, side, settings, tools);
        return typeof own === 'string'
          ? { asked, record: null, result: unmeasuredVariant(asked, own) }
          : { asked, record: own.sha256, result: await compareVariant(side, own, asked) };
      }),
    );
  }
  return all;
}

/** The record of a variant, or what its engine said against the change. */
async function measured(
  { permission }: Prepared,
  changed: LoadedSuite,
  name: string,
  side: OpenedRecord,
  settings: CheckSettings,
  tools: Tools,
): Promise<OpenedRecord | string> {
  const plan = makePlan(changed, 'side');
  const recordPath = variantFolder(settings.recordPath, name);
  try {
    return await measureOnce(changed, plan, side, { ...settings, recordPath }, tools, (run) =>
      refusePickled(permission, run, changed),
    );
  } catch (error) {
    return reasonOf(error, REFUSALS);
  }
}

import { measureOnce, once } from '../changes/measure.ts';
import { counted } from '../counted.ts';
import { UserError, userErrorIn } from '../errors.ts';
import { casesOf } from '../explain/case-of-record.ts';
import { explain } from '../explain/explain.ts';
import type { Explained } from '../explain/types.ts';
import { excerpt } from '../inert.ts';
import type { Asks, FleetSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { Across } from '../report/across.ts';
import type { Absent, Explanations, FleetView } from '../report/explained.ts';
import { makePlan, type Plan } from '../run/plan.ts';
import type { Fleet, FleetMember } from '../suite/fleet.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { floorsIn } from '../suite/variant.ts';
import { files } from '../tell/files.ts';
import { tell } from '../tell/tell.ts';
import { permit } from '../trust/events.ts';
import { loadRuled } from '../trust/judge.ts';
import { groupsApart } from './apart.ts';
import { FleetConsole } from './fleet-console.ts';

/** Of what somebody died of: the first lines have it, and its log the rest. */
const MAX_REASON = 500;

/**
 * Measures a suite wherever a list of launchers takes it, several at once, and says who computed the same and what explains it.
 * Each leaves a record of its own. One that dies is told by name, and the rest goes on.
 *
 * @throws UserError `fleet-invalid`, `fleet-unmeasured` where nobody measured anything, and what a suite is refused with
 */
export async function fleet(settings: FleetSettings & Asks<'long'>, tools: Tools): Promise<Explanations> {
  permit(settings.mode, settings.situation, 'any');
  const asked = await tools.open.fleet(settings.fleet);
  const { loaded } = await loadRuled({ ...settings, suite: asked.suite, runtime: 'launcher' }, tools);
  refuseServed(asked, loaded);
  const far = floorsIn(asked.required) === undefined ? undefined : asked.required;
  const plan = planOf(loaded, far !== undefined);
  const measured = new Map<string, OpenedRecord>();
  const absent: Absent[] = [];
  const title = `${counted(asked.members.length, 'launcher')}, ${asked.atOnce} at once`;
  await tools.console.section(title, () =>
    eachAtOnce(
      asked,
      settings,
      tools,
      async (member, own) => {
        const record = await measureOnce(loaded, plan, undefined, ...own);
        measured.set(member.name, record);
      },
      absent,
    ),
  );
  tools.signal.throwIfAborted();
  if (measured.size === 0)
    throw new UserError(
      'fleet-unmeasured',
      `None of ${counted(asked.members.length, 'launcher')} measured anything:\n${absent
        .map(({ name, code, reason }) => `  ${name}: ${code}: ${reason}`)
        .join('\n')}`,
      'Mend one by itself first: `deterministic-ml check --launcher "…"`.',
    );
  const cases = [...measured].flatMap(([name, { record }]) => casesOf(record, name));
  const explained = explain(cases);
  const bitsOf = (_: string, name: string) => {
    const side = measured.get(name);
    return side && { side };
  };
  // Nothing is scored unless a distance is asked for, and what each decoded has tokens of its own.
  const distances = far === undefined ? { apart: [] } : await groupsApart(explained, bitsOf, far);
  const result = {
    explained,
    ...distances,
    fleet: viewOf(
      asked,
      asked.members.flatMap(({ name }) => (measured.has(name) ? [name] : [])),
      absent,
      explained,
      distances.across,
    ),
    htmlPath: `${settings.recordPath}/explanation.html`,
  };
  await tell('explained', result, files(tools.reports));
  return result;
}

/**
 * One start, and each prompt by itself: what others would be asked of their own tokens could not be compared. Nothing of earlier
 * runs is there.
 *
 * @param isSized prompts and texts are scored before anything is generated, so that all have the same tokens, and what rounding
 * makes of them
 */
function planOf(loaded: LoadedSuite, isSized: boolean): Plan {
  const plan = { ...makePlan(loaded, 'side'), caches: 'fresh', roles: false } as const;
  const scored = isSized ? plan.passes.filter(({ kind }) => kind === 'score') : [];
  const asks = plan.passes.filter(
    ({ kind, arrangement }) => arrangement === 'alone' && (kind === 'generate' || plan.vectors),
  );
  return once(plan, [...scored, ...asks]);
}

/** All members, so many at a time; who dies of an error of the user's is told, and a bug of ours ends all. */
async function eachAtOnce(
  { members, atOnce }: Fleet,
  settings: FleetSettings,
  tools: Tools,
  measure: (member: FleetMember, own: [FleetSettings, Tools]) => Promise<void>,
  absent: Absent[],
): Promise<void> {
  const stop = new AbortController();
  const signal = AbortSignal.any([tools.signal, stop.signal]);
  const consoles = new FleetConsole(tools.console);
  const waiting = [...members];
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (signal.aborted) return;
      await one(next);
    }
  };
  const ended = await Promise.allSettled(Array.from({ length: Math.min(atOnce, members.length) }, worker));
  for (const one of ended) if (one.status === 'rejected') throw one.reason;

  async function one(member: FleetMember): Promise<void> {
    const { name, launch, isOptional, timeoutSeconds = settings.timeoutSeconds } = member;
    const console = consoles.of(name);
    const own = { console, signal, timeoutSeconds };
    const began = performance.now();
    try {
      await measure(member, [
        { ...settings, timeoutSeconds, recordPath: `${settings.recordPath}/${name}` },
        { ...tools, ...own, open: { ...tools.open, runtime: tools.open.through(launch, own) } },
      ]);
      console.info(`measured in ${((performance.now() - began) / 1000).toFixed(1)} s`);
    } catch (error) {
      const known = userErrorIn(error);
      if (known === undefined || known.code === 'cancelled') {
        stop.abort(error);
        throw error;
      }
      const reason = excerpt(known.message, MAX_REASON);
      absent.push({ name, code: known.code, reason, isOptional });
      console.info(`gave nothing: ${known.code}: ${reason}`);
    } finally {
      consoles.end(name);
    }
  }
}

/** Told before anybody is asked. @throws UserError `fleet-invalid` */
function refuseServed({ file, members }: Fleet, { suite: { model } }: LoadedSuite): void {
  const [first] = members;
  if (model.served === undefined || first === undefined) return;
  const message = `${first.name}: the suite asks a server, and nothing is started for it`;
  const told = { file, ...first.place, message };
  throw new UserError(
    'fleet-invalid',
    `${file} does not fit its suite:\n  ${file}:${told.line}:${told.column}  ${message}`,
    'Ask the server by `check`, or name another engine.',
    { places: [told] },
  );
}

function viewOf(
  { members, required }: Fleet,
  measured: readonly string[],
  absent: readonly Absent[],
  { families }: Explained,
  across: Across | undefined,
): FleetView {
  const missing = absent.filter(({ isOptional }) => !isOptional);
  const whole = families.flatMap(({ groupings }) => groupings.slice(0, 1));
  const groups = whole.reduce((sum, grouping) => sum + grouping.groups.length, 0);
  const unmeasured = whole.reduce((sum, grouping) => sum + grouping.unmeasured.length, 0);
  const agree = groups === 1 && unmeasured === 0;
  const said =
    measured.length < 2
      ? `${measured[0]} alone was measured, and compared with nobody`
      : agree
        ? `${counted(measured.length, 'launcher')} computed the same bits`
        : `${counted(measured.length, 'launcher')} fall into ${counted(groups, 'group')} of equal bits${unmeasured === 0 ? '' : `, and ${unmeasured} did not give all of it`}`;
  const lacking = missing.length === 0 ? '' : `; ${missing.map(({ name }) => name).join(', ')} gave nothing`;
  const isBroken =
    across?.verdict === 'fail' || (required === 'identical' && !(agree && measured.length > 1));
  return {
    verdict: missing.length > 0 || isBroken ? 'fail' : absent.length > 0 ? 'warn' : 'pass',
    line: excerpt(
      `Of ${counted(members.length, 'launcher')}: ${said}${lacking}.${required === 'identical' ? ' The fleet requires identical bits.' : ''}${across === undefined ? '' : ` ${across.line}`}`,
      MAX_REASON,
    ),
    measured,
    absent,
  };
}

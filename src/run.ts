import { resolve } from 'node:path';
import type { Side } from './compare/types.ts';
import { recallDigests, rememberDigests } from './disk/digest-memory.ts';
import { readHarness } from './disk/harness-files.ts';
import { LogFile } from './disk/log-file.ts';
import { openRecord, RecordWriter } from './disk/record-folder.ts';
import type { LoadedSuite } from './disk/suite-file.ts';
import { completeFingerprint, runLifetime } from './engine/measure.ts';
import type { Task } from './engine/protocol.ts';
import type { ModelSource, Runtime } from './engine/runtime.ts';
import { Session } from './engine/session.ts';
import { hardwareClass } from './fingerprint/hardware-class.ts';
import type { Fingerprint } from './fingerprint/schema.ts';
import { FROZEN_CLOCK, type Plan, TOP_K } from './plan.ts';
import { type Lifetime, type Observation, RECORD_SCHEMA, type RunRecord } from './record/schema.ts';
import type { Console } from './report/console.ts';
import type { Evidence } from './report/make.ts';
import { ProgressLine } from './report/progress.ts';
import type { Settings } from './settings.ts';
import { VERSION } from './version.ts';
import { openRuntime } from './wiring.ts';

/** What every use-case needs from outside. */
export interface Tools {
  readonly console: Console;
  /** Aborts the run: everything that it started is stopped and given back. */
  readonly signal: AbortSignal;
}

/** An engine that is started and fingerprinted but has loaded no model: the fingerprint chooses the baseline. */
export interface Run extends AsyncDisposable {
  readonly fingerprint: Fingerprint;
  readonly hardwareClass: string;
  /** What a report tells of the run beside its record. */
  readonly facts: Pick<Evidence, 'suite' | 'places' | 'defaults' | 'runtime' | 'logPath' | 'recordPath'>;
  /** Runs the plan's lifetimes, one engine at a time, and leaves a record that is whole or absent. */
  measure(): Promise<Side>;
}

/** Starts the suite's engine, and stops where the baseline has to be known. */
export async function startRun(
  loaded: LoadedSuite,
  plan: Plan,
  settings: Settings,
  tools: Tools,
): Promise<Run> {
  const { console } = tools;
  await using owned = new AsyncDisposableStack();
  const log = owned.use(await LogFile.create(`${settings.recordPath}.log`));
  const runtime = owned.use(await openRuntime(loaded, settings, tools));
  console.info(runtime.description);
  const model = await console.section('Model', () => runtime.provideModel(modelSource(loaded)));
  const task: Task = {
    kind: 'engine',
    engine: plan.engine.name,
    model,
    knownDigests: await recallDigests(settings.statePath),
  };
  const open = await opener(plan, runtime, task, log, settings, tools);
  const { session, fingerprint } = await console.section('Fingerprint', async () => {
    const opened = owned.use(await open());
    const seen = await opened.expect('fingerprint');
    await rememberDigests(settings.statePath, seen.digests);
    return {
      session: opened,
      fingerprint: completeFingerprint(seen.fingerprint, runtime, modelLabel(loaded)),
    };
  });
  const kept = owned.move();
  return {
    fingerprint,
    hardwareClass: hardwareClass(fingerprint.ambient),
    facts: {
      suite: loaded.suite,
      places: loaded.places,
      defaults: plan.defaults,
      runtime: runtime.description,
      logPath: log.path,
      recordPath: settings.recordPath,
    },
    measure: () => measure(plan, fingerprint, session, open, settings, console),
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** A way to start one more engine. */
async function opener(
  plan: Plan,
  runtime: Runtime,
  task: Task,
  log: LogFile,
  settings: Settings,
  { console, signal }: Tools,
): Promise<() => Promise<Session>> {
  const harness = await readHarness(settings.harnessPath);
  const line = new ProgressLine(Date.now);
  return () =>
    Session.open(
      {
        harness,
        start: (boot) => runtime.start(boot),
        inactivitySeconds: settings.inactivitySeconds,
        deadlineSeconds: settings.timeoutSeconds,
        signal,
        onOutput: (text) => log.add(text),
        onProgress: (event) => console.progress(event.what, line.next(event)),
      },
      task,
      plan.environment,
    );
}

async function measure(
  plan: Plan,
  fingerprint: Fingerprint,
  first: Session,
  open: () => Promise<Session>,
  settings: Settings,
  console: Console,
): Promise<Side> {
  await using writer = await RecordWriter.create(settings.recordPath);
  const lifetimes: Lifetime[] = [];
  const observations: Observation[] = [];
  for (const [index, { lifetime, passes }] of plan.lifetimes.entries()) {
    await console.section(`Engine, ${lifetime}`, async () => {
      // One engine at a time: the next starts when this one has given its memory back.
      await using session = index === 0 ? first : await open();
      if (index > 0) await session.expect('fingerprint');
      const { args, defaults, prompts, sampling } = plan;
      const request = {
        lifetime,
        args,
        defaults,
        passes,
        prompts,
        sampling,
        topK: TOP_K,
        clock: FROZEN_CLOCK,
      };
      const done = await runLifetime(session, request, writer);
      lifetimes.push(done.lifetime);
      observations.push(...done.observations);
    });
  }
  const record: RunRecord = {
    schema: RECORD_SCHEMA,
    tool: VERSION,
    createdAt: new Date().toISOString(),
    suite: {
      ...plan.suite,
      sampling: plan.sampling,
      prompts: plan.prompts.map(({ input, digest }) => ({ id: input.id, input: digest })),
    },
    fingerprint,
    hardwareClass: hardwareClass(fingerprint.ambient),
    lifetimes,
    observations,
  };
  await writer.commit(record);
  return await openRecord(settings.recordPath);
}

function modelSource({ suite, folder }: LoadedSuite): ModelSource {
  const { id, revision, path } = suite.model;
  if (path !== undefined) return { kind: 'path', path: resolve(folder, path) };
  // The schema demands one of the two forms; the compiler cannot see that.
  return { kind: 'hub', id: id ?? '', revision: revision ?? '' };
}

function modelLabel({ suite }: LoadedSuite): { label: string; revision: string } {
  const { id, revision, path } = suite.model;
  return { label: id ?? path ?? 'unknown', revision: revision ?? 'none' };
}

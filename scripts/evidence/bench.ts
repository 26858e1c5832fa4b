import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Subject } from '../../src/changes/make.ts';
import { inFolder, measureOnce, once } from '../../src/changes/measure.ts';
import { terminalConsole } from '../../src/front/console.ts';
import { readSituation } from '../../src/front/event.ts';
import { parseInputs } from '../../src/front/inputs.ts';
import { wire } from '../../src/front/wiring.ts';
import { makePlan } from '../../src/run/plan.ts';
import { cache, repository } from '../setup/cache.ts';

interface BenchOptions {
  /** Of its folder, which is made anew. */
  readonly name: string;
  readonly suite: string;
  readonly inputs: Readonly<Record<string, string>>;
  readonly environment?: Readonly<Record<string, string>>;
}

/** A suite that was measured once, unchanged, by this checkout's source: what changes are made to. */
export async function aBench({ name, suite, inputs: own, environment = {} }: BenchOptions) {
  const folder = join(cache, 'evidence', name);
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'determinism.yml'), suite);
  const inputs: Readonly<Record<string, string>> = {
    ...own,
    'record-path': 'record',
    'timeout-minutes': '20',
  };
  const { settings: given, connections } = parseInputs(
    (input) => inputs[input] ?? '',
    'terminal',
    { ...process.env, ...environment, GITHUB_WORKSPACE: folder, GITHUB_RUN_ID: String(Date.now()) },
    join(repository, 'docker/harness'),
  );
  const situation = await readSituation({}, 'terminal');
  const settings = { ...given, situation };
  const tools = wire(connections, situation, {
    console: terminalConsole({ write: () => {}, now: Date.now, tty: false }),
    signal: new AbortController().signal,
  });
  const loaded = await tools.open.suite(settings.suite);
  const all = makePlan(loaded, 'check');
  const plan = once(all, all.repeats);
  const baseline = await measureOnce(loaded, plan, undefined, inFolder(settings, 'baseline'), tools);
  const { fingerprint, lifetimes } = baseline.record;
  const effective = lifetimes[0]?.settings.effective ?? {};
  const subject: Subject = { loaded, plan, fingerprint, effective };
  return { subject, baseline, settings, tools };
}

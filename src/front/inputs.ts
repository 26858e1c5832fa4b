import { resolve } from 'node:path';
import type { JobIdentity } from '../engine/runtime.ts';
import { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import type { Door } from '../job/situation.ts';
import { type Launch, readLauncher } from '../suite/launcher.ts';
import { floorsIn } from '../suite/variant.ts';
import { DOCUMENTS, FORMATS } from '../surfaces/surface.ts';
import { FLAGS } from './flags.ts';
import { type Given, inputModes, type Mode } from './modes.ts';
import type { Connections } from './wiring.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** The action's inputs, once, as one read-only value. */
export interface Inputs {
  readonly mode: Mode;
  readonly door: Door;
  /** What every use-case takes its own of; without what only the event's payload tells. */
  readonly settings: Omit<Given, 'situation'>;
  readonly connections: Connections;
}

/** What a command line says beside the inputs that it has in common with the action. */
export interface Command {
  readonly mode: Mode;
  readonly named: Given['named'];
}

/**
 * @param input value of a named input, trimmed; empty when not given
 * @param command where it is a command line that asks: its word is the mode, and not an input
 * @throws UserError `input-invalid` with every problem at once
 */
export function parseInputs(
  input: (name: string) => string,
  door: Door,
  environment: Environment,
  harnessPath: string,
  command?: Command,
): Inputs {
  const problems: string[] = [];
  const named = <T>(name: string, values: readonly (readonly [string, T])[]): T | undefined => {
    const value = input(name) || values[0]?.[0];
    const found = values.find(([candidate]) => candidate === value);
    if (found === undefined)
      problems.push(
        `\`${name}\` is \`${value}\`, but must be ${values.map(([v]) => `\`${v}\``).join(' or ')}`,
      );
    return found?.[1];
  };
  const oneOf = <T extends string>(name: string, values: readonly [T, ...T[]]): T =>
    named(
      name,
      values.map((value) => [value, value]),
    ) ?? values[0];
  const yes = (name: string) => oneOf(name, ['false', 'true']) === 'true';
  const minutes = (name: string, fallback: number): number => {
    const value = input(name) === '' ? fallback : Number(input(name));
    if (Number.isFinite(value) && value > 0 && value <= 7 * 24 * 60) return value * 60;
    problems.push(`\`${name}\` is \`${input(name)}\`, but must be a number of minutes above 0`);
    return fallback * 60;
  };
  const mode =
    command?.mode ??
    named(
      'mode',
      inputModes.map((one) => [one.name, one]),
    );
  const asked = oneOf('runtime', FLAGS.runtime.choices);
  const isolation = oneOf('isolation', FLAGS.isolation.choices);
  const python = input('python') || 'python3';
  const launch = launchOf();
  // Whoever names one means it.
  const runtime = launch === undefined ? asked : 'launcher';
  const timeoutSeconds = minutes('timeout-minutes', 60);
  const inactivitySeconds = minutes('inactivity-minutes', 20);
  const gpuDevices = input('gpu-devices')
    .split(',')
    .map((device) => device.trim())
    .filter((device) => device !== '');
  for (const device of gpuDevices)
    if (!/^(\d{1,3}|(GPU|MIG)-[0-9a-fA-F-]{8,64})$/.test(device))
      problems.push(`\`gpu-devices\` has \`${device}\`, which is neither an index nor a UUID such as GPU-…`);
  const cpuSets = input('cpu-sets')
    .split(/\s+/)
    .filter((set) => set !== '');
  problems.push(...wrongCpuSets(cpuSets));
  const reason = input('reason');
  const yardstick = yes('yardstick');
  const dryRun = yes('dry-run');
  const storeUnchanged = yes('store-unchanged');
  const promote = input('promote');
  const comment = oneOf('comment', ['drift', 'always', 'never']);
  const checkRun = yes('check-run');
  const expected = Number(input('expected-reports') || '1');
  if (!Number.isInteger(expected) || expected < 1 || expected > 256)
    problems.push(
      `\`expected-reports\` is \`${input('expected-reports')}\`, but must be a whole number from 1 to 256`,
    );
  const acrossClasses = input('across-classes') || undefined;
  if (acrossClasses !== undefined && floorsIn(acrossClasses) === undefined)
    problems.push(
      `\`across-classes\` is \`${excerpt(acrossClasses, 100)}\`, but must be a distance such as \`within 2x floor\``,
    );
  const budget = Number(input('budget') || DEFAULT_BUDGET);
  if (!Number.isInteger(budget) || budget < 1 || budget > 64)
    problems.push(`\`budget\` is \`${input('budget')}\`, but must be a whole number from 1 to 64`);
  const lacks = mode?.lacks?.({ input, door, event: environment['GITHUB_EVENT_NAME'] ?? '' });
  if (lacks !== undefined) problems.push(lacks);
  if (reason.length > 1000) problems.push('`reason` is longer than 1000 characters');
  if (mode === undefined || problems.length > 0)
    throw new UserError(
      'input-invalid',
      problems.length === 1
        ? `${problems[0]}.`
        : `${problems.length} inputs are wrong:\n${problems.map((p) => `  ${p}`).join('\n')}`,
      command === undefined
        ? 'Correct them under `with:` in the workflow; the README lists every input.'
        : 'Correct them on the command line: `deterministic-ml --help` lists commands and options.',
    );

  /** Undefined where none is asked for, or it is wrong. */
  function launchOf(): Launch | undefined {
    const given = input('launcher');
    const model = input('launcher-model') || undefined;
    if (given === '') {
      if (asked === 'launcher') problems.push('`launcher` is empty, but `runtime: launcher` needs one');
      if (model !== undefined) problems.push('`launcher-model` is given, and no `launcher`');
      return undefined;
    }
    if (asked !== 'auto' && asked !== 'launcher')
      problems.push(`\`launcher\` is given, and \`runtime\` is \`${asked}\`: it is one or the other`);
    if (isolation === 'required')
      problems.push('`isolation: required` is about this machine, and `launcher` takes the engine elsewhere');
    const read = readLauncher(given);
    if ('ok' in read) return { argv: read.ok, python, model };
    problems.push(`\`launcher\` is no command: ${excerpt(read.problem, 300)}`);
    return undefined;
  }

  const workspace = environment['GITHUB_WORKSPACE'] ?? process.cwd();
  const temporary = environment['RUNNER_TEMP'] ?? resolve(workspace, '.deterministic-ml');
  const job = jobIdentity(environment);
  const { run, attempt } = job;
  const recordPath =
    input('record-path') ||
    `deterministic-ml/record-${run}-${attempt}-${environment['GITHUB_ACTION'] ?? 'run'}`;
  return {
    mode,
    door,
    settings: {
      job,
      workflow: environment['GITHUB_WORKFLOW'] ?? '',
      runUrl: runUrl(environment),
      server: environment['GITHUB_SERVER_URL'] ?? 'https://github.com',
      suite: input('suite') || 'determinism.yml',
      runtime,
      timeoutSeconds,
      inactivitySeconds,
      recordPath:
        input('record-path') === '' ? resolve(temporary, recordPath) : resolve(workspace, recordPath),
      reason,
      yardstick,
      dryRun,
      storeUnchanged,
      promote: promote === '' ? undefined : resolve(workspace, promote),
      // Who re-ran it, not who ran it first.
      actor: environment['GITHUB_TRIGGERING_ACTOR'] ?? environment['GITHUB_ACTOR'] ?? '',
      comment,
      checkRun,
      documents: Object.fromEntries(
        // A page of what has none by itself is a flag, and no input.
        (door === 'terminal' ? DOCUMENTS : FORMATS).flatMap((name) =>
          input(name) === '' ? [] : [[name, resolve(workspace, input(name))]],
        ),
      ),
      reports: resolve(workspace, input('reports') || 'reports'),
      expected,
      acrossClasses,
      budget,
      named: command?.named ?? { reportPath: '', paths: [] },
    },
    connections: {
      environment,
      githubToken: input('github-token') || undefined,
      hubToken: input('hub-token') || undefined,
      endpointKey: input('endpoint-key') || undefined,
      runtime,
      python,
      launch,
      isolation,
      gpuDevices,
      cpuSets,
      timeoutSeconds,
      inactivitySeconds,
      job,
      workspace,
      temporary,
      statePath: stateFolder(environment, workspace),
      harnessPath,
    },
  };
}

/** Engine starts that find one of five changes, or two of them that do it together only. */
const DEFAULT_BUDGET = 8;

const CPU_SET = /^\d{1,4}(?:-\d{1,4})?(?:,\d{1,4}(?:-\d{1,4})?)*$/;

/** Two engines on one CPU would wait for each other, and nothing would be won. */
function wrongCpuSets(sets: readonly string[]): string[] {
  const wrong = sets.filter((set) => !CPU_SET.test(set));
  if (wrong.length > 0)
    return wrong.map((set) => `\`cpu-sets\` has \`${set}\`, which is no set of CPUs such as 0-7 or 0,2,4`);
  const seen = new Set<number>();
  for (const range of sets.flatMap((set) => set.split(','))) {
    const [first = 0, last = first] = range.split('-').map(Number);
    if (last < first) return [`\`cpu-sets\` has \`${range}\`, which ends before it begins`];
    for (let cpu = first; cpu <= last; cpu++) {
      if (seen.has(cpu))
        return [`\`cpu-sets\` names CPU ${cpu} twice, and each engine needs CPUs of its own`];
      seen.add(cpu);
    }
  }
  return [];
}

/** Empty on a terminal, where no page shows the run. */
function runUrl(environment: Environment): string {
  const server = environment['GITHUB_SERVER_URL'];
  const { repository, run, attempt } = jobIdentity(environment);
  return server === undefined ? '' : `${server}/${repository}/actions/runs/${run}/attempts/${attempt}`;
}

/** Names this run on containers and in baseline keys; `post` finds its containers by the same. */
export function jobIdentity(environment: Environment): JobIdentity {
  return {
    repository: environment['GITHUB_REPOSITORY'] ?? '',
    run: environment['GITHUB_RUN_ID'] ?? '0',
    attempt: environment['GITHUB_RUN_ATTEMPT'] ?? '1',
    runner: environment['RUNNER_NAME'] ?? 'local',
  };
}

/** Survives a run where the machine does: the runner's tool cache, else the user's cache folder. */
export function stateFolder(environment: Environment, workspace: string): string {
  const cache =
    environment['XDG_CACHE_HOME'] ??
    (environment['HOME'] === undefined ? workspace : resolve(environment['HOME'], '.cache'));
  return resolve(environment['RUNNER_TOOL_CACHE'] ?? cache, 'deterministic-ml');
}

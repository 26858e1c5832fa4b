#!/usr/bin/env node
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { cancelled, UserError, userErrorIn } from './errors.ts';
import { type Inputs, parseInputs } from './inputs.ts';
import { logLine } from './report/inert.ts';

const USAGE = `deterministic-ml <command> [suite] [options]

Commands
  check         compare what the suite's engine computes with the baseline
  refresh       make a new baseline; needs --reason
  fingerprint   show what the numbers may depend on here, and the hardware class

Options
  --reason TEXT              why the baseline is refreshed
  --runtime auto|docker|process
  --python PATH              Python of the process runtime
  --gpu-devices LIST         indices or UUIDs, separated by commas
  --timeout-minutes N        until the engine is stopped (60)
  --inactivity-minutes N     without a sign of life until it counts as hung (20)
  --record-path FOLDER       where the record goes (.deterministic-ml/…)
  --json                     the report as JSON on stdout; everything else goes to stderr
  --help

Exit codes
  0  the suite's policy lets the conclusion pass   2    error: code, place and remedy on stderr
  1  the conclusion fails the policy               130  cancelled
`;

/** Exit codes, as documented above. */
const EXIT = { pass: 0, warn: 0, fail: 1, error: 2, cancelled: 130 } as const;

const OPTIONS = {
  reason: { type: 'string' },
  runtime: { type: 'string' },
  python: { type: 'string' },
  'gpu-devices': { type: 'string' },
  'timeout-minutes': { type: 'string' },
  'inactivity-minutes': { type: 'string' },
  'record-path': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean' },
} as const;

const COMMANDS = ['check', 'refresh', 'fingerprint'] as const;
type CommandName = (typeof COMMANDS)[number];

interface Invocation {
  readonly command: CommandName;
  readonly inputs: Inputs;
  readonly json: boolean;
}

/** Undefined when only help was asked for. */
function parseCommandLine(): Invocation | undefined {
  const usage = (message: string, cause?: unknown) =>
    new UserError('input-invalid', message, '`deterministic-ml --help` lists commands and options.', {
      cause,
    });
  let parsed: ReturnType<typeof parseFlags>;
  try {
    parsed = parseFlags();
  } catch (cause) {
    throw usage(cause instanceof Error ? cause.message : String(cause), cause);
  }
  const { values, positionals } = parsed;
  if (values.help === true) return undefined;
  const [name = '', suite, ...rest] = positionals;
  const command = COMMANDS.find((candidate) => candidate === name);
  if (command === undefined)
    throw usage(name === '' ? 'A command is missing.' : `\`${name}\` is not a command.`);
  if (rest.length > 0) throw usage(`\`${rest[0]}\` is one argument too many.`);
  const flags: Readonly<Record<string, string | boolean | undefined>> = {
    'record-path': `.deterministic-ml/records/${new Date().toISOString().replaceAll(':', '-')}`,
    ...values,
    suite,
    mode: command === 'refresh' ? 'refresh' : 'check',
  };
  const input = (flag: string) => String(flags[flag] ?? '').trim();
  const harness = fileURLToPath(new URL('../docker/harness', import.meta.url));
  return { command, inputs: parseInputs(input, localEnvironment(), harness), json: values.json === true };
}

const parseFlags = () => parseArgs({ options: OPTIONS, allowPositionals: true, strict: true });

/** On a terminal the user is the actor, and a run is named by when it started. */
function localEnvironment(): NodeJS.ProcessEnv {
  const started = String(Date.now());
  return {
    GITHUB_ACTOR: process.env['USER'] ?? 'unknown',
    GITHUB_EVENT_NAME: 'cli',
    GITHUB_RUN_ID: started,
    GITHUB_REPOSITORY: 'local',
    GITHUB_WORKFLOW: 'deterministic-ml',
    HUB_TOKEN: process.env['HF_TOKEN'],
    GITHUB_WORKSPACE: resolve('.'),
    ...process.env,
  };
}

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort(cancelled()));
try {
  const invocation = parseCommandLine();
  if (invocation === undefined) process.stdout.write(USAGE);
  else {
    const { runCommand } = await import('./command.ts');
    process.exitCode = EXIT[await runCommand(invocation, abort.signal)];
  }
} catch (error) {
  const known = userErrorIn(error);
  if (known === undefined) throw error;
  for (const line of `${known.code}: ${known.message}\n${known.hint}`.split('\n'))
    process.stderr.write(`${logLine(line)}\n`);
  process.exitCode = known.code === 'cancelled' ? EXIT.cancelled : EXIT.error;
}
// A library's forgotten timer or socket must not keep a finished command alive.
process.exit();

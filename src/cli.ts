#!/usr/bin/env node
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, styleText } from 'node:util';
import { cancelled, UserError } from './errors.ts';
import { readChange } from './front/change.ts';
import type { Invocation } from './front/command.ts';
import { FLAG_NAMES, OPTIONS } from './front/flags.ts';
import { parseInputs } from './front/inputs.ts';
import { ARGUMENTS, commandLines, modes, optionLines, unreadFlags } from './front/modes.ts';
import { errorLines, toldError } from './words/errors.ts';

const USAGE = `deterministic-ml <command> [options]

Commands
${commandLines()
  .map((line) => `  ${line}`)
  .join('\n')}

Options
${optionLines()
  .map((line) => `  ${line}`)
  .join('\n')}

Colours follow NO_COLOR, FORCE_COLOR and TERM. Needs Node 24 or newer.

Exit codes
  0  the suite's policy lets the conclusion pass   2    error: code, place and remedy on stderr
  1  the conclusion fails the policy               130  cancelled
`;

/** Exit codes, as documented above. */
const EXIT = { pass: 0, warn: 0, fail: 1, error: 2, cancelled: 130 } as const;

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
  const [name = '', file, ...rest] = positionals;
  const mode = modes.find((candidate) => candidate.name === name);
  if (mode === undefined)
    throw usage(name === '' ? 'A command is missing.' : `\`${name}\` is not a command.`);
  const { what, ...argument } = ARGUMENTS[mode.takes];
  if (rest.length > 0 && !('several' in argument)) throw usage(`\`${rest[0]}\` is one argument too many.`);
  if (file !== undefined && mode.takes === 'nothing') throw usage(`\`${name}\` takes no argument.`);
  if (file === undefined && what !== undefined) throw usage(`\`${name}\` needs ${what}.`);
  const given = FLAG_NAMES.filter((flag) => values[flag] !== undefined);
  const unread = unreadFlags(mode, given);
  if (unread !== undefined) throw usage(unread);
  const { 'record-path': recordPath, 'baseline-path': baselinePath } = values;
  const { arg, env, require, ...single } = values;
  const flags: Readonly<Record<string, string | boolean | undefined>> = {
    'record-path': `.deterministic-ml/records/${new Date().toISOString().replaceAll(':', '-')}`,
    ...single,
    'github-token': process.env['GITHUB_TOKEN'],
    'hub-token': process.env['HF_TOKEN'],
    'endpoint-key': process.env['OPENAI_API_KEY'],
    [mode.takes]: file,
  };
  const input = (flag: string) => String(flags[flag] ?? '').trim();
  const harness = fileURLToPath(new URL('../docker/harness', import.meta.url));
  const paths = positionals.slice(1).map((path) => resolve(path));
  const named = {
    reportPath: file ?? '',
    days: file,
    code: file,
    shell: file,
    fleetPath: file,
    recordsPath: values.records,
    suitePath: values.suite,
    init: {
      ...{ from: values.from, model: values.model, engine: values.engine, image: values.image },
      ...{ gpus: values.gpus, force: values.force === true },
      action: values.action ?? 'org/deterministic-ml-action@v1',
    },
    recordPath,
    baselinePath,
    paths,
    ...(name === 'compare' ? readChange({ ...single, arg, env, require }) : {}),
  };
  const inputs = parseInputs(input, door(), localEnvironment(), harness, { mode, named });
  return { inputs, json: values.json === true };
}

const parseFlags = () => parseArgs({ options: OPTIONS, allowPositionals: true, strict: true });

/** A command in a step of a workflow may do no more than the action: what started the job started it. */
const door = () => ((process.env['GITHUB_EVENT_NAME'] ?? '') === '' ? 'terminal' : 'action');

/** On a terminal the user is the actor, and a run is named by when it started. */
function localEnvironment(): NodeJS.ProcessEnv {
  const started = String(Date.now());
  return {
    GITHUB_ACTOR: process.env['USER'] ?? 'unknown',
    GITHUB_RUN_ID: started,
    GITHUB_REPOSITORY: 'local',
    GITHUB_WORKFLOW: 'deterministic-ml',
    GITHUB_WORKSPACE: resolve('.'),
    ...process.env,
  };
}

/** Characters of the cause: a stack, or what an engine printed last. */
const MAX_CAUSE = 60_000;

/** Also a bug of ours: Node would print its stack raw, and exit as if the policy had failed. */
function tell(error: unknown): void {
  const told = toldError(error);
  const { code } = told;
  const [first = '', ...rest] = errorLines(told, MAX_CAUSE);
  const red = styleText(['bold', 'red'], code, { stream: process.stderr });
  for (const line of [`${red}${first.slice(code.length)}`, ...rest]) process.stderr.write(`${line}\n`);
  process.exitCode = code === 'cancelled' ? EXIT.cancelled : EXIT.error;
}

/** The runner brings this one; a terminal may not. An older one lacks what `await using` stands on. */
const NEEDS_NODE = 24;
if (Number.parseInt(process.versions.node, 10) < NEEDS_NODE) {
  process.stderr.write(
    `deterministic-ml needs Node ${NEEDS_NODE} or newer, and this is ${process.versions.node}.\nInstall it, or start this with \`npx --yes node@${NEEDS_NODE}\` in place of \`node\`.\n`,
  );
  process.exit(EXIT.error);
}

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort(cancelled()));
try {
  const invocation = parseCommandLine();
  if (invocation === undefined) process.stdout.write(USAGE);
  else {
    const { runCommand } = await import('./front/command.ts');
    const dumb = process.env['TERM'] === 'dumb';
    process.exitCode = EXIT[await runCommand(invocation, abort.signal, { dumb })];
  }
} catch (error) {
  tell(error);
}
// Whoever reads slowly gets all of it: a pipe may still hold what was written, and the end would cut that off.
for (const stream of [process.stdout, process.stderr])
  await new Promise<void>((done) => stream.write('', () => done()));
// A library's forgotten timer or socket must not keep a finished command alive.
process.exit();

#!/usr/bin/env node
import { fileURLToPath } from 'node:url';
import { styleText } from 'node:util';
import { cancelled } from './errors.ts';
import { readCommandLine } from './front/command-line.ts';
import { commandLines, optionLines } from './front/modes.ts';
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

// A reader that has gone, as of `| head -1`, changes no verdict and is no error.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const abort = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => abort.abort(cancelled()));
try {
  const harness = fileURLToPath(new URL('../docker/harness', import.meta.url));
  const invocation = readCommandLine(process.argv.slice(2), process.env, harness);
  if (invocation === 'help') process.stdout.write(USAGE);
  else if (invocation === 'version') process.stdout.write(`${(await import('./version.ts')).VERSION}\n`);
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

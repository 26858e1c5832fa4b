import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { pathToFileURL } from 'node:url';
import { reportDigest } from '../../../src/report/make.ts';
import { type Report, ReportSchema } from '../../../src/report/schema.ts';
import { filledWith } from '../../browser/support/hostile.ts';
import { payloadOf, REPOSITORY, SHAS } from '../../support/events.ts';
import {
  type GitHubServer,
  type GitHubServerOptions,
  startGitHubServer,
} from '../../support/github-server.ts';
import { temporaryFolder } from '../../support/runtimes.ts';
import { assertInert } from '../../unit/support/briefs.ts';
import type { Action } from './action.ts';
import { stepAtOnce } from './at-once.ts';
import type { RunnerCommand } from './commands.ts';
import { aRunner, type Outcome, runStep, type StepOptions } from './spawn.ts';
import type { Stepped } from './trust.ts';

const TOKEN = 'ghs_that-nobody-may-see';

/** What a fork's repository is in the events' payloads. */
export const FORK = { number: 7, headSha: SHAS.head, from: { id: 98765432, owner: 'mallory' } } as const;

/** A pull request on GitHub, and jobs that show reports of others there. */
export interface Desk extends AsyncDisposable {
  readonly github: GitHubServer;
  /** Mode `report` in the test's own process, on the pull request unless told otherwise. */
  show(reports: readonly Report[], asked?: Showing): Promise<Stepped>;
  /** The same by the built action. */
  showBuilt(reports: readonly Report[], asked?: Showing): Promise<Stepped>;
}

export interface Showing extends Omit<StepOptions, 'github'> {
  /** Number of the workflow's run: 1 unless told otherwise. */
  readonly run?: number;
  /** What stands between the job and GitHub. */
  readonly through?: string;
  /** Whether the reports keep the run that they name: else they are of the run that they must be of. */
  readonly keepsRun?: boolean;
  /** Changes what a download left, before the job looks at it. */
  readonly spoil?: (folder: string) => Promise<unknown>;
}

export async function desk(action: Action, options: Partial<GitHubServerOptions> = {}): Promise<Desk> {
  const owned = new AsyncDisposableStack();
  const github = owned.use(await startGitHubServer({ repository: REPOSITORY, token: TOKEN, ...options }));
  const showing =
    (step: typeof runStep): Desk['show'] =>
    async (reports, asked = {}) => {
      const {
        run = 1,
        through = github.url,
        spoil,
        event = 'pull_request',
        keepsRun = false,
        ...rest
      } = asked;
      const runner = owned.use(await aRunner());
      for (const [index, report] of reports.entries())
        await runner.write(
          `reports/leg-${index}/record.report.json`,
          JSON.stringify(keepsRun ? report : ofRun(report, measured(event, rest.payload, run))),
        );
      const folder = join(runner.workspace, 'reports');
      await mkdir(folder, { recursive: true });
      await spoil?.(folder);
      const outcome = await step(action, runner, {
        ...rest,
        event,
        github: { url: through, token: TOKEN },
        env: { GITHUB_RUN_ID: String(run), ...rest.env },
        with: { mode: 'report', 'expected-reports': String(Math.max(1, reports.length)), ...rest.with },
      });
      const shown = [outcome.log, outcome.summary, JSON.stringify([outcome.outputs, outcome.state])].join(
        '\n',
      );
      assert.ok(!shown.includes(TOKEN), 'a token is told to nobody');
      return { ...outcome, runner };
    };
  return {
    github,
    show: showing(stepAtOnce),
    showBuilt: showing(runStep),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** Which run's reports a job shows. */
function measured(event: string, payload: unknown, run: number) {
  if (event !== 'workflow_run') return { id: String(run), attempt: '1' };
  const { id, run_attempt: attempt = 1 } = Object(Object(payload ?? payloadOf(event))['workflow_run']);
  return { id: String(id), attempt: String(attempt) };
}

/** Signed anew where it was signed. */
function ofRun(report: Report, run: { readonly id: string; readonly attempt: string }): Report {
  const made = { ...report, context: { ...report.context, run: { ...report.context.run, ...run } } };
  return report.sha256 === reportDigest(report) ? { ...made, sha256: reportDigest(made) } : made;
}

/** The action as a runner starts it that sets these variables otherwise; undefined takes one away. */
export async function withEnvironment(
  action: Action,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Action> {
  const folder = await temporaryFolder();
  const main = pathToFileURL(join(action.path, 'dist/main.js')).href;
  await mkdir(join(folder.path, 'dist'));
  await writeFile(
    join(folder.path, 'dist/main.js'),
    [
      ...Object.entries(env).map(([name, value]) =>
        value === undefined
          ? `delete process.env[${JSON.stringify(name)}];`
          : `process.env[${JSON.stringify(name)}] = ${JSON.stringify(value)};`,
      ),
      `await import(${JSON.stringify(main)});`,
    ].join('\n'),
  );
  await writeFile(join(folder.path, 'package.json'), '{"type":"module"}');
  return { ...action, path: folder.path, [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose]() };
}

export interface Gate extends AsyncDisposable {
  readonly url: string;
  /** How many it has held. */
  readonly held: () => number;
}

/** In front of GitHub: holds what matches until so many of them have come, so that all have read before one writes. */
export async function gate(url: string, what: RegExp, count: number): Promise<Gate> {
  let held = 0;
  const all = Promise.withResolvers<void>();
  const server = createServer((request, response) => {
    forward(request, response).catch(() => response.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');

  async function forward(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url: path = '/', headers } = request;
    const body = await buffer(request);
    if (what.test(`${method} ${path}`)) {
      held += 1;
      if (held === count) all.resolve();
      await all.promise;
    }
    const answer = await fetch(new URL(path, url), {
      method,
      headers: ['accept', 'authorization', 'content-type', 'user-agent'].flatMap(
        (name): [string, string][] => {
          const value = headers[name];
          return typeof value === 'string' ? [[name, value]] : [];
        },
      ),
      ...(body.length === 0 ? {} : { body }),
    });
    response
      .writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? 'text/plain' })
      .end(Buffer.from(await answer.arrayBuffer()));
  }

  return {
    url: `http://127.0.0.1:${address.port}`,
    held: () => held,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

/** A report of other content, with the digest that it has then: what anybody can make. */
export function signed(report: Report, more: Partial<Report> = {}): Report {
  const made = { ...report, ...more };
  return ReportSchema.parse({ ...made, sha256: reportDigest(made) });
}

/** A report all of whose free texts are the given one, as far as its schema takes that. */
export function hostileReport(report: Report, text: string): Report {
  const filled = filledWith(report, text);
  const { context, environment, asked } = report;
  const { baseline } = context;
  const cut = (max: number) => text.slice(0, max);
  const fact = (max = 512) => cut(max) || 'x';
  const { declared, ambient } = environment.fingerprint;
  return signed({
    ...filled,
    suite: report.suite,
    asked,
    environment: {
      settings: {
        requested: { seed: cut(4000), [fact(64)]: cut(4000) },
        dropped: [cut(120)],
        effective: { dtype: cut(4000), [fact(64)]: cut(4000) },
      },
      fingerprint: {
        declared: {
          ...declared,
          image: { ...declared.image, reference: fact() },
          engine: { name: fact(), version: fact() },
          libraries: { [cut(64)]: fact() },
          model: { ...declared.model, label: fact(), revision: fact() },
          environment: { [cut(128)]: cut(4096) },
        },
        ambient: { ...ambient, driver: fact(), os: fact(), kernel: fact() },
      },
    },
    context: {
      ...filled.context,
      run: { ...filled.context.run, url: 'https://evil.example/runs/999999' },
      baseline:
        baseline.kind === 'found'
          ? {
              ...{ kind: 'found', key: text, store: text, replaced: 3, proof: text },
              provenance: {
                ...baseline.provenance,
                ...{
                  repository: cut(256),
                  commit: cut(64),
                  ref: cut(512),
                  workflow: cut(256),
                  runId: cut(32),
                },
                ...{ runUrl: cut(512), actor: cut(128), event: cut(64), reason: fact(1000), tool: cut(64) },
              },
            }
          : filled.context.baseline,
    },
  });
}

/** What a step says to whoever looks at its run, without what is another one in each. */
export interface Told {
  readonly exitCode: number | null;
  readonly outputs: Readonly<Record<string, string>>;
  /** Without those about the surfaces themselves. */
  readonly annotations: readonly RunnerCommand[];
  readonly summary: string;
}

const SHOWN: ReadonlySet<string> = new Set(['error', 'warning', 'notice']);
/** A notice about a surface stands at no line, and a step's failure has no title. */
const isAboutSurface = ({ properties }: RunnerCommand) => 'title' in properties && !('file' in properties);

export function toldBy({ exitCode, outputs, commands, summary, runner }: Stepped): Told {
  const machine = dirname(runner.home);
  return {
    exitCode,
    outputs: Object.fromEntries(
      Object.entries(outputs).map(([name, value]) => [name, value.replaceAll(machine, '')]),
    ),
    annotations: commands
      .filter((one) => SHOWN.has(one.command) && !isAboutSurface(one))
      // The address of its own run.
      .map((one) => ({ ...one, data: one.data.replaceAll(/\/runs\/\d+/g, '/runs/1') })),
    // Seconds, in words and in the table of what each start cost.
    summary: summary.replaceAll(/\b\d+\.\d(?: s\b| (?=\|))/g, 's'),
  };
}

/** What a step says of the surfaces that it could not write. */
export const noticesOf = ({ commands }: Pick<Outcome, 'commands'>): readonly RunnerCommand[] =>
  commands.filter((one) => SHOWN.has(one.command) && isAboutSurface(one));

/** Its own sections and the failure of its step: nothing else that the runner would execute is in the log. */
export function assertLogActs(
  { log, commands: found, env, path, state }: Outcome,
  expected: readonly (readonly [command: string, says: RegExp])[],
): void {
  assert.deepEqual(
    found.map(({ command }) => command),
    expected.map(([command]) => command),
    log.slice(0, 10_000),
  );
  for (const [index, [, says]] of expected.entries()) assert.match(found[index]?.data ?? '', says);
  assert.doesNotMatch(log, /[^\n\P{Cc}]|[\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
  // Whatever the data of a command holds, the runner looks no further.
  for (const line of log.split('\n')) if (!line.startsWith('::')) assert.doesNotMatch(line, /##\[/);
  assert.deepEqual({ env, path, state }, { env: '', path: '', state: {} });
}

/** GitHub Markdown of which, once our own is taken away, nothing acts. */
export function assertMarkdownInert(text: string): void {
  assertInert(
    text
      .replaceAll(`](https://github.com/${REPOSITORY}/`, '](https://github.com/acme/models/')
      .replaceAll(/^## /gm, '### ')
      .replaceAll('\n>\n', '\n')
      .replaceAll(/<details><summary>What this cost: \d+ engine starts?<\/summary>|<\/details>/g, '')
      .replaceAll(/\*\*(?:Worst|Trace):\*\*|^> (?:✂️|ℹ️ \*\*)/gm, ''),
  );
}

/** Elements with their attributes' names, e.g. `a href rel`: what a browser would make of the page. */
export async function elementsOf(htmlPath: string | undefined): Promise<ReadonlySet<string>> {
  const page = await readFile(htmlPath ?? '', 'utf8');
  const markup = page.replace(/<style>[^<]*<\/style>/, '');
  return new Set(
    [...markup.matchAll(/<([^\s>]*)([^>]*)>/g)].map(([, name = '', attributes = '']) =>
      [name, ...[...attributes.matchAll(/([^\s="]+)(?:="[^"]*")?/g)].map(([, one = '']) => one)].join(' '),
    ),
  );
}

/** Where the page's links lead. */
export async function linksOf(htmlPath: string | undefined): Promise<readonly string[]> {
  const page = await readFile(htmlPath ?? '', 'utf8');
  return [...page.matchAll(/(?:href|src|action)="([^"]*)"/g)].map(([, to = '']) => to);
}

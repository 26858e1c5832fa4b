import assert from 'node:assert/strict';
import { once } from 'node:events';
import { access, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { type Action, builtAction } from '../e2e/support/action.ts';
import { stepAtOnce } from '../e2e/support/at-once.ts';
import { assertFault, type Fault } from '../e2e/support/faults.ts';
import { type Outcome, type Runner, runStep, type StepOptions } from '../e2e/support/spawn.ts';
import { BASELINES, checkout, onImport, type SuiteOptions, suite } from '../e2e/support/suites.ts';
import { payloadOf, REPOSITORY, SHAS } from '../support/events.ts';
import { startGitHubServer } from '../support/github-server.ts';
import { REFS, ROWS, type Row, STORES } from '../support/permissions.ts';

let action: Action;
let sentinel: Sentinel;
before(async () => {
  [action, sentinel] = await Promise.all([builtAction('scripted'), aSentinel()]);
});
after(async () => {
  await action[Symbol.asyncDispose]();
  await sentinel[Symbol.asyncDispose]();
});

/** Stands for Docker, GitHub's API and the cache service at once, and counts who comes. */
interface Sentinel extends AsyncDisposable {
  readonly port: number;
  readonly visits: () => number;
}

async function aSentinel(): Promise<Sentinel> {
  let visits = 0;
  const server = createServer((socket) => {
    visits += 1;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    visits: () => visits,
    async [Symbol.asyncDispose]() {
      server.close();
      await once(server, 'close');
    },
  };
}

/** By which a step runs: the built action, or the same in this process. */
type Steps = typeof runStep;
/** Of a table, one row in ten comes by the built action's own door. */
const stepsOf = (turn: number): Steps => (turn % 10 === 0 ? runStep : stepAtOnce);

type Store = (typeof STORES)[number];

interface Checkout {
  readonly runner: Runner;
  /** What the base branch has in place of the suite that is checked out. */
  readonly baseSuite: string;
}

/**
 * A checkout whose engine leaves a mark as soon as its harness is started, and whose policy lets a missing baseline
 * pass: on the base branch it does not.
 */
async function aCheckout(store: Store, options: SuiteOptions = {}): Promise<Checkout> {
  const runner = await checkout();
  const mark = `open(${JSON.stringify(join(runner.home, 'started'))}, "w").close()`;
  const baseSuite = suite({ env: onImport(mark), ...options }).replace('"files"', `"${store}"`);
  const lax = baseSuite.replace('policy: {', 'policy: {"no-baseline":"warn",');
  assert.notEqual(lax, baseSuite);
  await runner.write('determinism.yml', lax);
  return { runner, baseSuite };
}

const started = async ({ home }: Runner): Promise<boolean> =>
  await access(join(home, 'started')).then(
    () => true,
    () => false,
  );

/** GitHub runs schedules on the default branch only, and tells it there alone by the ref: here it is told. */
const payloadFor = (event: string, fork: boolean) =>
  event === 'schedule'
    ? { ...payloadOf(event), repository: { default_branch: 'main' } }
    : payloadOf(event, { fork });

/** `auto` takes a container for a suite with an image, so that Docker would be asked first of all. */
const CONTAINER = { runtime: { image: `x@sha256:${'0'.repeat(64)}` } } as const;

/** The message is told, and nothing was started or asked: no engine, no container, no service, no record. */
async function assertRefused(
  { event, fork }: Pick<Row, 'event' | 'fork'>,
  store: Store,
  options: StepOptions,
  fault: Fault,
  step: Steps,
): Promise<void> {
  const { runner } = await aCheckout(store, CONTAINER);
  await using _ = runner;
  const url = `http://127.0.0.1:${sentinel.port}/`;
  const visits = sentinel.visits();
  const outcome = await step(action, runner, {
    event,
    payload: payloadFor(event, fork),
    github: { url, token: 'ghs_secret' },
    env: {
      DOCKER_HOST: `tcp://127.0.0.1:${sentinel.port}`,
      ACTIONS_RESULTS_URL: url,
      ACTIONS_CACHE_URL: url,
    },
    ...options,
  });
  await assertFault(outcome, runner, fault);
  assert.doesNotMatch(JSON.stringify(outcome), /ghs_secret/);
  assert.equal(await started(runner), false, 'no engine is started');
  assert.equal(sentinel.visits(), visits, 'neither Docker, GitHub nor the cache is asked');
  assert.deepEqual(await readdir(runner.workspace), ['determinism.yml', 'model']);
}

/** What it was started by is on the terminal, where no event is. */
const EVENT_ROWS = ROWS.filter(({ event }) => event !== 'cli');
const named = ({ event, fork }: Row) => `${event}${fork ? ' of a fork' : ''}`;

/**
 * Of what the table says alike, one for each row, another one for the next: what each of them may, test/unit/trust/events
 * asks the rule itself. Here each row, each mode, and each place of a refresh is asked of the whole action.
 */
const inTurn = <T>(all: readonly T[], turn: number): T | undefined => all[turn % all.length];

describe('an event that may not is refused before anything is started', { concurrency: 4 }, () => {
  for (const [turn, row] of EVENT_ROWS.entries()) {
    const told = new RegExp(`\`${row.event}\``);
    const mode =
      row.look === '-' ? inTurn(['check', 'log', 'power'], turn) : row.power === '-' ? 'power' : undefined;
    if (mode !== undefined)
      test(`${mode} on ${named(row)}`, async () => {
        const stranger = mode === 'power' && row.look !== '-';
        await assertRefused(
          row,
          'files',
          { with: { mode } },
          {
            code: 'event-refused',
            says: stranger ? /another repository: a stranger must not keep the GPU busy/ : told,
            advises: stranger ? /`deterministic-ml power`/ : /Use `on: pull_request`/,
          },
          stepsOf(turn),
        );
      });

    const refused = STORES.flatMap((store, s) =>
      REFS.flatMap((ref, r) => (row.refresh[s]?.[r] === '-' ? [{ store, ref }] : [])),
    );
    const asked = inTurn(refused, turn);
    if (asked !== undefined)
      test(`refresh on ${named(row)} at ${asked.ref} into ${asked.store}`, async () => {
        const { store, ref } = asked;
        await assertRefused(
          row,
          store,
          { ref, with: { mode: 'refresh', reason: 'I say so' } },
          {
            code: 'refresh-not-allowed',
            says: row.event === 'workflow_dispatch' ? /pull requests do not see/ : told,
            advises: /on: workflow_dispatch|[Mm]erge first/,
          },
          stepsOf(turn),
        );
      });
  }
});

test('the same step on a push is not refused, and what it asks is noticed', async () => {
  const { runner } = await aCheckout('files', CONTAINER);
  await using _ = runner;
  const before = sentinel.visits();
  const outcome = await runStep(action, runner, { env: { DOCKER_HOST: `tcp://127.0.0.1:${sentinel.port}` } });
  assert.equal(outcome.outputs['error-code'], 'docker-unavailable', outcome.log);
  assert.notEqual(sentinel.visits(), before);
});

describe('an event whose payload says too little is refused', () => {
  const cases: readonly [string, string, unknown][] = [
    ['a pull request, cut short', 'pull_request', JSON.stringify(payloadOf('pull_request')).slice(0, -100)],
    [
      'a pull request without a base',
      'pull_request',
      { ...payloadOf('pull_request'), pull_request: { number: 7 } },
    ],
    ['a review, empty', 'pull_request_review', ''],
    ['a merge group without a base', 'merge_group', { ...payloadOf('merge_group'), merge_group: {} }],
  ];
  for (const [turn, [what, event, payload]] of cases.entries())
    test(what, async () => {
      await assertRefused(
        { event, fork: false },
        'files',
        { payload },
        {
          code: 'event-refused',
          says: /does not say into which branch/,
          advises: /base_ref|base\.ref/,
        },
        stepsOf(turn),
      );
    });
});

const PROCESS = { runtime: 'process' } as const;

/** @param judge whose policy says what a missing baseline means */
async function assertNoBaseline(judge: 'checkout' | 'base', outcome: Outcome, runner: Runner): Promise<void> {
  const { outputs, exitCode, log } = outcome;
  assert.equal(outputs['error-code'] ?? '', '', log);
  assert.equal(outputs['conclusion'], 'no-baseline', log);
  assert.deepEqual([outputs['verdict'], exitCode], judge === 'base' ? ['fail', 1] : ['warn', 0], log);
  assert.equal(await started(runner), true);
  assert.ok(!(await readdir(runner.workspace)).includes(BASELINES), 'nothing is stored');
}

async function assertEmptyLog(outcome: Outcome, runner: Runner): Promise<void> {
  assert.equal(outcome.outputs['error-code'] ?? '', '', outcome.log);
  assert.equal(outcome.exitCode, 1, 'there is none, and a workflow that keeps baselines must hear of it');
  assert.match(outcome.log, /There is no baseline of this suite/);
  assert.equal(await started(runner), false, 'a log needs no engine');
}

describe('where somebody with write access has put the suite, the checkout judges', {
  concurrency: 4,
}, () => {
  for (const [turn, row] of EVENT_ROWS.entries()) {
    const { event } = row;
    if (row.look === 'checkout')
      test(`check and log on ${event}, on any branch`, async () => {
        // The rule does not look at the branch: on a push each is tried.
        for (const ref of event === 'push' ? REFS : REFS.filter((one) => one === inTurn(REFS, turn))) {
          const { runner } = await aCheckout('files');
          await using _ = runner;
          const step = event === 'push' && ref === REFS[0] ? runStep : stepAtOnce;
          const options = { event, ref, payload: payloadFor(event, false) };
          const log = await step(action, runner, { ...options, with: { ...PROCESS, mode: 'log' } });
          await assertEmptyLog(log, runner);
          await assertNoBaseline(
            'checkout',
            await step(action, runner, { ...options, with: PROCESS }),
            runner,
          );
        }
      });

    // A model that is not there ends a run after the permission, and before twenty engine starts.
    if (row.power === 'checkout')
      test(`power on ${event}`, async () => {
        const { runner } = await aCheckout('files', { model: 'elsewhere' });
        await using _ = runner;
        const step = event === 'push' ? runStep : stepAtOnce;
        const outcome = await step(action, runner, { event, with: { ...PROCESS, mode: 'power' } });
        assert.equal(outcome.outputs['error-code'], 'model-missing', outcome.log);
      });

    for (const [s, store] of STORES.entries())
      for (const [r, ref] of REFS.entries()) {
        const stores = row.refresh[s]?.[r] ?? '-';
        if (stores === '-') continue;
        test(`refresh on ${event} at ${ref} into ${store}: ${stores}`, async () => {
          const { runner } = await aCheckout(store);
          await using _ = runner;
          const reason: Readonly<Record<string, string>> =
            stores === 'reasoned' ? { reason: 'first one' } : {};
          const step = event === 'workflow_dispatch' && ref === REFS[0] ? runStep : stepAtOnce;
          const outcome = await step(action, runner, {
            event,
            ref,
            payload: payloadFor(event, false),
            with: { ...PROCESS, mode: 'refresh', ...reason },
          });
          if (store === 'cache')
            // Nobody answers there: it was asked, and that is all that is asked here.
            assert.equal(outcome.outputs['error-code'], 'store-unavailable', outcome.log);
          else if (stores === 'reasoned') {
            assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
            assert.ok((await readdir(runner.workspace)).includes(BASELINES));
          } else await assertNoBaseline('checkout', outcome, runner);
        });
      }
  }
});

/** GitHub with a suite on the base branch, and what a step needs to ask it. */
async function gitHubWith(baseSuite: string, { event, fork }: Row) {
  const token = 'ghs_secret';
  const commits = { [SHAS.base]: { 'determinism.yml': baseSuite } };
  const server = await startGitHubServer({
    ...{ repository: REPOSITORY, token },
    contents: { kind: 'commits', commits },
  });
  const options: StepOptions = { event, fork, github: { url: server.url, token } };
  return { server, options };
}

/** Of the rows of one kind, one by the built action. */
const byDoor = ({ event }: Row): Steps => (event === 'pull_request' ? runStep : stepAtOnce);

describe('where a change still needs a yes, the base branch judges', { concurrency: 4 }, () => {
  for (const row of EVENT_ROWS.filter(({ look }) => look === 'base'))
    test(`check, log and power on ${named(row)}`, async () => {
      const { runner, baseSuite } = await aCheckout('files');
      await using _ = runner;
      const { server, options } = await gitHubWith(baseSuite, row);
      await using __ = server;
      const step = byDoor(row);
      const log = await step(action, runner, { ...options, with: { ...PROCESS, mode: 'log' } });
      await assertEmptyLog(log, runner);
      await assertNoBaseline('base', await step(action, runner, { ...options, with: PROCESS }), runner);
      assert.deepEqual([...new Set(server.calls)].slice(0, 2), [
        `GET /repos/${REPOSITORY}/git/ref/heads%2Fmain`,
        `GET /repos/${REPOSITORY}/contents/determinism.yml?ref=${SHAS.base}`,
      ]);
      await rm(join(runner.workspace, 'model'), { recursive: true });
      const power = await step(action, runner, { ...options, with: { ...PROCESS, mode: 'power' } });
      assert.equal(power.outputs['error-code'], 'model-missing', power.log);
    });

  for (const row of EVENT_ROWS.filter(({ look }) => look === 'base/fork')) {
    test(`check and log on ${named(row)}, in the base branch's container`, async () => {
      const { runner, baseSuite } = await aCheckout('files', { ...CONTAINER, model: '../of-the-runner' });
      await using _ = runner;
      const { server, options } = await gitHubWith(baseSuite, row);
      await using __ = server;
      const step = byDoor(row);
      await assertEmptyLog(await step(action, runner, { ...options, with: { mode: 'log' } }), runner);
      const visits = sentinel.visits();
      const env = { DOCKER_HOST: `tcp://127.0.0.1:${sentinel.port}` };
      const check = await step(action, runner, { ...options, env });
      assert.equal(check.outputs['error-code'], 'docker-unavailable', check.log);
      assert.notEqual(sentinel.visits(), visits, 'Docker was asked');
      assert.equal(await started(runner), false);
    });

    test(`check on ${named(row)}, with a model or an engine of its own: refused`, async () => {
      const outside = { ...CONTAINER, model: '../of-the-runner' };
      for (const [base, from, to, says] of [
        [CONTAINER, '', '', /the model lies in the repository itself: it could bring its own/],
        [outside, '../of-the-runner', '../of-another', /a folder of the runner outside of the repository/],
        [outside, '"args":{}', '"args":{"trust_remote_code":true}', /changes `engine` of the suite/],
      ] as const) {
        const { runner, baseSuite } = await aCheckout('files', base);
        await using _ = runner;
        await runner.write('determinism.yml', baseSuite.replace(from, to));
        const { server, options } = await gitHubWith(baseSuite, row);
        await using __ = server;
        await assertFault(await stepAtOnce(action, runner, options), runner, {
          code: 'pull-request-limited',
          says,
          advises: /branch of this repository|hub/,
        });
        assert.equal(await started(runner), false);
      }
    });

    test(`check on ${named(row)}, without a container: refused`, async () => {
      for (const [inputs, suiteOptions] of [
        [PROCESS, {}],
        [PROCESS, CONTAINER],
        [{}, {}],
      ] as const) {
        const { runner, baseSuite } = await aCheckout('files', suiteOptions);
        await using _ = runner;
        const { server, options } = await gitHubWith(baseSuite, row);
        await using __ = server;
        const step = inputs === PROCESS ? stepAtOnce : byDoor(row);
        await assertFault(await step(action, runner, { ...options, with: inputs }), runner, {
          code: 'pull-request-limited',
          says: /comes from another repository.*on the machine itself/,
          advises: /pinned image/,
        });
        assert.equal(await started(runner), false);
      }
    });
  }

  test('a pull request whose repository is gone is a stranger’s', async () => {
    const { runner, baseSuite } = await aCheckout('files');
    await using _ = runner;
    const row = {
      event: 'pull_request',
      fork: false,
      look: 'base',
      power: 'base',
      report: 'yes',
      refresh: [],
    };
    const { server, options } = await gitHubWith(baseSuite, row);
    await using __ = server;
    const payload = payloadOf('pull_request', { deleted: true });
    await assertFault(await stepAtOnce(action, runner, { ...options, payload, with: PROCESS }), runner, {
      code: 'pull-request-limited',
      says: /comes from another repository/,
      advises: /pinned image/,
    });
  });
});

import assert from 'node:assert/strict';
import { changeSuite } from '../../../src/disk/suite-file.ts';
import { engineNamed, engines } from '../../../src/engine/engines/index.ts';
import { KeptEngine } from '../../../src/engine/kept.ts';
import { UserError } from '../../../src/errors.ts';
import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import type { GitHubReader, IsIn } from '../../../src/github/port.ts';
import type { BisectSettings, CheckSettings, RefreshSettings } from '../../../src/job/settings.ts';
import type { Situation } from '../../../src/job/situation.ts';
import type { Tools } from '../../../src/job/tools.ts';
import type { Report } from '../../../src/report/schema.ts';
import { refuseUnpinned } from '../../../src/runtime/choose.ts';
import { readAsked } from '../../../src/suite/asked.ts';
import { parseFleet } from '../../../src/suite/fleet.ts';
import { parseSuite } from '../../../src/suite/parse.ts';
import { check } from '../../../src/use-cases/check.ts';
import { refresh } from '../../../src/use-cases/refresh.ts';
import { MemoryCaches } from './caches.ts';
import { type Computes, type EngineOptions, type Load, ScriptedEngine } from './engine.ts';
import { MemoryDisk, MemoryStore } from './memory.ts';
import { loaded } from './suites.ts';

/** Two prompts and a text, held to themselves and to a baseline. */
export const SUITE = `apiVersion: deterministic-ml/v1
name: suite
model: { path: model }
engine: { name: vllm }
sampling: { temperature: 0, max_tokens: 4 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, text: "The sky is" }
score:
  - { id: prose, text: "It was a dark and stormy night" }
relations: [rerun, baseline]
`;

/** What each mode about a suite says of itself; `front/modes.ts` is held to it. */
export const ASKS = {
  check: { mode: { name: 'check', needs: 'look' } },
  compare: { mode: { name: 'compare', needs: 'long' } },
  bisect: { mode: { name: 'bisect', needs: 'long' } },
  log: { mode: { name: 'log', needs: 'look' } },
  power: { mode: { name: 'power', needs: 'long' } },
  refresh: { mode: { name: 'refresh', needs: 'store' } },
  store: { mode: { name: 'store', needs: 'store' } },
} as const;

/** Commit that the base branch is at. */
export const TIP = 'ba5e'.repeat(10);

type Start = (load: Load) => Computes;

/**
 * A machine, a repository and a store in memory. What one run leaves the next one finds; each has an engine of its own,
 * the last of which is `engine`.
 */
export class Job {
  suite = SUITE;
  /** Of a fleet, the file; and by their launchers who is there. */
  fleet = '';
  readonly far = new Map<string, () => ScriptedEngine>();
  readonly disk = new MemoryDisk();
  readonly store: MemoryStore;
  engine = new ScriptedEngine();
  /** What was told, one line each; a section by its title. */
  readonly lines: string[] = [];
  readonly abort = new AbortController();
  /** Texts of the checkout that prompts name. */
  readonly files = new Map<string, string>();
  /** Files of the base branch at `TIP`. */
  readonly base = new Map<string, string>();
  /** Number of the pull request that brought what is refreshed; an error is thrown. */
  pullRequest: number | undefined | Error;
  /** Runs of that pull request. */
  readonly runs = new Map<string, IsIn>();
  /** Commits of the default branch, oldest first: each has those before it. */
  main: readonly string[] = [];
  /** What commits of other branches have. */
  readonly elsewhere = new Map<string, readonly string[]>();
  /** What is checked out, where that is another commit than the event's. */
  checkedOut: string | undefined;
  /** What GitHub answers instead, asked whether a commit has another. */
  history: IsIn | Error | undefined;
  /** Branches that stores were opened for, beside the default and the base branch. */
  readonly trusting: string[] = [];
  /** Questions of that kind. */
  readonly compared: string[] = [];
  /** Of its machine. */
  readonly caches = new MemoryCaches();
  #runs = 0;

  constructor(kind: 'cache' | 'files' = 'cache') {
    this.store = new MemoryStore(this.disk, kind);
  }

  settings(
    event = 'push',
    more: Partial<RefreshSettings & BisectSettings & Situation> = {},
  ): RefreshSettings & BisectSettings {
    this.#runs += 1;
    const { ref = 'refs/heads/main', base, fork = false, door = 'action', ...rest } = more;
    const { commit = 'c0ffee'.repeat(6), ...settings } = rest;
    return {
      situation: {
        ...{ door, event, ref, base, fork, commit, defaultBranch: 'main' },
        subject: { kind: 'none' },
      },
      job: { repository: 'acme/models', run: String(100 + this.#runs), attempt: '1', runner: 'gpu-1' },
      workflow: 'determinism',
      runUrl: `https://github.com/acme/models/actions/runs/${100 + this.#runs}/attempts/1`,
      suite: 'suite.yml',
      runtime: 'auto',
      timeoutSeconds: 60,
      inactivitySeconds: 60,
      recordPath: `/record-${this.#runs}`,
      reason: 'first baseline',
      yardstick: false,
      dryRun: false,
      storeUnchanged: false,
      actor: 'alice',
      budget: 8,
      ...settings,
    };
  }

  /** @param options of the engine that runs next */
  tools(options: EngineOptions = {}): Tools {
    const engine = new ScriptedEngine(options);
    this.engine = engine;
    return {
      console: {
        info: (line) => this.lines.push(line),
        progress: () => {},
        section: (title, work) => {
          this.lines.push(title);
          return work();
        },
      },
      signal: this.abort.signal,
      suiteSchema: SUITE_SCHEMA,
      open: {
        suite: async (path) => {
          const { suite, places } = parseSuite(this.suite, path, SUITE_SCHEMA);
          const asked = await readAsked(suite, async (file) => this.files.get(file) ?? '');
          return { ...loaded(this.suite, []), places, ...asked };
        },
        changed: (one, change) => changeSuite(one, change, '/checkout', SUITE_SCHEMA, []),
        store: ({ store: kind }, own = []) => {
          this.store.kind = kind;
          this.trusting.push(...own);
          return this.store;
        },
        suiteText: async () => ({
          text: this.suite,
          write: async (text) => {
            this.suite = text;
          },
        }),
        pins: () => assert.fail('the network'),
        checkout: () => ({
          read: () => assert.fail('the checkout'),
          write: () => assert.fail('the checkout'),
          defaultBranch: () => assert.fail('the checkout'),
          commit: async () => this.checkedOut,
        }),
        documents: () => assert.fail('a file for another program'),
        workflows: () => assert.fail('the workflows'),
        servers: () =>
          engines.flatMap(({ name: engine, served }) =>
            served === undefined ? [] : [{ engine, programs: served.programs }],
          ),
        imageOf: (name) => engineNamed(name).image,
        runsProgram: (name) => engineNamed(name).program === true,
        isModelless: (name) => engineNamed(name).probes !== undefined,
        ask: () => undefined,
        keys: () => undefined,
        image: refuseUnpinned,
        modelFiles: async () => ['config.json'],
        runtime: async (_, __, { most }) => engine.opened(most),
        fleet: async (path) => parseFleet(this.fleet, path),
        through: (launch) => async (_, __, atOnce) => {
          const one = this.far.get(launch.argv.join(' '));
          if (one === undefined) throw new UserError('launcher-unreachable', 'nobody is there', 'look');
          return one().opened(atOnce.most);
        },
        harness: async () => ({ boot: 'boot', files: {} }),
        filesOf: async (path) => [`/checkout/${path}`],
        kept: (sources) => new KeptEngine(sources),
        watching: () => assert.fail('the disk'),
        log: async (path) => ({ path, add: () => {}, [Symbol.asyncDispose]: async () => {} }),
        caches: () => this.caches,
        leftovers: async () => [],
        github: () => this.#github(),
        posts: () => {
          throw new Error('a use-case tells nobody');
        },
      },
      records: this.disk,
      reports: this.disk,
      // Whoever needs folders of many is tried on a disk.
      many: {
        results: async () => [],
        records: async () => [],
        place: async (folder) => ({ folder, commit: async () => {}, [Symbol.asyncDispose]: async () => {} }),
      },
    };
  }

  /** Makes what is trusted: a refresh by hand, on the default branch. */
  async refreshed(
    computes: Start = () => ({}),
    more: Partial<RefreshSettings & Situation> = {},
  ): Promise<Report> {
    return await refresh(
      { ...this.settings('workflow_dispatch', more), ...ASKS.refresh },
      this.tools({ computes }),
    );
  }

  async checked(computes: Start = () => ({}), settings: CheckSettings = this.settings()): Promise<Report> {
    return await check({ ...settings, ...ASKS.check }, this.tools({ computes }));
  }

  #github(): GitHubReader {
    return {
      tipOf: async () => TIP,
      fileAt: async (path, commit) => (commit === TIP ? this.base.get(path) : undefined),
      isIn: async (commit, head) => {
        this.compared.push(`${commit.slice(0, 4)} in ${head.slice(0, 4)}`);
        if (this.history instanceof Error) throw this.history;
        if (this.history !== undefined) return this.history;
        const until = head === 'main' ? this.main.length : this.main.indexOf(head) + 1;
        const has = this.elsewhere.get(head) ?? this.main.slice(0, until);
        return { kind: has.includes(commit) ? 'yes' : 'no' };
      },
      pullRequestOf: async () => {
        if (this.pullRequest instanceof Error) throw this.pullRequest;
        return this.pullRequest;
      },
      isRunOf: async (run, pullRequest) => {
        assert.equal(pullRequest, this.pullRequest);
        return this.runs.get(run) ?? { kind: 'no' };
      },
    };
  }
}

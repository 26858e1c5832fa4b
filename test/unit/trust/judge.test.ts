import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { UserError } from '../../../src/errors.ts';
import type { SuiteSettings } from '../../../src/job/settings.ts';
import type { Situation } from '../../../src/job/situation.ts';
import type { Openers } from '../../../src/job/tools.ts';
import type { LoadedSuite, ModelFolder } from '../../../src/suite/loaded.ts';
import { isAmong } from '../../../src/trust/branches.ts';
import { refuseArguments } from '../../../src/trust/code.ts';
import { loadRuled, type Ruled } from '../../../src/trust/judge.ts';
import { ASKS, Job, SUITE, TIP } from '../support/job.ts';
import { loaded, rejectedBy } from '../support/suites.ts';

const IMAGE = `vllm/vllm-openai@sha256:${'b2'.repeat(32)}`;
const HUB = `{ id: acme/model, revision: ${'a1'.repeat(20)} }`;
/** What a stranger's change may be measured in: a pinned container, with a model that is not in the repository. */
const FOR_STRANGERS = SUITE.replace(
  'model: { path: model }',
  `model: ${HUB}\nruntime: { image: "${IMAGE}" }`,
);

interface Way {
  readonly own?: string;
  /** Of the base branch; undefined where it has none. */
  readonly base?: string | undefined;
  readonly event?: string;
  readonly fork?: boolean;
  readonly runtime?: SuiteSettings['runtime'];
  /** Where the change's model is. */
  readonly modelFolder?: ModelFolder;
  readonly mode?: keyof typeof ASKS;
  readonly situation?: Partial<Situation>;
  /** The change's own file that the engine runs, and the base branch's. */
  readonly program?: { readonly own: string; readonly base: string | undefined };
}

/** Whose suite judges, and what the log says. */
async function ruled(way: Way = {}): Promise<Ruled & { readonly lines: readonly string[] }> {
  const { own = SUITE, event = 'pull_request', fork = false, runtime = 'auto', mode = 'check' } = way;
  const job = new Job();
  const base = 'base' in way ? way.base : SUITE;
  if (base !== undefined) job.base.set('suite.yml', base);
  if (way.program?.base !== undefined) job.base.set('step.py', way.program.base);
  job.suite = own;
  const settings = job.settings(event, { base: 'refs/heads/main', fork, runtime });
  const tools = job.tools();
  const suite: Openers['suite'] = async (path) => ({
    ...(await tools.open.suite(path)),
    ...(way.modelFolder === undefined ? {} : { modelFolder: way.modelFolder }),
    ...(way.program && {
      program: { file: 'step.py', files: [{ path: 'step.py', text: way.program.own }] },
    }),
  });
  const found = await loadRuled(
    { ...settings, ...ASKS[mode], situation: { ...settings.situation, ...way.situation } },
    { ...tools, open: { ...tools.open, suite } },
  );
  return { ...found, lines: job.lines };
}

const suiteOf = ({ loaded }: { readonly loaded: LoadedSuite }) => loaded.suite;

describe('on the repository’s own branches', () => {
  for (const event of ['push', 'schedule', 'workflow_dispatch', 'release'])
    test(`${event}: the checkout’s suite judges, and GitHub is not asked`, async () => {
      const found = await ruled({ event, base: undefined, situation: { base: undefined } });
      assert.deepEqual(found.rules, { kind: 'checkout' });
      assert.deepEqual(suiteOf(found), loaded(SUITE, []).suite);
      assert.deepEqual(found.lines, []);
    });

  test('whoever may not start anything is told so before the suite is read', async () => {
    const error = await rejectedBy(ruled({ event: 'issue_comment', own: 'no suite at all' }));
    assert.equal(error.code, 'event-refused');
  });

  test('a store that this branch may not write is refused once the suite names it', async () => {
    const refresh = { mode: 'refresh', event: 'workflow_dispatch' } as const;
    const elsewhere = { ref: 'refs/heads/next', base: undefined } as const;
    const files = SUITE.concat('baseline: { store: files }\n');
    assert.equal((await rejectedBy(ruled({ ...refresh, situation: elsewhere }))).code, 'refresh-not-allowed');
    assert.equal(
      (await ruled({ ...refresh, own: files, situation: elsewhere })).permission.stores,
      'reasoned',
    );
  });
});

describe('a branch keeps baselines of its own', () => {
  const kept = SUITE.concat('baseline: { branches: [release/*] }\n');
  const on = (
    ref: string,
    own: string,
    base: string | undefined,
    event = 'workflow_dispatch',
    mode: Way['mode'] = 'refresh',
  ) => ruled({ mode, event, own, base, situation: { ref, base: undefined } });

  test('where its own suite and that of the default branch say so: then it is stored to and read', async () => {
    for (const [event, stores] of [
      ['workflow_dispatch', 'reasoned'],
      ['push', 'accepted'],
    ] as const) {
      const found = await on('refs/heads/release/1', kept, kept, event);
      assert.deepEqual([found.permission.stores, found.branches], [stores, ['refs/heads/release/1']]);
    }
    assert.deepEqual((await on('refs/heads/release/1', kept, kept, 'push', 'check')).branches, [
      'refs/heads/release/1',
    ]);
  });

  test('and nowhere else: no branch makes itself trusted', async () => {
    const every = SUITE.concat('baseline: { branches: ["**"] }\n');
    const foreign: readonly (readonly [string, string, string | undefined])[] = [
      ['refs/heads/feature', every, kept],
      ['refs/heads/release/1', kept, SUITE],
      ['refs/heads/release/1', kept, undefined],
      ['refs/heads/release/1', kept, 'no suite'],
      ['refs/heads/release/1', SUITE, kept],
      ['refs/tags/release/1', kept, kept],
    ];
    for (const [ref, own, base] of foreign) {
      const error = await rejectedBy(on(ref, own, base));
      assert.equal(error.code, 'refresh-not-allowed', ref);
      assert.match(error.hint, /baseline: \{ branches: \[…\] \}`, in its suite and in that of main/);
      assert.deepEqual((await on(ref, own, base, 'push', 'check')).branches, []);
    }
    assert.deepEqual((await ruled({ own: every, base: kept })).branches, [], 'a change is no branch');
  });

  test('by patterns as GitHub’s filters have them', () => {
    for (const [pattern, branch, fits] of [
      ['release/*', 'release/1', true],
      ['release/*', 'release/1/fix', false],
      ['release/**', 'release/1/fix', true],
      ['v1.x', 'v1.x', true],
      ['v1.x', 'v12x', false],
      ['*-lts', '2026-lts', true],
      ['release', 'my-release', false],
    ] as const)
      assert.equal(isAmong(branch, [pattern]), fits, `${pattern} ${branch}`);
    for (const pattern of ['refs/heads/a', '*a*b*c*d', 'a b', '']) {
      const own = SUITE.concat(`baseline: { branches: ["${pattern}"] }\n`);
      assert.throws(() => loaded(own, []), UserError, pattern);
    }
  });
});

describe('a change is judged by the base branch', () => {
  test('whose name, policy, relations, depth and store it gets, with its own prompts and engine', async () => {
    const own = SUITE.replace('name: suite', 'name: other')
      .replace('relations: [rerun, baseline]', 'relations: [rerun]\ndepth: score')
      .replace('max_tokens: 4', 'max_tokens: 8')
      .concat('policy: { no-baseline: warn, confirm: 0 }\nbaseline: { store: files }\n');
    const found = await ruled({ own });
    const { name, policy, relations, depth, baseline, sampling } = suiteOf(found);
    const base = loaded(SUITE, []).suite;
    assert.deepEqual({ name, policy, depth, baseline }, pick(base));
    assert.deepEqual(relations, [
      { name: 'rerun', require: 'identical' },
      { name: 'baseline', require: 'identical' },
    ]);
    assert.equal(sampling.max_tokens, 8);
    assert.deepEqual(found.rules.kind === 'base' && [found.rules.ref, found.rules.sha, found.rules.missing], [
      'refs/heads/main',
      TIP,
      false,
    ]);
  });

  test('with every requirement that the base’s own engine promises: a change cannot loosen one by its environment', async () => {
    const invariant = SUITE.replace(
      '{ name: vllm }',
      '{ name: vllm, env: { VLLM_BATCH_INVARIANT: "1" } }',
    ).replace('[rerun, baseline]', '[rerun, baseline, batch]');
    const own = invariant.replace('"1"', '"0"');
    const batch = async (way: Way) => suiteOf(await ruled(way)).relations.slice(2);
    assert.deepEqual(await batch({ own, base: invariant }), [{ name: 'batch', require: 'identical' }]);
    assert.deepEqual(await batch({ own: invariant, base: own }), [{ name: 'batch', require: 'measure' }]);
  });

  test('that has no suite, or none that can be read: then by the strict defaults', async () => {
    const own = SUITE.replace('[rerun, baseline]', '[{ name: baseline, require: measure }, order]').concat(
      'policy: { no-baseline: warn }\n',
    );
    for (const base of [undefined, 'apiVersion: nonsense\n']) {
      const found = await ruled({ own, base });
      const { policy, relations } = suiteOf(found);
      assert.deepEqual(found.rules.kind === 'base' && [found.rules.missing, found.rules.changes], [true, []]);
      assert.equal(policy['no-baseline'], 'fail');
      assert.ok(relations.includes('baseline'), 'what it eased is back');
      assert.ok(relations.includes('order'), 'what it asks beside them stays');
    }
    const { lines } = await ruled({ own, base: 'apiVersion: nonsense\n' });
    assert.ok(lines.some((line) => line.startsWith('The suite of main cannot be read')));
  });

  test('and every key that it changes is named, with whether it counts', async () => {
    const own = SUITE.replace('name: suite', 'name: other')
      .replace('id: sky, text: "The sky is"', 'id: sky, text: "The sea is"')
      .replace('relations: [rerun, baseline]', 'relations: [rerun]');
    const { rules } = await ruled({ own });
    const changes = rules.kind === 'base' ? rules.changes : [];
    assert.deepEqual(
      changes.map(({ field, before, after, inForce }) => [field, before, after, inForce]),
      [
        ['name', 'suite', 'other', false],
        ['prompts.sky.text', 'The sky is', 'The sea is', true],
        ['relations.1', 'baseline', '(absent)', false],
      ],
    );
  });

  test('one prompt more is one change, wherever it stands', async () => {
    const own = SUITE.replace('prompts:\n', 'prompts:\n  - { id: first, text: "First" }\n');
    const { rules } = await ruled({ own });
    assert.deepEqual(
      rules.kind === 'base' &&
        rules.changes.map(({ field }) => field).filter((field) => !/first/.test(field)),
      [],
    );
  });

  test('of which GitHub must tell: an outage is no permission', async () => {
    const job = new Job();
    const tools = job.tools();
    const outage = new UserError('github-unavailable', 'GitHub did not answer.', '');
    const github: Openers['github'] = () => ({
      ...tools.open.github(),
      tipOf: async () => Promise.reject(outage),
    });
    const settings = job.settings('pull_request', { base: 'refs/heads/main' });
    assert.equal(
      await rejectedBy(
        loadRuled({ ...settings, ...ASKS.check }, { ...tools, open: { ...tools.open, github } }),
      ),
      outage,
    );
  });

  test('is asked by the branch’s name, as it is now', async () => {
    const job = new Job();
    job.base.set('suite.yml', SUITE);
    const tools = job.tools();
    const asked: string[] = [];
    const github: Openers['github'] = () => ({
      ...tools.open.github(),
      tipOf: async (branch) => {
        asked.push(branch);
        return TIP;
      },
    });
    const settings = job.settings('pull_request', { base: 'refs/heads/release/1' });
    await loadRuled({ ...settings, ...ASKS.check }, { ...tools, open: { ...tools.open, github } });
    assert.deepEqual(asked, ['release/1']);
  });
});

const pick = ({ name, policy, depth, baseline }: LoadedSuite['suite']) => ({ name, policy, depth, baseline });

describe('a folder of the runner', () => {
  const folder = (lies: ModelFolder['lies']): ModelFolder => ({ path: '/mnt/models/a', lies });
  const outside = SUITE.replace('path: model', 'path: /mnt/models/a');

  test('in the repository is the change’s own business', async () => {
    await ruled({ modelFolder: folder('inside'), base: undefined });
  });

  test('outside of it is what the base branch names, or none', async () => {
    await ruled({ own: outside, base: outside, modelFolder: folder('outside') });
    for (const base of [SUITE, undefined]) {
      const error = await rejectedBy(ruled({ own: outside, base, modelFolder: folder('outside') }));
      assert.equal(error.code, 'pull-request-limited');
      assert.match(error.message, base === undefined ? /has no suite/ : /does not/);
      assert.deepEqual([error.places[0]?.file, error.places[0]?.line], ['suite.yml', 3]);
    }
  });

  test('behind a link of the repository is refused, also where the base branch names the same', async () => {
    const error = await rejectedBy(ruled({ modelFolder: folder('behind-a-link') }));
    assert.equal(error.code, 'pull-request-limited');
  });

  test('is nobody’s business where the checkout judges', async () => {
    await ruled({
      event: 'push',
      own: outside,
      modelFolder: folder('outside'),
      situation: { base: undefined },
    });
  });
});

describe('what a stranger sent', () => {
  const stranger = (way: Way = {}) => ruled({ fork: true, own: FOR_STRANGERS, base: FOR_STRANGERS, ...way });

  test('is measured in the container, with the model and the engine that the base branch names', async () => {
    const found = await stranger({ own: FOR_STRANGERS.replace('The sky is', 'The sea is') });
    assert.deepEqual(found.permission, { judge: 'base', limits: 'fork', stores: 'nothing' });
    assert.equal(suiteOf(found).runtime.image, IMAGE);
  });

  const unpinned = FOR_STRANGERS.replace(`runtime: { image: "${IMAGE}" }\n`, '');
  const refusals: readonly [string, Way, RegExp][] = [
    ['without a suite on the base branch', { base: undefined }, /has no suite/],
    ['without an image there', { base: unpinned }, /names no `runtime.image`/],
    ['on the machine itself', { runtime: 'process' }, /checked by `runtime: process`/],
    ['wherever a launcher takes it', { runtime: 'launcher' }, /checked by `runtime: launcher`/],
    ['in an image of its own', { own: FOR_STRANGERS.replace('b2b2', 'c3c3') }, /changes `runtime`/],
    [
      'with a model of its own',
      { own: FOR_STRANGERS.replace('acme/model', 'evil/model') },
      /changes `model`/,
    ],
    [
      'with arguments of its own',
      { own: FOR_STRANGERS.replace('{ name: vllm }', '{ name: vllm, args: { worker_cls: evil } }') },
      /changes `engine`/,
    ],
    [
      'with all of its own',
      {
        own: FOR_STRANGERS.replace('b2b2', 'c3c3')
          .replace('acme/model', 'evil/model')
          .replace('{ name: vllm }', '{ name: vllm, env: { VLLM_BATCH_INVARIANT: "1" } }'),
      },
      /changes `runtime` and `model` and `engine`/,
    ],
  ];
  for (const [name, way, message] of refusals)
    test(`${name} is refused`, async () => {
      const error = await rejectedBy(stranger(way));
      assert.equal(error.code, 'pull-request-limited');
      assert.match(error.message, message);
    });

  test('with a model that lies in the repository is refused, though the base branch has it there too', async () => {
    const inside = SUITE.replace(
      'model: { path: model }',
      `model: { path: model }\nruntime: { image: "${IMAGE}" }`,
    );
    const error = await rejectedBy(stranger({ own: inside, base: inside }));
    assert.match(error.message, /the model lies in the repository itself/);
    const mounted = inside.replace('path: model', 'path: /mnt/models/a');
    await stranger({
      own: mounted,
      base: mounted,
      modelFolder: { path: '/mnt/models/a', lies: 'outside' },
    });
  });
});

describe('a suite that asks an endpoint', () => {
  const asking = (url: string) =>
    SUITE.replace('{ path: model }', '{ served: small }').replace(
      '{ name: vllm }',
      `{ name: openai, args: { url: "${url}" } }`,
    );
  const OURS = asking('https://api.example/v1');
  const THIEF = asking('https://thief.example/v1');

  test('is followed where the base branch asks the same one', async () => {
    const { loaded: found } = await ruled({ own: OURS, base: OURS });
    assert.equal(found.suite.engine.args['url'], 'https://api.example/v1');
  });

  for (const [what, base] of [
    ['another one than its base branch', OURS],
    ['one, and its base branch starts an engine', SUITE],
    ['one, and its base branch has no suite', undefined],
  ] as const)
    test(`is refused in a pull request that asks ${what}: the key would follow it`, async () => {
      const error = await rejectedBy(ruled({ own: THIEF, base }));
      assert.equal(error.code, 'pull-request-limited');
      assert.match(error.message, /asks the endpoint https:\/\/thief\.example\/v1/);
      assert.match(error.hint, /Merge the new `url` first/);
      assert.equal(error.places[0]?.line, 4);
    });

  test('is refused in every pull request of a fork, its base branch’s own too', async () => {
    const error = await rejectedBy(ruled({ own: OURS, base: OURS, fork: true }));
    assert.equal(error.code, 'pull-request-limited');
    assert.match(error.message, /from another repository, and its suite asks an endpoint/);
  });

  test('is its author’s own matter once it is on a branch', async () => {
    const { rules } = await ruled({ own: THIEF, base: OURS, event: 'push' });
    assert.deepEqual(rules, { kind: 'checkout' });
  });
});

describe('what a stranger sent, of an engine that runs the repository’s own files', () => {
  const SCRIPT = `apiVersion: deterministic-ml/v1
name: step
engine: { name: script, args: { file: step.py } }
runtime: { image: "${IMAGE}" }
prompts: [{ id: one, text: One }]
`;
  const stranger = (own: string, base: string | undefined) =>
    ruled({ fork: true, own: SCRIPT, base: SCRIPT, program: { own, base } });

  test('runs what the base branch has', async () => {
    const { loaded: found, permission } = await stranger('pass\n', 'pass\n');
    assert.equal(permission.limits, 'fork');
    refuseArguments(permission, found);
  });

  for (const [name, base] of [
    ['another file', 'pass  \n'],
    ['a file that the base branch has not', undefined],
  ] as const)
    test(`${name} is refused, by its name`, async () => {
      const error = await rejectedBy(stranger('pass\n', base));
      assert.equal(error.code, 'pull-request-limited');
      assert.match(
        error.message,
        /the engine would run step\.py, which is not what refs\/heads\/main has there/,
      );
    });

  test('a branch of the repository may change it', async () => {
    await ruled({ own: SCRIPT, base: SCRIPT, program: { own: 'other\n', base: 'pass\n' } });
  });
});

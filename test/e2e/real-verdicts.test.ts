import assert from 'node:assert/strict';
import { chmod, cp, readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import type { DockerDaemon } from '../../scripts/setup/docker.ts';
import { ensureFlippedModel, FLIPPED } from '../../scripts/setup/flipped-model.ts';
import { ensureCpuImage } from '../../scripts/setup/image.ts';
import { ensureModel } from '../../scripts/setup/model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { ensureShallowModel } from '../../scripts/setup/shallow-model.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { countOf } from '../../src/record/channels.ts';
import type { RunRecord } from '../../src/record/schema.ts';
import type { Report } from '../../src/report/schema.ts';
import { connect } from '../../src/runtime/docker/daemon.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { OTHER_CAPABILITY } from '../support/kernels.ts';
import { type Action, builtAction } from './support/action.ts';
import { GENERATING } from './support/cancel.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, type Outcome, type Runner, runStep, Step } from './support/spawn.ts';
import { containersOf, realSuite, type SuiteOptions } from './support/suites.ts';

/** The same suite under each real engine: one baseline of one engine start, and changes that have a real cause. */
for (const engine of ['vllm', 'transformers'])
  describe(`real ${engine} in bfloat16`, () => {
    let place: Place;
    before(async () => {
      place = await aBaseline(engine);
    });
    after(() => place[Symbol.asyncDispose]());

    // What only one of the two can be made to do.
    if (engine === 'vllm') ofVllm(() => place);
    else
      test('another start reproduces what a refresh stored', async () => {
        await place.write();
        const outcome = await place.run('check');
        assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
      });

    test('one flipped bit in one weight: drift, and the module is named', async (t) => {
      await place.write({ model: await ensureFlippedModel(), relations: ['baseline'] });
      const outcome = await place.run('check');
      tell(t, outcome);
      const report = await reportOf(outcome);
      assert.equal(report.conclusion, 'drift', outcome.log);
      assert.equal(report.verdict, 'fail');
      const traces = [...findingsOf(report, 'baseline').values()].flatMap(({ trace }) => trace ?? []);
      // Whichever text shows it, it begins in the same module.
      const first = new Set(traces.flatMap((trace) => (trace.differing > 0 ? [trace.first] : [])));
      assert.deepEqual([...first], [FLIPPED.module]);
      assert.ok(outcome.log.includes(`first different module: ${FLIPPED.module} (`), outcome.log);
      const placed = outcome.commands.filter(({ properties }) => properties['file'] === 'determinism.yml');
      // With the worst prompt, what is common to all.
      assert.ok(
        placed[0]?.data.includes(`first at ${FLIPPED.module.replace('model.', '')}`),
        placed[0]?.data,
      );
    });
  });

/**
 * A check of the model with a default that nobody reads, once more with batches, and where there is Docker in the container
 * that nothing comes out of: one engine start for three claims.
 */
interface Blind {
  readonly outcome: Outcome;
  readonly record: RunRecord;
  readonly report: Report;
  /** Whether a batch changes bits here: AMX's kernels do, AVX2's not for prompts as short. */
  readonly moves: boolean;
}

async function blindCheck(
  place: Place,
  run: (asked: SuiteOptions & { readonly model: string }) => Promise<Outcome>,
): Promise<Blind> {
  const model = await aCopy(place, await ensureModel());
  await penalise(model, 1.3);
  const outcome = await run({
    model,
    relations: ['rerun', { name: 'batch', require: 'identical' }, 'baseline'],
  });
  const { record } = await openRecord(outcome.outputs['record-path'] ?? '');
  const outcomes = new Set(
    record.observations
      .filter(({ pass }) => pass === 'generate-alone' || BATCHED.test(pass))
      .map(({ prompt, channels }) => `${prompt} ${channels.map(({ sha256 }) => sha256).join()}`),
  );
  const moves = outcomes.size > record.suite.prompts.length;
  return { outcome, record, report: await reportOf(outcome), moves };
}

/** What a batch asks for beside the others. */
const BATCHED = /^generate-(?:together|strangers)$/;

/** The step of that check in a container, which is looked at while the engine is in it. */
async function inContainer(
  { action, runner, write }: Place,
  daemon: DockerDaemon,
  asked: SuiteOptions & { readonly model: string },
): Promise<Outcome> {
  const env = { DOCKER_HOST: daemon.host };
  const docker = await connect(env);
  await write(asked);

  await using step = await Step.start(action, runner, 'main', {
    env: { ...env, GITHUB_TOKEN: 'ghs_secret', HF_TOKEN: 'hf_secret', AWS_SECRET_ACCESS_KEY: 'secret' },
    with: { 'record-path': '../contained', 'hub-token': 'hf_secret' },
  });
  await step.sees(GENERATING, 120);
  const [listed, ...more] = await containersOf(docker, runner);
  assert.ok(listed, 'the engine runs in a container');
  assert.deepEqual(more, []);
  const { Config, HostConfig, Mounts, State } = await docker.getContainer(listed.Id).inspect();
  assert.equal(State.Running, true);
  assert.equal(HostConfig.NetworkMode, 'none');
  assert.equal(HostConfig.ReadonlyRootfs, true);
  assert.deepEqual(HostConfig.CapDrop, ['ALL']);
  assert.equal(HostConfig.CapAdd, null);
  assert.deepEqual(HostConfig.SecurityOpt, ['no-new-privileges:true']);
  assert.equal(HostConfig.Privileged, false);
  assert.equal(HostConfig.PidMode, '');
  assert.equal(HostConfig.IpcMode, 'private');
  assert.equal(HostConfig.Memory, 8 * 1024 ** 3);
  assert.equal(HostConfig.MemorySwap, 8 * 1024 ** 3);
  assert.deepEqual(HostConfig.Devices ?? [], []);
  assert.deepEqual(HostConfig.Binds ?? [], []);
  assert.doesNotMatch(Config.User, /^(0|root)?(:|$)/);
  assert.deepEqual(
    Mounts.map(({ Type, Source, Destination, RW }) => ({ Type, Source, Destination, RW })),
    [{ Type: 'bind', Source: asked.model, Destination: '/model', RW: false }],
    'the model and nothing else, least of all the Docker socket',
  );
  assert.doesNotMatch(JSON.stringify(Config.Env), /secret|runtime-token/);
  assert.deepEqual(
    Config.Env.filter((entry) => /^(GITHUB|ACTIONS|RUNNER|INPUT|STATE)_|TOKEN|SECRET/.test(entry)),
    [],
  );
  // What the kernel holds the engine to, not what was asked for: vLLM runs below the init process.
  const [engine] = await processesBelow(State.Pid);
  const status = await readFile(`/proc/${engine}/status`, 'utf8');
  assert.match(status, /^Uid:\t(?!0\t)/m);
  assert.match(status, /^CapEff:\t0{16}$/m);
  assert.match(status, /^CapBnd:\t0{16}$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  const devices = (await readFile(`/proc/${engine}/net/dev`, 'utf8')).split('\n').slice(2, -1);
  assert.deepEqual(
    devices.map((line) => line.trim().split(':')[0]),
    ['lo'],
  );

  const contained = await step.ended;
  assert.deepEqual(await containersOf(docker, runner), []);
  return contained;
}

/** Children of a process, as this machine numbers them. */
async function processesBelow(pid: number): Promise<readonly string[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.trim().split(' ');
}

function ofVllm(place: () => Place): void {
  let made: Promise<Blind> | undefined;
  const blind = (run: (asked: SuiteOptions & { readonly model: string }) => Promise<Outcome>) => {
    made ??= blindCheck(place(), run);
    return made;
  };
  const anywhere = async () =>
    await blind(async (asked) => {
      await place().write(asked);
      return await place().run('check');
    });

  test('real vLLM in the locked-down container gives the bits of a bare process', async (t) => {
    const daemon = await dockerOrSkip(t);
    if (daemon === undefined) return;
    const { stored: bare } = place();
    const { imageId } = await ensureCpuImage(daemon);
    const runtime = { image: imageId, memory: '8GiB' };
    const { outcome, record, report, moves } = await blind(
      async (asked) => await inContainer(place(), daemon, { ...asked, runtime }),
    );
    assert.equal(outcome.exitCode, moves ? 1 : 0, outcome.log);
    assert.equal(relationOf(report, 'baseline').status, 'held');
    assert.equal(outcome.outputs['record-digest'], bare.outputs['record-digest']);
    assert.match(outcome.log, /changed \(ambient\): runtime: process → docker/);

    const { record: left } = await openRecord(bare.outputs['record-path'] ?? '');
    const right = record.observations.filter(({ pass }) => !BATCHED.test(pass));
    // Two prompts, generated twice, forced and scored; a refresh alone scores them beside strangers, and under noise.
    assert.equal(right.length, 8);
    assert.deepEqual(
      right,
      left.observations.filter(({ pass }) => pass !== 'score-strangers' && pass !== 'score-noise'),
      'every digest of every observation',
    );
    const traced = record.observations.filter((one) => countOf(one, 'modules') > 300);
    assert.deepEqual(
      new Set(traced.map(({ pass }) => pass)),
      new Set(['score-alone']),
      'every module of what is scored',
    );
    assert.equal(traced.length, 2);
    assert.equal(left.fingerprint.ambient.runtime, 'process');
    assert.equal(record.fingerprint.ambient.runtime, 'docker');
    assert.deepEqual(record.fingerprint.declared.image, {
      reference: imageId,
      digest: imageId,
      certainty: 'verified',
    });
    t.diagnostic(`record digest ${outcome.outputs['record-digest']}`);
  });

  test('kernels for another instruction set at every other start: unstable, no drift', async (t) => {
    await place().write({ confirm: 1, relations: ['baseline'] });
    const outcome = await place().run('check', await alternating(place()));
    tell(t, outcome);
    const report = await reportOf(outcome);
    assert.equal(report.conclusion, 'unstable', outcome.log);
    const { decision } = relationOf(report, 'baseline');
    assert.deepEqual(decision, { of: 2, known: 1, distinct: 2, baselineLifetimes: 1, falseAlarm: null });
    assert.match(outcome.log, /1 of 2 engine starts gave outcomes that the baseline knows, 1 did not/);
    assert.notEqual(differing(report, 'score').length, 0);
    // Which kernels change with the instruction set is up to the CPU: on some it is the log-softmax alone.
    const traces = [...findingsOf(report, 'baseline').values()].flatMap(({ trace }) => trace ?? []);
    const isNamed = traces.some(({ first }) => first !== null);
    t.diagnostic(isNamed ? 'a module changes with the instruction set' : 'no module does');
    assert.match(outcome.log, isNamed ? /first different module: / : /in the traced texts no module differs/);
    assert.match(outcome.log, /changed \(ambient\): cpu\.capability: \w+ → \w+/);
  });

  test('a sampling default of the model: reproduced with a notice, and drift as it is served', async (t) => {
    const unread = await anywhere();
    assert.equal(relationOf(unread.report, 'baseline').status, 'held', unread.outcome.log);
    const told = unread.report.context.notices.map(({ message }) => message);
    assert.ok(
      told.some((one) => /`repetition_penalty` unsaid → 1\.3.*`engine\.defaults: as-served`/.test(one)),
      told.join('\n'),
    );

    // Two layers, of which some more tokens show it: the baseline is its own.
    const model = await aCopy(place(), await ensureShallowModel());
    // Eager, since what a CPU would compile takes minutes.
    const serve = 'vllm serve /models/here --enforce-eager --port 8000 --api-key none';
    const served = { model, serve, name: 'smollm2-served', maxTokens: 12 };
    await penalise(model, 1.1);
    await place().write(served);
    const stored = await place().run('refresh');
    assert.equal(stored.exitCode, 0, stored.log);
    await penalise(model, 1.3);
    const seeing = await place().run('check');
    tell(t, seeing);
    const report = await reportOf(seeing);
    assert.equal(report.conclusion, 'drift', seeing.log);
    assert.equal(relationOf(report, 'rerun').status, 'held');
    assert.match(seeing.log, /sampling\.repetition_penalty: 1\.1 → 1\.3/);
    const [notice] = report.context.notices.filter(({ title }) => title === 'Measured as it is served');
    assert.match(notice?.message ?? '', /`repetition_penalty` 1\.3.*: --api-key, --port\./);
    const { record } = await openRecord(seeing.outputs['record-path'] ?? '');
    assert.equal(record.suite.prompts[0]?.sampling?.repetition_penalty, 1.3);
    assert.equal(record.lifetimes[0]?.settings.requested['enforce_eager'], true);
  });

  test('batched with strangers: the relation is broken where a batch changes bits, and the baseline reproduced', async (t) => {
    const { outcome, report, moves } = await anywhere();
    tell(t, outcome);
    t.diagnostic(moves ? 'a batch changes bits here' : 'a batch changes no bits here');
    assert.equal(report.conclusion, moves ? 'relation-broken' : 'reproduced', outcome.log);
    assert.equal(report.verdict, moves ? 'fail' : 'pass');
    const statuses = report.relations.map(({ relation, status }) => `${relation} ${status}`);
    assert.deepEqual(statuses, ['rerun held', `batch ${moves ? 'broken' : 'held'}`, 'baseline held']);
    assert.match(relationOf(report, 'batch').evidence, /shared steps with others/);
  });
}

const SAMPLES_BY = 'generation_config.json';

/** A model, to change a file of. */
async function aCopy({ runner }: Place, from: string): Promise<string> {
  const to = join(runner.workspace, basename(from));
  await cp(from, to, { recursive: true });
  return to;
}

/** Has a model say another default of sampling. */
const penalise = async (model: string, value: number) =>
  await writeFile(join(model, SAMPLES_BY), JSON.stringify({ repetition_penalty: value }));

/** A checkout with a suite, and its baseline. */
interface Place extends AsyncDisposable {
  readonly action: Action;
  readonly runner: Runner;
  readonly model: string;
  /** How the baseline was stored. */
  readonly stored: Outcome;
  write(options?: SuiteOptions): Promise<void>;
  run(mode: 'check' | 'refresh', interpreter?: string): Promise<Outcome>;
}

const PROMPTS = [
  { id: 'capital', text: 'The capital of France is' },
  { id: 'sky', messages: [{ role: 'user', content: 'Explain why the sky is blue.' }] },
];

/** What examples/transformers.yml asks: prompts, one of them drawn, and a text to score, which lies beside it. */
async function ofExample(runner: Runner): Promise<SuiteOptions> {
  const examples = new URL('../../examples/', import.meta.url);
  const text = await readFile(new URL('transformers.yml', examples), 'utf8');
  const { prompts, score } = parse(text) as Required<Pick<SuiteOptions, 'prompts' | 'score'>>;
  for (const file of score.flatMap((one) => one['file'] ?? []))
    await runner.write(String(file), await readFile(new URL(String(file), examples), 'utf8'));
  return { prompts, score };
}

async function aBaseline(engine: string): Promise<Place> {
  await using owned = new AsyncDisposableStack();
  const action = owned.use(await builtAction('vllm'));
  const [{ python }, model] = [await ensureEngine(), await ensureModel()];
  const runner = owned.use(await aRunner());
  const asked = engine === 'transformers' ? await ofExample(runner) : { prompts: PROMPTS };
  const place = {
    ...{ action, runner, model },
    write: async (options: SuiteOptions = {}) => {
      const same = { engine, model, maxTokens: 5, ...asked, ...options, args: { dtype: 'bfloat16' } };
      await runner.write('determinism.yml', realSuite(same));
    },
    run: async (mode: 'check' | 'refresh', interpreter = python) => {
      // One that counts its starts needs a file for it, which no isolated engine could write.
      const isolation = interpreter === python ? 'auto' : 'none';
      const inputs = { mode, runtime: 'process', python: interpreter, isolation };
      return await runStep(action, runner, {
        with: mode === 'refresh' ? { ...inputs, reason: 'first one' } : inputs,
        event: 'workflow_dispatch',
      });
    },
  };
  await place.write();
  const stored = await place.run('refresh');
  assert.equal(stored.exitCode, 0, stored.log);
  assert.equal(stored.outputs['conclusion'], 'reproduced');
  const kept = owned.move();
  return { ...place, stored, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The engine's Python, which starts every other engine with PyTorch's kernels for another instruction set. */
async function alternating({ runner }: Place): Promise<string> {
  const { python } = await ensureEngine();
  const path = join(runner.home, 'alternating-python');
  await runner.write(
    '../../../home/alternating-python',
    `#!/bin/sh
starts=$(cat ${runner.home}/starts 2>/dev/null || echo 0)
echo $((starts + 1)) > ${runner.home}/starts
[ $((starts % 2)) -eq 1 ] || export ATEN_CPU_CAPABILITY=${OTHER_CAPABILITY}
exec ${python} "$@"
`,
  );
  await chmod(path, 0o755);
  return path;
}

const differing = (report: Report, kind: string) =>
  [...findingsOf(report, 'baseline')].filter(
    ([key, { agreement }]) => key.startsWith(`${kind}/`) && agreement !== 'identical',
  );

function tell(t: TestContext, { log }: Outcome): void {
  t.diagnostic(log.split('\n').findLast((line) => /^(Drift|Unstable|Relation broken): /.test(line)) ?? '');
}

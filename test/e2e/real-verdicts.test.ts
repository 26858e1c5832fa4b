import assert from 'node:assert/strict';
import { chmod, cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, type TestContext, test } from 'node:test';
import { parse } from 'yaml';
import { ensureFlippedModel, FLIPPED } from '../../scripts/setup/flipped-model.ts';
import { ensureModel } from '../../scripts/setup/model.ts';
import { ensureEngine } from '../../scripts/setup/python.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import type { Report } from '../../src/report/schema.ts';
import { OTHER_CAPABILITY } from '../support/kernels.ts';
import { builtAction } from './support/action.ts';
import { findingsOf, relationOf, reportOf } from './support/reports.ts';
import { aRunner, type Outcome, type Runner, runStep } from './support/spawn.ts';
import { realSuite, type SuiteOptions } from './support/suites.ts';

/** The same suite under each real engine: one baseline of one engine start, and changes that have a real cause. */
for (const engine of ['vllm', 'transformers'])
  describe(`real ${engine} in bfloat16`, () => {
    let place: Place;
    before(async () => {
      place = await aBaseline(engine);
    });
    after(() => place[Symbol.asyncDispose]());

    test('another start reproduces what a refresh stored', async () => {
      await place.write();
      const outcome = await place.run('check');
      assert.equal(outcome.outputs['conclusion'], 'reproduced', outcome.log);
    });

    test('one flipped bit in one weight: drift, and the module is named', async (t) => {
      await place.write({ model: await ensureFlippedModel() });
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

    // What only one of the two can be made to do.
    if (engine === 'vllm') ofVllm(() => place);
  });

function ofVllm(place: () => Place): void {
  test('kernels for another instruction set at every other start: unstable, no drift', async (t) => {
    await place().write({ confirm: 1 });
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
    const model = await aCopy(place().runner.workspace);
    const penalty = async (value: number) =>
      await writeFile(join(model, SAMPLES_BY), JSON.stringify({ repetition_penalty: value }));
    await penalty(1.3);
    await place().write({ model });
    const blind = await place().run('check');
    assert.equal(blind.outputs['conclusion'], 'reproduced', blind.log);
    const told = (await reportOf(blind)).context.notices.map(({ message }) => message);
    assert.ok(
      told.some((one) => /`repetition_penalty` unsaid → 1\.3.*`engine\.defaults: as-served`/.test(one)),
      told.join('\n'),
    );

    // Eager, since what a CPU would compile takes minutes.
    const serve = 'vllm serve /models/here --enforce-eager --port 8000 --api-key none';
    const served = { model, serve, name: 'smollm2-served' };
    await penalty(1.1);
    await place().write(served);
    const stored = await place().run('refresh');
    assert.equal(stored.exitCode, 0, stored.log);
    await penalty(1.3);
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
    await place().write({ relations: ['rerun', { name: 'batch', require: 'identical' }, 'baseline'] });
    const outcome = await place().run('check');
    tell(t, outcome);
    const report = await reportOf(outcome);
    // Which kernels a CPU takes decides whether a batch rounds otherwise: AMX does, AVX2 does not for prompts as short.
    const { record } = await openRecord(outcome.outputs['record-path'] ?? '');
    const outcomes = new Set(
      record.observations
        .filter(({ pass }) => /^generate-(?:alone|together|strangers)$/.test(pass))
        .map(({ prompt, channels }) => `${prompt} ${channels.map(({ sha256 }) => sha256).join()}`),
    );
    const moves = outcomes.size > record.suite.prompts.length;
    t.diagnostic(moves ? 'a batch changes bits here' : 'a batch changes no bits here');
    assert.equal(report.conclusion, moves ? 'relation-broken' : 'reproduced', outcome.log);
    assert.equal(report.verdict, moves ? 'fail' : 'pass');
    const statuses = report.relations.map(({ relation, status }) => `${relation} ${status}`);
    assert.deepEqual(statuses, ['rerun held', `batch ${moves ? 'broken' : 'held'}`, 'baseline held']);
    assert.match(relationOf(report, 'batch').evidence, /shared steps with others/);
  });
}

const SAMPLES_BY = 'generation_config.json';

/** The model, to change a file of. */
async function aCopy(workspace: string): Promise<string> {
  const [from, to] = [await ensureModel(), join(workspace, 'served-model')];
  await cp(from, to, { recursive: true });
  return to;
}

/** A checkout with a suite, and its baseline. */
interface Place extends AsyncDisposable {
  readonly runner: Runner;
  readonly python: string;
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
    runner,
    python,
    write: async (options: SuiteOptions = {}) => {
      const same = { engine, model, maxTokens: 10, ...asked, ...options, args: { dtype: 'bfloat16' } };
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
  return { ...place, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The engine's Python, which starts every other engine with PyTorch's kernels for another instruction set. */
async function alternating({ runner, python }: Place): Promise<string> {
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

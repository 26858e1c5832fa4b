import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import Docker from 'dockerode';
import { ensureCpuImage } from '../../scripts/setup/image.ts';
import { ensureShallowModel } from '../../scripts/setup/shallow-model.ts';
import { openRecord } from '../../src/disk/record-folder.ts';
import { channelOf } from '../../src/record/channels.ts';
import { firstObservations } from '../../src/record/outcome.ts';
import type { Observation } from '../../src/record/schema.ts';
import { LABEL } from '../../src/runtime/docker/labels.ts';
import { dockerOrSkip } from '../support/docker.ts';
import { OTHER_CAPABILITY } from '../support/kernels.ts';
import { temporaryFolder } from '../support/runtimes.ts';
import { actRepository, type JobResult } from './support/act.ts';
import { builtAction } from './support/action.ts';

const PROMPTS = ['capital', 'sky', 'essay', 'primes'] as const;

// What a shell, the runner and Markdown would each like to execute.
const REASON = 'first baseline, "quoted" $(touch pwned) `id` ::error::forged <b>@octocat</b>';

/** What users have: the example workflows, a runner, its cache, the built action, real vLLM in a container. */
test('the example workflows, run by act', { timeout: 20 * 60_000 }, async (t) => {
  const daemon = await dockerOrSkip(t);
  if (daemon === undefined) return;
  const [{ imageId }, model] = [await ensureCpuImage(daemon), await ensureShallowModel()];
  await using folder = await temporaryFolder();
  await using action = await builtAction('vllm');
  await using repo = await actRepository({ folder: folder.path, action: action.path, docker: daemon.host });
  const suite = (changes: Partial<SuiteParts> = {}) => suiteText({ image: imageId, model, ...changes });
  const write = (text: string) => repo.write('determinism.yml', text);
  const docker = daemon.host.startsWith('unix://')
    ? new Docker({ socketPath: daemon.host.slice('unix://'.length) })
    : new Docker();

  const step = (title: string, work: (t: TestContext) => Promise<JobResult>) =>
    t.test(title, async (t) => {
      const job = await work(t);
      assert.equal(job.post, 'success');
      const label = [LABEL.role, `${LABEL.run}=${job.runId}`];
      assert.deepEqual(await docker.listContainers({ all: true, filters: { label } }), []);
    });
  const told = (t: TestContext, job: JobResult): JobResult => {
    t.diagnostic(`${job.seconds.toFixed(1)} s`);
    t.diagnostic(job.log.at(-2) ?? '');
    return job;
  };

  await write(suite());
  await repo.merge();
  let baselineKey = '';
  let baselineRecord = '';

  await step('a refresh stores a baseline, with its reason', async (t) => {
    const job = told(
      t,
      await repo.onMain('workflow_dispatch', 'refresh.yml', { inputs: { reason: REASON }, signal: t.signal }),
    );

    assert.equal(job.succeeded, true, job.log.join('\n'));
    assert.equal(job.outputs['conclusion'], 'reproduced');
    baselineKey = job.outputs['baseline-key'] ?? '';
    baselineRecord = job.record;
    assert.match(
      baselineKey,
      new RegExp(`^deterministic-ml-v1/act-way-through/cpu-.*/${job.runId}-1-[0-9a-f]{16}$`),
    );
    assert.ok(mentions(job, baselineKey), 'the key is in the log');
    assert.deepEqual(job.annotations, []);
    return job;
  });

  await step('a pull request that changes nothing reproduces it', async (t) => {
    const job = told(t, await repo.pullRequest(t.signal));

    assert.equal(job.outputs['conclusion'], 'reproduced', job.log.join('\n'));
    assert.equal(job.outputs['baseline-key'], baselineKey);
    assert.equal(job.succeeded, true);
    assert.deepEqual(job.annotations, []);
    assert.ok(mentions(job, REASON), 'why the baseline is trusted');
    assert.deepEqual(await digests(job.record, 'logprobs'), await digests(baselineRecord, 'logprobs'));
    return job;
  });

  await step(
    'a setting that changes bits but no text is drift, on the lines of the prompts; a new prompt is added',
    async (t) => {
      const extra = '  - { id: ocean, text: "The deepest part of the ocean is" }\n';
      const text = suite({ capability: OTHER_CAPABILITY, extra });
      await write(text);
      const job = told(t, await repo.pullRequest(t.signal));

      assert.equal(job.outputs['conclusion'], 'drift', job.log.join('\n'));
      assert.equal(job.outputs['verdict'], 'fail');
      assert.equal(job.outputs['baseline-key'], baselineKey);
      assert.equal(job.succeeded, false);

      const [before, after] = [await observations(baselineRecord), await observations(job.record)];
      const drifted = PROMPTS.filter(
        (id) => digestIn(before.get(id), 'logprobs') !== digestIn(after.get(id), 'logprobs'),
      );
      assert.notEqual(drifted.length, 0);
      assert.equal(job.outputs['drift-count'], String(drifted.length));
      assert.deepEqual(await digests(job.record, 'text'), await digests(baselineRecord, 'text'));
      assert.deepEqual(await digests(job.record, 'tokens'), await digests(baselineRecord, 'tokens'));

      const placed = job.annotations.filter(({ file, level }) => file !== undefined && level === 'error');
      assert.ok(
        job.annotations.some(({ level, title }) => level === 'notice' && title === 'New in the suite'),
      );
      assert.deepEqual(
        placed
          .map(({ level, file, line }) => ({ level, file, line }))
          .toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0)),
        drifted.map((id) => ({ level: 'error', file: 'determinism.yml', line: lineOf(text, `id: ${id}`) })),
      );
      const baseline = job.log.slice(job.log.findIndex((line) => line.startsWith('baseline: broken')));
      assert.ok(baseline.some((line) => line.startsWith('  ocean ') && line.includes('new prompt')));
      assert.ok(
        job.annotations.some(({ level, title }) => level === 'notice' && title === 'Foretold by probes'),
      );
      // With the worst, once.
      assert.match(placed[0]?.message ?? '', new RegExp(`ATEN_CPU_CAPABILITY: .* → ${OTHER_CAPABILITY}`));
      for (const id of drifted) {
        assert.ok(
          job.log.some((line) => line.includes(id) && line.includes('[hash of the text: same]')),
          id,
        );
        assert.match(
          job.summary,
          new RegExp(`<code>${id}</code> \\|[^|]*other log-probability bits \\|[^|]*\\| same \\|`),
        );
      }
      return job;
    },
  );
});

interface SuiteParts {
  readonly image: string;
  readonly model: string;
  /** Instruction set of PyTorch's own kernels. */
  readonly capability: string;
  /** More lines of prompts. */
  readonly extra: string;
}

/** The example's suite for a machine without a GPU, with as few engine starts as there can be. */
function suiteText({ image, model, capability, extra = '' }: Partial<SuiteParts>): string {
  return `# A comment, so that no line number is right by chance.
apiVersion: deterministic-ml/v1
name: act-way-through
model: { path: ${JSON.stringify(model)} }
engine:
  name: vllm
  args: { dtype: float32, max_model_len: 1024, max_num_seqs: 8, num_gpu_blocks_override: 32 }
  env: { TORCHDYNAMO_DISABLE: "1", OMP_NUM_THREADS: "1", VLLM_CPU_OMP_THREADS_BIND: nobind${capability === undefined ? '' : `, ATEN_CPU_CAPABILITY: ${capability}`} }
runtime: { image: ${JSON.stringify(image)} }
sampling: { temperature: 0, max_tokens: 8, seed: 0 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
  - { id: essay, file: prompts/essay.txt }
  - { id: primes, text: "The first ten prime numbers are" }
${extra}relations: [rerun, baseline]
baseline: { lifetimes: 1 }
policy: { confirm: 0 }
`;
}

function mentions({ log }: JobResult, text: string): boolean {
  return log.some((line) => line.includes(text));
}

function lineOf(text: string, part: string): number {
  return text.split('\n').findIndex((line) => line.includes(part)) + 1;
}

async function observations(record: string): Promise<Map<string, Observation>> {
  const opened = await openRecord(record);
  return new Map(firstObservations(opened.record).map((one) => [one.prompt, one]));
}

async function digests(
  record: string,
  what: 'text' | 'tokens' | 'logprobs',
): Promise<Record<string, string>> {
  return Object.fromEntries(
    [...(await observations(record))]
      .filter(([id]) => PROMPTS.some((prompt) => prompt === id))
      .map(([id, one]) => [id, digestIn(one, what)]),
  );
}

const digestIn = (one: Observation | undefined, channel: string) =>
  one === undefined ? '' : (channelOf(one, channel)?.sha256 ?? '');

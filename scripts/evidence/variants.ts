/**
 * `node scripts/evidence/variants.ts`: a suite with variants on this machine's vLLM, and a check that drifts by two changes which
 * only together move the bits, with the search for them beside its variants. As a user would, through the command line. Writes
 * docs/evidence/2026-11-28-variants/results.json.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import type { Report } from '../../src/report/schema.ts';
import { cache, repository } from '../setup/cache.ts';
import { ensureModel } from '../setup/model.ts';
import { ensureEngine } from '../setup/python.ts';

/** Compilation needs both: the engine's own word for it, and PyTorch's. */
const BEFORE = { args: { enforce_eager: true, max_num_seqs: 8 }, env: { TORCHDYNAMO_DISABLE: '1' } };
const AFTER = { args: { enforce_eager: false, max_num_seqs: 4 }, env: { TORCHDYNAMO_DISABLE: '0' } };

const model = await ensureModel();
const { python } = await ensureEngine();
const folder = join(cache, 'evidence/variants');
await rm(folder, { recursive: true, force: true });
await mkdir(folder, { recursive: true });

const suite = ({ args, env }: typeof BEFORE | typeof AFTER) => `apiVersion: deterministic-ml/v1
name: variants
model: { path: ${model} }
engine:
  name: vllm
  args: ${JSON.stringify({ dtype: 'float32', max_model_len: 512, ...args })}
  env: ${JSON.stringify(env)}
sampling: { temperature: 0, max_tokens: 48 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
  - { id: primes, text: "The first ten prime numbers are 2, 3, 5," }
relations: [baseline]
baseline: { store: files, lifetimes: 1 }
policy: { confirm: 0, bisect: 10 }
variants:
  - { name: trainer, engine: transformers, args: { attn_implementation: sdpa }, require: within 2x floor }
  - { name: bfloat16, args: { dtype: bfloat16 }, require: measure }
  - { name: fp8-kv, args: { kv_cache_dtype: fp8_e5m2 }, require: measure }
`;

async function run(
  command: 'check' | 'refresh',
  of: typeof BEFORE | typeof AFTER,
  ...flags: readonly string[]
) {
  await writeFile(join(folder, 'determinism.yml'), suite(of));
  const began = performance.now();
  const { stdout, stderr } = await execa(
    process.execPath,
    [
      ...[join(repository, 'src/cli.ts'), command, 'determinism.yml', '--runtime', 'process', '--json'],
      ...['--python', python, ...flags],
    ],
    {
      cwd: folder,
      env: { VLLM_CPU_KVCACHE_SPACE: '1', XDG_CACHE_HOME: join(folder, 'cache') },
      reject: false,
    },
  );
  if (stdout.trim() === '') throw new Error(stderr.slice(-4000));
  const { report } = JSON.parse(stdout) as { report: Report };
  const told = {
    command,
    seconds: Math.round((performance.now() - began) / 1000),
    conclusion: report.conclusion,
    verdict: report.verdict,
    relations: report.relations.map(({ relation, status, evidence, size, roles }) => ({
      ...{ relation, status, evidence },
      ...(size && { rmsNats: size.distance.rmsNats, floorNats: size.floorNats }),
      ...(roles && { modules: roles.all.length, beyondRounding: roles.first }),
    })),
    notices: report.context.notices.map(({ title, message }) => `${title}: ${message}`),
  };
  console.log(JSON.stringify(told, null, 2));
  return told;
}

const runs = [
  await run('refresh', BEFORE, '--reason', 'to be checked against'),
  await run('check', BEFORE),
  await run('check', AFTER),
];
const target = join(repository, 'docs/evidence/2026-11-28-variants');
await mkdir(target, { recursive: true });
await writeFile(
  join(target, 'results.json'),
  `${JSON.stringify({ before: BEFORE, after: AFTER, runs }, null, 2)}\n`,
);

/**
 * `node scripts/evidence/foretold.ts`: what probes cost beside a model, whether they leave its bits alone, and what a check
 * says of a change with them. Writes `beside-a-model.json` into docs/evidence/2026-11-28-probes-beside.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { measureOnce } from '../../src/changes/measure.ts';
import { compare } from '../../src/compare/compare.ts';
import { compareProbes } from '../../src/compare/probes.ts';
import type { OpenedRecord } from '../../src/record/side.ts';
import { repository } from '../setup/cache.ts';
import { ensureModel } from '../setup/model.ts';
import { ensureEngine } from '../setup/python.ts';
import { aBench } from './bench.ts';

const SUITE = (engine: string, model: string, dtype: string) => `apiVersion: deterministic-ml/v1
name: beside
model: { path: ${model} }
engine: { name: ${engine}, args: { dtype: ${dtype}${engine === 'vllm' ? ', max_model_len: 512' : ''} } }
sampling: { temperature: 0, max_tokens: 16 }
prompts:
  - { id: capital, text: "The capital of France is" }
  - { id: sky, messages: [{ role: user, content: "Explain why the sky is blue." }] }
baseline: { store: files }
`;

const CHANGES: readonly Readonly<Record<string, string>>[] = [
  {},
  { ATEN_CPU_CAPABILITY: 'avx2' },
  { ONEDNN_MAX_CPU_ISA: 'AVX2' },
];

const model = await ensureModel();
const { python } = await ensureEngine();
const found: object[] = [];
for (const engine of ['transformers', 'vllm'])
  for (const dtype of ['float32', 'bfloat16']) {
    const name = `beside-${engine}-${dtype}`;
    const bench = await aBench({
      name,
      suite: SUITE(engine, model, dtype),
      inputs: { python, runtime: 'process' },
      environment: { VLLM_CPU_KVCACHE_SPACE: '1' },
    });
    const { subject, settings, tools } = bench;
    const run = async (what: string, environment: Readonly<Record<string, string>>, probes: boolean) =>
      await measureOnce(
        subject.loaded,
        { ...subject.plan, probes, environment: { ...subject.plan.environment, ...environment } },
        bench.baseline,
        { ...settings, recordPath: `${settings.recordPath}.${what}` },
        tools,
      );
    const baseline = await run('baseline', {}, true);
    const withoutThem = await run('without', {}, false);
    for (const [turn, environment] of CHANGES.entries()) {
      const record = await run(`change-${turn}`, environment, true);
      found.push({
        ...{ engine, dtype, change: nameOf(environment) },
        ...(await told(record, baseline)),
        sameWithoutProbes: turn === 0 ? record.record.digest === withoutThem.record.digest : undefined,
        calls: Object.keys(probesOf(record)?.calls ?? {}).length,
        seconds: probesOf(record)?.seconds,
        loadSeconds: record.record.lifetimes[0]?.loadSeconds,
      });
      console.log(JSON.stringify(found.at(-1)));
    }
  }
await writeFile(
  join(repository, 'docs/evidence/2026-11-28-probes-beside/beside-a-model.json'),
  `[\n${found.map((one) => JSON.stringify(one)).join(',\n')}\n]\n`,
);

function nameOf(environment: Readonly<Record<string, string>>): string {
  const told = Object.entries(environment).map((pair) => pair.join('='));
  return told.length === 0 ? 'none' : told.join(' ');
}

function probesOf({ record }: OpenedRecord) {
  return record.lifetimes[0]?.probes;
}

async function told(now: OpenedRecord, before: OpenedRecord): Promise<object> {
  const [relation] = await compare(now, before, [{ relation: 'baseline', requirement: 'identical' }]);
  const differ = relation?.findings.filter(({ agreement }) => agreement !== 'identical').length;
  return { model: relation?.status, differ, probes: compareProbes(before.record, now.record) };
}

import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packBody, packVocabulary } from '../../src/record/body.ts';
import { sha256 } from '../../src/record/digest.ts';
import { packRecord } from '../../src/record/parse.ts';
import type { Observation, RunRecord } from '../../src/record/schema.ts';
import {
  type Body,
  body,
  channelsOf,
  inputDigest,
  observation,
  pass,
  side,
  withTree,
} from '../unit/support/records.ts';

/** What a big record holds. */
export interface BigRecord {
  readonly prompts: number;
  /** Steps of each prompt. */
  readonly steps: number;
  readonly kind: 'generate' | 'force';
  /** Every prompt computes something else from its third step on, and every fourth parts from its tokens later. */
  readonly drifted: boolean;
}

const K = 5;
const VOCABULARY = 49_152;
/** As many tokens as any pass returns: else the counter is no witness of it. */
const COUNTED = { generatedTokens: 1_000_000_000 };

/** Writes a record with bits that look as a model's do: as many megabytes as it takes, and the same in each run. */
export async function writeBigRecord(folder: string, options: BigRecord): Promise<RunRecord> {
  const { prompts, kind } = options;
  const name = `${kind}-alone`;
  const ids = Array.from({ length: prompts }, (_, index) => `prompt-${index}`);
  const observations: Observation[] = [];
  await mkdir(join(folder, 'bodies'), { recursive: true });
  // Not by the record's own writer, which waits for the disk after each body.
  const keep = async (bytes: Buffer) => {
    const digest = sha256(bytes);
    await writeFile(join(folder, 'bodies', digest), bytes);
    return digest;
  };
  for (const [index, id] of ids.entries()) {
    const bits = bitsOf(index, options);
    observations.push({
      ...observation(id, bits, { pass: name }),
      body: await keep(packBody(channelsOf(bits, kind))),
    });
  }
  const vocabulary = await keep(
    packVocabulary(new Map(Array.from({ length: VOCABULARY }, (_, id) => [id, ` token${id}`]))),
  );
  const { record } = side({ passes: { [name]: { 'prompt-0': body() } } });
  const lifetimes = record.lifetimes.map((lifetime) => ({ ...lifetime, passes: [pass(name, ids, COUNTED)] }));
  const suite = { ...record.suite, prompts: ids.map((id) => asked(record, id)) };
  const whole = withTree({ ...record, suite, lifetimes, observations, vocabulary });
  await writeRecord(folder, whole);
  return whole;
}

async function writeRecord(folder: string, record: RunRecord): Promise<void> {
  const { text, passes } = packRecord(record);
  for (const bytes of passes) await writeFile(join(folder, 'bodies', sha256(bytes)), bytes);
  await writeFile(join(folder, 'record.json'), text);
}

const asked = ({ suite }: RunRecord, id: string) => {
  const [one] = suite.prompts;
  if (one === undefined) throw new Error('a record without a prompt');
  return { ...one, id, input: inputDigest(id) };
};

/** The first prompts of a record that was written, as a record of its own over the same bodies. */
export async function writeBeginning(of: string, record: RunRecord, folder: string, prompts: number) {
  const ids = new Set(record.suite.prompts.slice(0, prompts).map(({ id }) => id));
  const lifetimes = record.lifetimes.map((lifetime) => ({
    ...lifetime,
    passes: lifetime.passes.map((one) => pass(one.pass, [...ids], COUNTED)),
  }));
  const part = withTree({
    ...record,
    suite: { ...record.suite, prompts: record.suite.prompts.slice(0, prompts) },
    lifetimes,
    observations: record.observations.filter(({ prompt }) => ids.has(prompt)),
  });
  await mkdir(folder, { recursive: true });
  await symlink(join(of, 'bodies'), join(folder, 'bodies'));
  await writeRecord(folder, part);
}

function bitsOf(index: number, { steps, kind, drifted }: BigRecord): Body {
  const random = mulberry(index + 1);
  const noisy = mulberry(-index - 1);
  const tokens = new Uint32Array(steps);
  const logprobs = new Float32Array(steps);
  const topIds = new Uint32Array(steps * K);
  const topLogprobs = new Float32Array(steps * K);
  for (let step = 0; step < steps; step++) {
    let nats = -random();
    const first = Math.floor(random() * (VOCABULARY - 2 * K));
    // Rounding moves every log-probability, and now and then lets another token into the top k.
    const noise = drifted && step >= 2 ? (noisy() - 0.5) / 16 : 0;
    const other = noise > 0.03 ? 1 : 0;
    for (let i = 0; i < K; i++) {
      topIds[step * K + i] = first + i + (i === K - 1 ? other : 0);
      topLogprobs[step * K + i] = nats + noise * (1 + i / K);
      nats -= 0.1 + random();
    }
    tokens[step] = topIds[step * K] ?? 0;
    logprobs[step] = topLogprobs[step * K] ?? 0;
  }
  // Where generation parts, later than most do, the rest is another text.
  if (drifted && kind === 'generate' && index % 4 === 0)
    for (let step = Math.floor((steps * 7) / 8); step < steps; step++) {
      tokens[step] = topIds[step * K + 1] ?? 0;
      logprobs[step] = topLogprobs[step * K + 1] ?? 0;
    }
  const promptTokens = Uint32Array.from({ length: 32 }, (_, i) => index + i);
  const text = kind === 'generate' ? `text ${index} `.repeat(steps / 4) : '';
  return { promptTokens, tokens, logprobs, k: K, topIds, topLogprobs, text };
}

/** Numbers in [0, 1) that look random. */
function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

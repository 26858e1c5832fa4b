import { hardwareClass } from '../fingerprint/hardware-class.ts';
import { packBody, packVocabulary } from '../record/body.ts';
import { describeChannel } from '../record/channels.ts';
import { digestJson, sha256 } from '../record/digest.ts';
import { RECORD_SCHEMA, UNTOLD } from '../record/names.ts';
import type { Lifetime, Observation, RunRecord } from '../record/schema.ts';
import { packSoftware } from '../record/software.ts';
import { lifetimeDigest, passDigest, recordDigest } from '../record/tree.ts';
import type { Witness } from '../record/witness.ts';
import { VERSION } from '../version.ts';
import { partOf } from './names.ts';
import type { ImportedRun } from './source.ts';

/** When nobody told: the same each time, so that the same files give the same record. */
const NO_TIME = '1970-01-01T00:00:00Z';
const [LIFETIME, PASS] = ['lifetime-1', 'generate-untold'];

/** Nobody here saw an engine: no relation is exercised by it. */
const NO_WITNESS: Witness = {
  process: 'unknown',
  ...{ steps: null, generatedTokens: null, promptTokens: null, maxRunning: null, cachedTokens: null },
  ...{ preemptions: null, requests: null },
};

/** A record of what another program told. @throws UserError `record-invalid` for bits that no engine can mean */
export function recordOf({
  suite,
  createdAt = NO_TIME,
  environment,
  answers,
  vocabulary,
}: ImportedRun): RunRecord {
  const { fingerprint, settings, software: listed } = environment;
  const observations = answers.map(
    ({ prompt, input, finishReason, channels }): Observation => ({
      ...{ lifetime: LIFETIME, pass: PASS, prompt, input, finishReason },
      channels: channels.map(describeChannel),
      body: sha256(packBody(channels)),
    }),
  );
  const software = new Map(listed === undefined ? [] : [[sha256(packSoftware(listed)), listed] as const]);
  const [list] = software.keys();
  const pass = {
    ...{ pass: PASS, kind: 'generate' as const, arrangement: UNTOLD as typeof UNTOLD },
    groups: [answers.map(({ prompt }) => prompt)],
    seconds: 0,
    unavailable: null,
    witness: NO_WITNESS,
    sampling: {},
    digest: passDigest(observations),
  };
  const lifetime: Lifetime = {
    lifetime: LIFETIME,
    loadSeconds: 0,
    settings,
    perturbed: null,
    passes: [pass],
    digest: lifetimeDigest([pass]),
    ...(list === undefined ? {} : { software: list }),
  };
  const prompts = answers.map(({ prompt, input, sampling }) => ({ id: prompt, input, sampling }));
  const { gpus, driver } = fingerprint.ambient;
  return {
    schema: RECORD_SCHEMA,
    tool: VERSION,
    createdAt,
    suite: { name: partOf(suite), digest: digestJson({ suite, prompts }), prompts, texts: [] },
    known: [],
    fingerprint,
    // No GPU that is listed is no CPU: nobody told.
    hardwareClass: gpus.length === 0 && driver === 'unknown' ? 'unknown' : hardwareClass(fingerprint.ambient),
    source: 'imported',
    health: { state: 'not-told', reasons: [] },
    lifetimes: [lifetime],
    observations,
    software,
    digest: recordDigest([lifetime]),
    vocabulary: sha256(packVocabulary(vocabulary)),
  };
}

import { UNTOLD } from '../record/names.ts';
import type { RunRecord } from '../record/schema.ts';
import { lifetimesOf, passesOf } from '../record/select.ts';
import { softwareOf } from '../record/software.ts';
import { factsOf, notesOf, wholeOf } from './facts.ts';
import type { Answered, Case } from './types.ts';

/** Arrangements of passes that ask each prompt by itself, or as nobody knows. */
const ALONE: ReadonlySet<string> = new Set(['alone', UNTOLD]);

/**
 * A record as a case: what its first engine start gave of each prompt by itself. Starts of one run that gave other
 * bits, or were other, are cases of their own.
 */
export function casesOf(record: RunRecord, name: string): Case[] {
  const software = softwareOf(record);
  const notes = notesOf(record.fingerprint);
  const whole = wholeOf(record.source, software);
  const byPass = Map.groupBy(record.observations, ({ lifetime, pass }) => `${lifetime}/${pass}`);
  const seen = new Map<string, Case>();
  for (const { lifetime, settings } of lifetimesOf(record)) {
    const answers = new Map<string, Answered>();
    const digests: string[] = [];
    for (const { pass } of passesOf(record, { lifetime })) {
      if (!ALONE.has(pass.arrangement)) continue;
      digests.push(`${pass.kind} ${pass.digest}`);
      for (const { prompt, input, channels } of byPass.get(`${lifetime}/${pass.pass}`) ?? [])
        answers.set(`${pass.kind} ${input}`, {
          ...{ prompt, kind: pass.kind },
          channels: new Map(channels.map((channel) => [bitsOf(channel.name), digestOf(channel)])),
        });
    }
    if (answers.size === 0) continue;
    const facts = factsOf(record.fingerprint, settings, software);
    const key = `${digests.join(' ')} ${JSON.stringify([...facts])}`;
    if (!seen.has(key)) seen.set(key, { name, suite: record.suite.name, facts, answers, notes, whole });
  }
  const all = [...seen.values()];
  return all.length < 2
    ? all
    : all.map((one, index) => ({ ...one, name: `${name} (start ${index + 1} of the engine)` }));
}

/** A text by its digest alone is a text. */
const bitsOf = (name: string) => (name === 'text-digest' ? 'text' : name);

/** Of a text what the predecessor published, since that is all that some records know of theirs. */
const digestOf = ({ sha256, blake2b, name, count }: RunRecord['observations'][number]['channels'][number]) =>
  name === 'top-k' ? `${count} ${sha256}` : (blake2b ?? sha256);

import { z } from 'zod';
import { UserError } from '../errors.ts';
import { RunRecord } from './schema.ts';

/**
 * @param where shown in the message
 * @throws UserError `record-invalid` for anything that is not a whole and consistent record
 */
export function parseRecord(text: string, where: string): RunRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(where, 'is no JSON', cause);
  }
  const result = RunRecord.safeParse(value);
  if (!result.success) throw invalid(where, z.prettifyError(result.error), result.error);
  const problem = inconsistency(result.data);
  if (problem !== undefined) throw invalid(where, problem);
  return result.data;
}

/** What a schema cannot say: every observation belongs to a prompt and a pass of this record, once. */
function inconsistency(record: RunRecord): string | undefined {
  const inputs = new Map(record.suite.prompts.map(({ id, input }) => [id, input]));
  if (inputs.size !== record.suite.prompts.length) return 'names a prompt twice';
  const passes = new Set(record.lifetimes.flatMap((l) => l.passes.map((p) => `${l.lifetime}/${p.pass}`)));
  const seen = new Set<string>();
  for (const { lifetime, pass, prompt, input } of record.observations) {
    const key = `${lifetime}/${pass}/${prompt}`;
    if (inputs.get(prompt) !== input) return `has an observation of ${key} with another input than its suite`;
    if (!passes.has(`${lifetime}/${pass}`))
      return `has an observation of an unknown pass ${lifetime}/${pass}`;
    if (seen.has(key)) return `has two observations of ${key}`;
    seen.add(key);
  }
  return undefined;
}

function invalid(where: string, why: string, cause?: unknown): UserError {
  return new UserError(
    'record-invalid',
    `${where} ${why}.`.slice(0, 4000),
    'The record is damaged or of another version: make it again.',
    { cause },
  );
}

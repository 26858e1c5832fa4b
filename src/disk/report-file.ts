import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { some } from '../counted.ts';
import { UserError } from '../errors.ts';
import { partialOf } from '../machine/scratch.ts';
import { type Report, ReportSchema } from '../report/schema.ts';
import { diskError, unread } from './errors.ts';

/** Of what is wrong with a file that is no report. */
const MAX_TOLD = 3;

/** Largest accepted report in bytes. */
const MAX_REPORT_BYTES = 64 * 1024 * 1024;

/** @throws UserError `disk-full` */
export async function writeReport(path: string, report: Report): Promise<void> {
  // Without indentation: what many prompts need must fit what a reader takes.
  await writeText(path, `${JSON.stringify(report)}\n`);
}

/** Writes a file whole or not at all, over an older one. @throws UserError `disk-full` */
export async function writeText(path: string, text: string): Promise<void> {
  const partial = partialOf(path);
  try {
    await mkdir(dirname(path), { recursive: true });
    {
      await using file = await open(partial, 'w');
      await file.writeFile(text);
      // The rename must not reach the disk before the bytes do.
      await file.sync();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw diskError(error, path);
  }
}

/**
 * @param maxValues numbers, texts and the like in it: each that is wrong is a thousand bytes of explanation
 * @throws UserError `report-invalid`; whether its digest is right is for `verify` to say
 */
export async function readReport(path: string, maxValues = Number.POSITIVE_INFINITY): Promise<Report> {
  const value = parse(await read(path), path);
  const problem = problemOf(value, maxValues);
  if (problem !== undefined) throw invalid(path, `is no report: ${problem}`);
  const result = ReportSchema.safeParse(value);
  if (!result.success) throw invalid(path, `is no report: ${wrongIn(result.error)}`, result.error);
  return result.data;
}

const wrongIn = ({ issues }: z.ZodError) =>
  some(
    issues.map(
      ({ message, path }) => `${message.replace(/^Invalid input: /, '')} at ${path.join('.') || 'its top'}`,
    ),
    MAX_TOLD,
    '; ',
  );

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(path, 'is no JSON', cause);
  }
}

/** Deeper than any report. */
const MAX_DEPTH = 32;

/** What a schema would choke on. Without recursion, since depth is one of these things. */
function problemOf(value: unknown, maxValues: number): string | undefined {
  let level: unknown[] = [value];
  let values = 0;
  for (let depth = 0; level.length > 0; depth++) {
    values += level.length;
    if (values > maxValues) return `it holds more than ${maxValues} values`;
    if (depth > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH} levels`;
    const next: unknown[] = [];
    for (const one of level) {
      // JSON can name half of a surrogate pair. No text that we write holds one, and nothing that does has a digest.
      if (typeof one === 'string' && !one.isWellFormed()) return 'it holds half of a character';
      if (typeof one !== 'object' || one === null) continue;
      if (Array.isArray(one)) for (const member of one) next.push(member);
      else
        for (const [key, member] of Object.entries(one)) {
          if (!key.isWellFormed()) return 'it holds half of a character';
          next.push(member);
        }
    }
    level = next;
  }
  return undefined;
}

async function read(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_REPORT_BYTES) throw invalid(path, `is larger than ${MAX_REPORT_BYTES} bytes`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw invalid(path, unread(cause), cause);
  }
}

function invalid(path: string, why: string, cause?: unknown): UserError {
  return new UserError(
    'report-invalid',
    `${path} ${why}.`.slice(0, 4000),
    'Name the `….report.json` that a run of this version left beside its record.',
    { cause },
  );
}

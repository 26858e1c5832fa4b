import { randomBytes } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { UserError } from '../errors.ts';
import type { Report } from '../report/model.ts';
import { ReportSchema } from '../report/schema.ts';
import { diskError, systemCode } from './errors.ts';

/** Largest accepted report in bytes. */
const MAX_REPORT_BYTES = 64 * 1024 * 1024;

/** @throws UserError `disk-full` */
export async function writeReport(path: string, report: Report): Promise<void> {
  // Without indentation: what many prompts need must fit what a reader takes.
  await writeText(path, `${JSON.stringify(report)}\n`);
}

/** Writes a file whole or not at all, over an older one. @throws UserError `disk-full` */
export async function writeText(path: string, text: string): Promise<void> {
  const partial = `${path}.partial-${randomBytes(4).toString('hex')}`;
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

/** @throws UserError `report-invalid`; whether its digest is right is for `verify` to say */
export async function readReport(path: string): Promise<Report> {
  const result = ReportSchema.safeParse(parse(await read(path), path));
  if (!result.success) throw invalid(path, `is no report: ${z.prettifyError(result.error)}`, result.error);
  return result.data;
}

/** JSON can name half of a surrogate pair. No text that we write holds one, and nothing could be digested that does. */
const SURROGATE = /\\ud[89a-f]/i;

function parse(text: string, path: string): unknown {
  let isWhole = true;
  const look = (key: string, value: unknown) => {
    isWhole &&= key.isWellFormed() && (typeof value !== 'string' || value.isWellFormed());
    return value;
  };
  let value: unknown;
  try {
    value = SURROGATE.test(text) ? JSON.parse(text, look) : JSON.parse(text);
  } catch (cause) {
    throw invalid(path, 'is no JSON', cause);
  }
  if (!isWhole) throw invalid(path, 'is no report: it holds half of a character');
  return value;
}

async function read(path: string): Promise<string> {
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    if (size > MAX_REPORT_BYTES) throw invalid(path, `is larger than ${MAX_REPORT_BYTES} bytes`);
    return await file.readFile('utf8');
  } catch (cause) {
    if (cause instanceof UserError) throw cause;
    throw invalid(path, `cannot be read (${systemCode(cause) ?? String(cause)})`, cause);
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

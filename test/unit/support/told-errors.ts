/**
 * `node told-errors.ts`: tells every error code with every hostile text as a job does, in a process of its own
 * since a job's log is its stdout. Prints one JSON list: what each of them left behind. A `GITHUB_STEP_SUMMARY` of the
 * environment is kept, for one that cannot be written.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ERROR_CODES, UserError } from '../../../src/errors.ts';
import { tellError } from '../../../src/front/failure.ts';
import { beginSummary } from '../../../src/tell/job-summary.ts';
import type { ToldCode } from '../../../src/words/error-words.ts';
import { folderOfProcess } from '../../support/folders.ts';
import { HOSTILE } from './hostile.ts';

/** What a job has of one error. */
export interface ToldAs {
  readonly code: ToldCode;
  readonly text: string;
  readonly log: string;
  readonly summary: string;
  readonly outputs: string;
}

/** What is thrown: the hostile text is in all that an error may quote. */
function thrown(code: ToldCode, text: string): Error {
  const message = `${text}\nIts last lines:\n${text}`;
  if (code === 'internal-error') return new TypeError(message);
  const place = { file: 'determinism.yml', line: 3, column: 5, message: text };
  return new UserError(code, message, `Look at ${text}\n${text}`, { places: [place] });
}

if (import.meta.main) {
  const folder = folderOfProcess();
  const [summary, outputs] = [join(folder, 'summary'), join(folder, 'outputs')];
  process.env['GITHUB_STEP_SUMMARY'] ??= summary;
  process.env['GITHUB_OUTPUT'] = outputs;
  const print = process.stdout.write.bind(process.stdout);
  let log = '';
  process.stdout.write = (part: string | Uint8Array) => {
    log += String(part);
    return true;
  };
  const all: ToldAs[] = [];
  for (const code of [...ERROR_CODES, 'internal-error'] as const)
    for (const text of Object.values(HOSTILE)) {
      log = '';
      for (const file of [summary, outputs]) writeFileSync(file, '');
      // Each is the end of a step of its own.
      beginSummary();
      await tellError(thrown(code, text));
      const [shown, set] = [summary, outputs].map((file) => readFileSync(file, 'utf8'));
      all.push({ code, text, log, summary: shown ?? '', outputs: set ?? '' });
    }
  print(JSON.stringify(all));
  process.exitCode = 0;
}

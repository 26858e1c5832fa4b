import * as core from '@actions/core';
import { visible } from '../inert.ts';

/** The runner drops a summary of more whole: step by step, and all that a step writes goes into one file. */
const MAX_BYTES = 1024 * 1024;
/** Bytes that this step has written; an error's summary comes behind a report's. */
let written = 0;

/** Of a step that begins. */
export function beginSummary(): void {
  written = 0;
}

/** @param text Markdown that is inert already */
export async function addSummary(text: string): Promise<void> {
  const shown = fitted(text, MAX_BYTES - written);
  try {
    await core.summary.addRaw(shown).write();
    written += Buffer.byteLength(shown);
  } catch (error) {
    // A runner without a summary file still has annotations, outputs and the log.
    core.notice(`The job summary could not be written: ${visible(String(error))}`);
  }
}

/** At most `max` bytes: whole lines, and a note about the rest. Empty where there is no room for that either. */
export function fitted(text: string, max: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= max) return text;
  const note = `\n✂️ A job summary holds no more: this was cut, of ${bytes.length} bytes in all.\n`;
  const room = max - Buffer.byteLength(note);
  if (room < 0) return '';
  // No character is cut where a line ends.
  return `${bytes.subarray(0, bytes.subarray(0, room).lastIndexOf('\n') + 1).toString()}${note}`;
}

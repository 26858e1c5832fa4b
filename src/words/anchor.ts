import { sha256 } from '../record/digest.ts';

/** Of a suite's own ids, 64 characters, none is longer than this. */
const MAX = 96;

/**
 * Where a prompt stands on the page: the fragment of an address, without `#`. The same id gives the same one in every run, and
 * no two ids share one, whatever they hold: what is no letter, digit, `-`, `_` or `.` is spelled `~hex~`, and of what is
 * too long a digest stands behind three `~`, which spelling never gives.
 */
export function promptAnchor(prompt: string): string {
  const spelled = prompt.slice(0, MAX).replaceAll(PLAIN, (one) => `~${one.charCodeAt(0).toString(16)}~`);
  return prompt.length <= MAX && spelled.length <= MAX
    ? `prompt-${spelled}`
    : `prompt-${spelled.slice(0, MAX).replace(/~+$/, '')}~~~${sha256(JSON.stringify(prompt)).slice(0, 32)}`;
}

/** Matched by code unit: half a surrogate pair is spelled too, and in the digest JSON spells it. */
const PLAIN = /[^\w.-]/g;

/** The page by its file's name: where it lies for a reader nobody knows before it is uploaded. */
export const pageName = (htmlPath: string): string => htmlPath.split(/[\\/]/).at(-1) ?? htmlPath;

import { join } from 'node:path';
import { ensureTools } from './tools.ts';

/** nektos/act, which runs workflows on this machine: the path of its program. */
export async function ensureAct(): Promise<string> {
  return join(await ensureTools(), 'bin/act');
}

/** zizmor, which finds what is unsafe in workflows: the path of its program. */
export async function ensureZizmor(): Promise<string> {
  return join(await ensureTools(), 'bin/zizmor');
}

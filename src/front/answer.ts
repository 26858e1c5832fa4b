import type { Tools } from '../job/tools.ts';
import type { Headline, Kind } from '../surfaces/surface.ts';
import { type Recipients, tell } from '../tell/tell.ts';
import type { Given, ModeOf } from './modes.ts';

/** Runs the use-case of a mode and tells whoever is there what it gives. @throws whatever either throws */
export async function answer<K extends Kind>(
  mode: ModeOf<K>,
  given: Given,
  tools: Tools,
  to: Recipients,
): Promise<Headline> {
  return await tell(mode.told, await mode.run(given, tools), to);
}

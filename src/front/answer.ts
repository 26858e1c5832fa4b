import { userErrorIn } from '../errors.ts';
import type { Tools } from '../job/tools.ts';
import type { Headline, Kind } from '../surfaces/surface.ts';
import { documents } from '../tell/documents.ts';
import { type Recipients, tell } from '../tell/tell.ts';
import { toldError } from '../words/errors.ts';
import type { Given, ModeOf } from './modes.ts';

/** Runs the use-case of a mode and tells whoever is there what it gives. @throws whatever either throws */
export async function answer<K extends Kind>(
  mode: ModeOf<K>,
  given: Given,
  tools: Tools,
  to: Recipients,
): Promise<Headline> {
  const disk = tools.open.documents();
  const written = documents(given.documents, disk);
  for (const path of Object.values(given.documents)) await disk.clear(path);
  try {
    return await tell(mode.told, await mode.run(given, tools), { ...to, ...written });
  } catch (error) {
    const failure = {
      error: toldError(error),
      places: userErrorIn(error)?.places ?? [],
      suite: given.suite,
    };
    // What ended the run is told by whoever ends it; that it could not be written down too is no news beside it.
    await tell('failure', failure, written).catch(() => {});
    throw error;
  }
}

import { userErrorIn } from '../errors.ts';
import type { WatchSettings } from '../job/settings.ts';
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
    // What ended the run is told by whoever ends it; that it could not be written down too is no news beside it.
    await tell('failure', failureOf(error, given), written).catch(() => {});
    throw error;
  }
}

/** A check of each save, in a few lines: the files for other programs are of the last one. @throws whatever ends it */
export async function answerSaves(
  given: Given,
  watched: WatchSettings,
  tools: Tools,
  to: Recipients,
): Promise<never> {
  const disk = tools.open.documents();
  const written = documents(given.documents, disk);
  const { watch } = await import('../use-cases/watch.ts');
  const settings = { ...given, ...watched, mode: { name: 'check', needs: 'look' } as const };
  return await watch(settings, tools, async ({ answer: short, told }) => {
    await ('report' in told
      ? tell('report', told.report, written)
      : tell('failure', failureOf(told.error, given), written));
    await tell('answer', short, to);
  });
}

const failureOf = (error: unknown, { suite }: Given) => ({
  ...{ error: toldError(error), places: userErrorIn(error)?.places ?? [] },
  suite,
});

import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { step } from './step.ts';

/** No Chromium can be had here: a reason to skip what needs one, loudly. */
export class ChromiumUnavailable extends Error {
  override readonly name = 'ChromiumUnavailable';
}

/** The first that is there; `chromium` is what Debian calls it. */
const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'] as const;

/** A Chromium of this machine: the path of its program. Installs Debian's where there is none. */
export async function ensureChromium(): Promise<string> {
  const found = await which();
  if (found !== undefined) return found;
  try {
    await step('Chromium', (note) => installPackages(note, 'chromium'));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ChromiumUnavailable(`no Chromium is installed, and none can be: ${reason}`, { cause: error });
  }
  const installed = await which();
  if (installed === undefined) throw new ChromiumUnavailable('chromium was installed and is not on PATH');
  return installed;
}

async function which(): Promise<string | undefined> {
  for (const name of NAMES) {
    const { stdout, failed } = await execa('which', [name], { reject: false });
    if (!failed && stdout !== '') return stdout;
  }
  return undefined;
}

import { execa } from 'execa';
import type { Note } from './step.ts';
import { run } from './step.ts';

/** Installs Debian packages, or says which ones the user must install because this process may not. */
export async function installPackages(note: Note, ...packages: readonly string[]): Promise<void> {
  const hasApt = !(await execa('apt-get', ['--version'], { reject: false })).failed;
  if (process.getuid?.() !== 0 || !hasApt) {
    throw new Error(
      `this needs ${packages.join(', ')} (names of Debian's packages): install that, or run as root on Debian`,
    );
  }
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const patient = ['-o', 'DPkg::Lock::Timeout=300', '-o', 'Acquire::Retries=3'];
  const install = () =>
    run(note, 'apt-get', [...patient, 'install', '--yes', '--no-install-recommends', ...packages], { env });
  try {
    await install();
  } catch {
    // A fresh machine has no package lists yet, an old one has lists of packages that are gone.
    await run(note, 'apt-get', [...patient, 'update'], { env });
    await install();
  }
}

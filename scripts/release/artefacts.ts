import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Bundled, build, differing } from '../build.ts';
import { npmPackage } from '../npm-package.ts';
import { repository } from '../setup/cache.ts';
import { archive } from './archive.ts';
import { commitsSince, notes } from './notes.ts';
import { buildPython, project } from './python.ts';
import { type Sbom, sbomOfAction, sbomOfCpuImage } from './sbom.ts';
import { NotReleasable, type Release } from './version.ts';

/** What all artefacts of one release are made of. */
interface Making {
  readonly release: Release;
  /** What dist/ is built from. */
  readonly bundled: Bundled;
  /** A folder for what is in the making. */
  readonly workshop: string;
}

interface Artefact {
  readonly what: string;
  /** Leaves files in `folder`. */
  readonly make: (folder: string, making: Making) => Promise<void>;
}

/** All that is published beside the tag and the images. */
const artefacts: readonly Artefact[] = [
  {
    what: 'the action, as its tag has it',
    make: (folder, { release: { version } }) => {
      const name = `deterministic-ml-action-${version}`;
      const held = ['action.yml', 'dist', 'docker/harness', 'examples/workflows', 'LICENSE', 'README.md'];
      return archive(join(folder, `${name}.tar.gz`), repository, held, name);
    },
  },
  {
    what: 'the command line for npm',
    make: async (folder) => void (await npmPackage(folder)),
  },
  {
    what: 'the Python distribution for PyPI',
    make: async (folder, { workshop }) => {
      const { wheel, sdist } = await buildPython(project, join(workshop, 'python'));
      for (const file of [wheel, sdist]) await cp(file, join(folder, basename(file)));
    },
  },
  {
    what: 'the JSON Schemas of all files and answers',
    make: (folder, { release: { version } }) => {
      const name = `deterministic-ml-schemas-${version}`;
      return archive(join(folder, `${name}.tar.gz`), repository, ['schema', 'LICENSE'], name);
    },
  },
  {
    what: 'what is inside, as CycloneDX',
    make: async (folder, { release: { version }, bundled }) => {
      const write = (name: string, sbom: Sbom) =>
        writeFile(join(folder, `${name}-${version}.cdx.json`), `${JSON.stringify(sbom, null, 2)}\n`);
      await write('deterministic-ml-action', await sbomOfAction(bundled, version));
      await write('deterministic-ml-cpu', await sbomOfCpuImage(version));
    },
  },
  {
    what: 'what is new',
    make: async (folder, { release }) =>
      writeFile(
        join(folder, 'NOTES.md'),
        notes(release, await commitsSince(repository, `v${release.version}`)),
      ),
  },
];

/** The digests of all other files, as `sha256sum --check` reads them. */
export const SUMS = 'SHA256SUMS';

/** One file of a release. */
export interface Made {
  readonly name: string;
  readonly what: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Makes everything in `folder`, which must be empty.
 *
 * @throws NotReleasable where dist/ is not what the source gives: the tag would not be what is attested
 */
export async function makeAll(folder: string, release: Release): Promise<readonly Made[]> {
  const workshop = await mkdtemp(join(tmpdir(), 'release-'));
  try {
    const dist = join(workshop, 'dist');
    const bundled = await build(dist);
    const stale = await differing(dist, join(repository, 'dist'));
    if (stale.length > 0)
      throw new NotReleasable([
        `dist/ is not what the source gives: ${stale.slice(0, 5).join(', ')}. Run \`npm run build\` and commit dist/.`,
      ]);
    const made: Made[] = [];
    for (const { what, make } of artefacts) {
      await make(folder, { release, bundled, workshop });
      const known = new Set(made.map(({ name }) => name));
      for (const name of (await readdir(folder)).sort())
        if (!known.has(name)) made.push({ name, what, ...(await digestOf(join(folder, name))) });
    }
    const sums = made.map(({ name, sha256 }) => `${sha256}  ${name}\n`).sort();
    await writeFile(join(folder, SUMS), sums.join(''));
    return made;
  } finally {
    await rm(workshop, { recursive: true, force: true });
  }
}

async function digestOf(file: string): Promise<Pick<Made, 'bytes' | 'sha256'>> {
  const content = await readFile(file);
  return { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
}

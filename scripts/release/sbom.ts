import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { z } from 'zod';
import type { Bundled } from '../build.ts';
import { repository } from '../setup/cache.ts';
import { engineLock } from '../setup/python.ts';

/** What is inside something that is published, as CycloneDX 1.5. It has no time, so that the same contents give the same file. */
export type Sbom = z.infer<typeof Sbom>;

const Component = z.looseObject({ 'bom-ref': z.string(), name: z.string(), version: z.string() });
const Sbom = z.looseObject({
  bomFormat: z.literal('CycloneDX'),
  specVersion: z.literal('1.5'),
  components: z.array(Component),
  dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()) })),
});

/** Of dist/: what npm says of the packages whose code is in it, and of no other. */
export async function sbomOfAction(packages: Bundled, version: string): Promise<Sbom> {
  const inside = new Set(await Promise.all([...packages.keys()].map(nameAndVersion)));
  const { stdout } = await execa(
    'npm',
    ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only', '--omit', 'dev'],
    { cwd: repository },
  );
  const { components, dependencies } = Sbom.parse(JSON.parse(stdout));
  const own = `deterministic-ml-action@${version}`;
  const kept = components.filter((one) => inside.has(one['bom-ref']));
  const untold = [...inside].filter((one) => !kept.some((component) => component['bom-ref'] === one));
  if (untold.length > 0) throw new Error(`npm sbom does not tell of ${untold.join(', ')}, which is in dist/`);
  return sbom(
    { name: 'deterministic-ml-action', version, purl: `pkg:npm/deterministic-ml@${version}` },
    kept,
    dependencies
      .filter(({ ref }) => ref === own || inside.has(ref))
      .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => inside.has(one)) })),
  );
}

/** Of the CPU image: the Python packages that its lock puts into it. What Debian has there, the image's own SBOM tells. */
export async function sbomOfCpuImage(version: string): Promise<Sbom> {
  const requirements = (await readFile(engineLock, 'utf8')).matchAll(
    /^([\w.-]+)==(\S+)((?:\s+\\\s+--hash=sha256:[0-9a-f]{64})+)/gm,
  );
  return sbom(
    { name: 'deterministic-ml-cpu', version, purl: `pkg:generic/deterministic-ml-cpu@${version}` },
    [...requirements].map(([, name = '', at = '']) => {
      const purl = `pkg:pypi/${name.toLowerCase()}@${encodeURIComponent(at)}`;
      return { 'bom-ref': purl, type: 'library', name, version: at, purl };
    }),
    [],
  );
}

interface Subject {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
}

function sbom(
  { name, version, purl }: Subject,
  components: Sbom['components'],
  dependencies: Sbom['dependencies'],
): Sbom {
  const metadata = {
    lifecycles: [{ phase: 'build' }],
    component: { 'bom-ref': `${name}@${version}`, type: 'application', name, version, purl },
  };
  // A serial number by chance would be another at each build.
  const digest = createHash('sha256')
    .update(JSON.stringify({ metadata, components, dependencies }))
    .digest('hex');
  const serialNumber = `urn:uuid:${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-a${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
  return {
    ...{
      $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
      bomFormat: 'CycloneDX',
      specVersion: '1.5',
    },
    ...{ serialNumber, version: 1, metadata, components, dependencies },
  };
}

const Manifest = z.object({ name: z.string(), version: z.string() });

/** @param folder of an installed package */
export async function nameAndVersion(folder: string): Promise<string> {
  const { name, version } = Manifest.parse(JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')));
  return `${name}@${version}`;
}

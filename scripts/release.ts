/**
 * `npm run release -- --dry-run [--to FOLDER]`: makes all that a release publishes, and publishes nothing: only
 * .github/workflows/release.yml does, on a tag. There it is held to the tag (`--tag v1.2.3 --repository OWNER/NAME`).
 * `--context IMAGE` makes the folder that an image is built from, and prints its path.
 */
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeAll, SUMS } from './release/artefacts.ts';
import { imageName, images } from './release/images.ts';
import { NotReleasable, releaseOf } from './release/version.ts';
import { cache } from './setup/cache.ts';

const { values } = parseArgs({
  options: {
    'dry-run': { type: 'boolean', default: false },
    to: { type: 'string' },
    tag: { type: 'string' },
    repository: { type: 'string' },
    context: { type: 'string' },
  },
});

try {
  if (values.context !== undefined) await printContext(values.context);
  else if (values['dry-run']) await dryRun();
  else
    throw new NotReleasable([
      'Nothing is published from a machine: push the tag, and .github/workflows/release.yml publishes (docs/releasing.md).',
      '`npm run release -- --dry-run` makes all that it would publish.',
    ]);
} catch (error) {
  if (!(error instanceof NotReleasable)) throw error;
  for (const problem of error.problems) console.error(problem);
  process.exitCode = 1;
}

async function dryRun(): Promise<void> {
  const { tag, repository } = values;
  if ((tag === undefined) !== (repository === undefined))
    throw new NotReleasable(['--tag and --repository go together: what is published, and where.']);
  const release = await releaseOf(
    tag === undefined || repository === undefined ? undefined : { tag, repository },
  );
  const folder = values.to ?? join(cache, 'release', release.version);
  await mkdir(folder, { recursive: true });
  if ((await readdir(folder)).length > 0)
    throw new NotReleasable([
      `${folder} is not empty: what lies there would be published too. Empty it, or name another by --to.`,
    ]);
  for (const { name, what, bytes, sha256 } of await makeAll(folder, release))
    console.log(
      `${sha256.slice(0, 12)}  ${String(Math.ceil(bytes / 1024)).padStart(6)} KiB  ${name}  (${what})`,
    );
  for (const image of images)
    console.log(
      `${imageName(image, release.repository, release.version)}: \`docker buildx build --platform ${image.platforms} --file ${image.dockerfile} $(npm run --silent release -- --context ${image.name})\``,
    );
  console.log(`${folder} holds version ${release.version} and ${SUMS}. Nothing was published.`);
}

async function printContext(name: string): Promise<void> {
  const image = images.find((one) => one.name === name);
  if (image === undefined)
    throw new NotReleasable([
      `There is no image \`${name}\`, only ${images.map((one) => one.name).join(', ')}.`,
    ]);
  console.log(await image.context());
}

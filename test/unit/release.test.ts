import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { z } from 'zod';
import { broughtBy } from '../../scripts/audit.ts';
import { archive } from '../../scripts/release/archive.ts';
import { images } from '../../scripts/release/images.ts';
import { notes } from '../../scripts/release/notes.ts';
import { NotReleasable, releaseOf } from '../../scripts/release/version.ts';
import { temporaryFolder } from './support/folder.ts';

/** Files that tell a version, as a release needs them; the changed ones in their places. */
async function sources(folder: string, changed: Readonly<Record<string, string>> = {}): Promise<string> {
  const files = {
    'package.json': '{ "version": "1.2.0", "repository": { "url": "git+https://github.com/acme/dml.git" } }',
    'package-lock.json': '{ "version": "1.2.0" }',
    'docker/harness/pyproject.toml': '[project]\nversion = "1.2.0"\n',
    'CHANGELOG.md': '# Changelog\n\n## 1.2.0 - 2026-12-01\n\n- More.\n\n## 1.1.0 - 2026-11-01\n\n- Less.\n',
    ...changed,
  };
  await mkdir(join(folder, 'docker/harness'), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

const PUBLISHED = { tag: 'v1.2.0', repository: 'acme/dml' };

describe('a release', () => {
  test('is of one version, and says what its own section of the changelog says', async () => {
    await using folder = await temporaryFolder();
    assert.deepEqual(await releaseOf(PUBLISHED, await sources(folder.path)), {
      ...{ version: '1.2.0', repository: 'acme/dml', changes: '- More.' },
    });
  });

  const WRONG: readonly (readonly [string, Readonly<Record<string, string>>, RegExp])[] = [
    [
      'another version in the lock',
      { 'package-lock.json': '{ "version": "1.1.0" }' },
      /package-lock\.json says version 1\.1\.0/,
    ],
    [
      'none in pyproject.toml',
      { 'docker/harness/pyproject.toml': '' },
      /pyproject\.toml says version \(none\)/,
    ],
    ['no section', { 'CHANGELOG.md': '## 1.1.0 - 2026-11-01\n\n- Less.\n' }, /has no section `## 1\.2\.0`/],
    [
      'an empty section',
      { 'CHANGELOG.md': '## 1.2.0 - 2026-12-01\n\n## 1.1.0\n\n- Less.\n' },
      /has no section/,
    ],
    ['a section without a date', { 'CHANGELOG.md': '## 1.2.0\n\n- More.\n' }, /has no date/],
  ];
  for (const [name, changed, told] of WRONG)
    test(`is refused with ${name}`, async () => {
      await using folder = await temporaryFolder();
      const from = await sources(folder.path, changed);
      await assert.rejects(
        releaseOf(PUBLISHED, from),
        (error) => error instanceof NotReleasable && told.test(error.message),
      );
    });

  test('is refused on a tag of another version, and elsewhere, with both problems at once', async () => {
    await using folder = await temporaryFolder();
    await sources(folder.path);
    await assert.rejects(releaseOf({ tag: 'v1.3.0', repository: 'mallory/dml' }, folder.path), (error) => {
      assert.ok(error instanceof NotReleasable);
      assert.equal(error.problems.length, 2);
      return true;
    });
  });

  test('may be tried without a date, before its tag', async () => {
    await using folder = await temporaryFolder();
    await sources(folder.path, { 'CHANGELOG.md': '## 1.2.0\n\n- More.\n' });
    assert.equal((await releaseOf(undefined, folder.path)).changes, '- More.');
  });
});

test('an archive has neither times nor owners, and only the right to be started', async () => {
  await using folder = await temporaryFolder();
  const packed: Buffer[] = [];
  for (const mode of [0o600, 0o664]) {
    const from = join(folder.path, String(mode));
    await mkdir(join(from, 'a/b'), { recursive: true });
    await writeFile(join(from, 'a/b/c'), 'text', { mode });
    await writeFile(join(from, 'a/run'), 'text', { mode: 0o700 });
    await archive(join(folder.path, `${mode}.tgz`), from, ['a'], 'inside');
    packed.push(await readFile(join(folder.path, `${mode}.tgz`)));
  }
  assert.deepEqual(packed[0], packed[1]);
});

test('notes leave out what GitHub would not take, and say how much', () => {
  const commits = Array.from({ length: 402 }, (_, index) => ({
    ...{ sha: String(index).padStart(40, '0'), subject: `Do ${index}`, files: ['src/a.ts'] },
  }));
  const text = notes({ version: '1.2.0', repository: 'acme/dml', changes: '- More.' }, commits);
  assert.match(text, /^- More\.\n/);
  assert.match(text, /- Do 399 \(.*\n\n2 older ones are left out\.\n$/);
});

test('release.yml builds the images that a release names, for the same platforms', async () => {
  const file = fileURLToPath(new URL('../../.github/workflows/release.yml', import.meta.url));
  const { jobs } = z
    .object({
      jobs: z.object({
        images: z.object({
          strategy: z.object({
            matrix: z.object({ include: z.array(z.object({ image: z.string(), platforms: z.string() })) }),
          }),
        }),
      }),
    })
    .parse(parse(await readFile(file, 'utf8')));
  assert.deepEqual(
    jobs.images.strategy.matrix.include,
    images.map(({ name, platforms }) => ({ image: name, platforms })),
  );
});

describe('who brought what is in dist/', () => {
  const lock = {
    packages: {
      'node_modules/zod': { license: 'MIT' },
      'node_modules/execa': { dependencies: { shared: '1', zod: '1' }, license: 'MIT' },
      'node_modules/execa/node_modules/shared': { license: 'ISC' },
      'node_modules/shared': {},
      'node_modules/yaml': { dependencies: { shared: '1' }, license: 'ISC' },
    },
  };

  test('is found as Node finds it; what this project asks for itself counts there', () => {
    const inside = new Map([
      ['node_modules/execa', 1],
      ['node_modules/execa/node_modules/shared', 2],
      ['node_modules/yaml', 4],
      ['node_modules/zod', 8],
    ]);
    assert.deepEqual(
      broughtBy(['execa', 'yaml', 'zod'], lock, inside).map(({ name, packages, bytes }) => [
        name,
        packages.length,
        bytes,
      ]),
      [
        ['execa', 2, 3],
        ['yaml', 1, 4],
        ['zod', 1, 8],
      ],
    );
  });

  test('is an error where nobody did, or for no known use', () => {
    assert.throws(
      () => broughtBy(['zod'], lock, new Map([['node_modules/yaml', 1]])),
      /holds what no dependency brings/,
    );
    assert.throws(() => broughtBy(['left-pad'], lock, new Map()), /say under USES what left-pad is for/);
  });
});

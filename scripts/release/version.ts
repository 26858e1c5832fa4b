import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { repository } from '../setup/cache.ts';

/** What is wrong with what is to be released: all of it, each with its remedy. */
export class NotReleasable extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** What a version is by its own files. */
export interface Release {
  readonly version: string;
  /** `owner/name` on GitHub. */
  readonly repository: string;
  /** What CHANGELOG.md says of it, without its heading. */
  readonly changes: string;
}

/** Of a run on GitHub: what it publishes for. */
export interface Published {
  readonly tag: string;
  readonly repository: string;
}

const Manifest = z.object({
  version: z.string(),
  repository: z.object({ url: z.string() }),
});
const VERSION = /^\d+\.\d+\.\d+$/;

/**
 * One version in all files that tell one, and a word about it in the changelog.
 *
 * @param published the tag that is being published; without one the changelog's section may be without a date
 * @throws NotReleasable
 */
export async function releaseOf(published?: Published, from = repository): Promise<Release> {
  const read = (file: string) => readFile(join(from, file), 'utf8');
  const { version, repository: source } = Manifest.parse(JSON.parse(await read('package.json')));
  const lock = z.object({ version: z.string() }).parse(JSON.parse(await read('package-lock.json')));
  const python = /^version = "(.*)"$/m.exec(await read('docker/harness/pyproject.toml'))?.[1];
  const [, owner = ''] = /github\.com\/([^/]+\/[^/]+?)\.git$/.exec(source.url) ?? [];
  const section = changesOf(await read('CHANGELOG.md'), version);

  const problems: string[] = [];
  const differ = (file: string, told: string | undefined) =>
    told === version ||
    problems.push(
      `${file} says version ${told ?? '(none)'}, package.json says ${version}. Set both to the same.`,
    );
  differ('package-lock.json', lock.version);
  differ('docker/harness/pyproject.toml', python);
  if (!VERSION.test(version))
    problems.push(`package.json: ${version} is no version to release. Only MAJOR.MINOR.PATCH is published.`);
  if (owner === '') problems.push('package.json: `repository.url` names no repository of GitHub. Set it.');
  if (section === undefined)
    problems.push(
      `CHANGELOG.md has no section \`## ${version}\`. Say there what changes for whoever uses it.`,
    );
  if (published !== undefined) {
    if (published.tag !== `v${version}`)
      problems.push(
        `The tag is ${published.tag}, package.json says ${version}. Tag the commit that sets the version.`,
      );
    if (owner !== '' && published.repository !== owner)
      problems.push(
        `This is ${published.repository}, package.json's \`repository\` is ${owner}: npm would refuse the provenance. Set it.`,
      );
    if (section?.date === undefined && section !== undefined)
      problems.push(`CHANGELOG.md: \`## ${version}\` has no date. Write \`## ${version} - YYYY-MM-DD\`.`);
  }
  if (problems.length > 0) throw new NotReleasable(problems);
  return { version, repository: owner, changes: section?.text ?? '' };
}

interface Section {
  readonly date: string | undefined;
  readonly text: string;
}

function changesOf(changelog: string, version: string): Section | undefined {
  for (const part of changelog.split(/^## /m).slice(1)) {
    const [heading = ''] = part.split('\n', 1);
    const [name, date] = heading.split(' - ');
    if (name?.trim() !== version) continue;
    const text = part.slice(heading.length).trim();
    if (text !== '')
      return {
        date: date !== undefined && /^\d{4}-\d\d-\d\d$/.test(date.trim()) ? date.trim() : undefined,
        text,
      };
  }
  return undefined;
}

import { execa } from 'execa';
import { markdown } from '../../src/inert.ts';
import { imageName, images } from './images.ts';
import type { Release } from './version.ts';

/** What a commit says, and which files it touches. */
export interface Commit {
  readonly sha: string;
  readonly subject: string;
  readonly files: readonly string[];
}

/** A commit belongs to the first of these that one of its files lies in. */
const GROUPS: readonly (readonly [title: string, paths: RegExp])[] = [
  ['The action and the command line', /^(src\/|action\.yml$)/],
  ['In the engine, and in Python programs', /^docker\//],
  ['Documentation and examples', /^(docs\/|examples\/|[A-Z]+\.md$)/],
  ['Tests, tools and how the project is kept', /^/],
];

/** Subjects here are sentences of about a hundred characters. */
const MAX_SUBJECT = 250;
/** GitHub takes 125,000 characters of notes. */
const MAX_COMMITS = 400;

/**
 * The commits since the version before, newest first; all of them where there is none.
 *
 * @param tag the one that is being published, which is not the version before
 */
export async function commitsSince(cwd: string, tag: string): Promise<readonly Commit[]> {
  const git = async (...args: string[]) => (await execa('git', args, { cwd })).stdout;
  const tags = (await git('tag', '--list', 'v*.*.*', '--merged', 'HEAD', '--sort=-version:refname')).split(
    '\n',
  );
  const before = tags.find((one) => one !== '' && one !== tag);
  const range = before === undefined ? 'HEAD' : `${before}..HEAD`;
  const log = await git('log', '--no-merges', '--name-only', '--format=%x00%H%n%s', range);
  return log
    .split('\0')
    .slice(1)
    .map((one) => {
      const [sha = '', subject = '', ...files] = one.trimEnd().split('\n');
      return { sha, subject, files: files.filter((file) => file !== '') };
    });
}

/** What GitHub shows of a release. */
export function notes({ version, repository, changes }: Release, commits: readonly Commit[]): string {
  const shown = commits.slice(0, MAX_COMMITS);
  const groupOf = ({ files }: Commit) =>
    GROUPS.find(([, paths]) => files.some((file) => paths.test(file))) ?? GROUPS.at(-1);
  const link = (sha: string) => `[${sha.slice(0, 7)}](https://github.com/${repository}/commit/${sha})`;
  const told = GROUPS.flatMap((group) => {
    const own = shown.filter((commit) => groupOf(commit) === group);
    if (own.length === 0) return [];
    const lines = own.map(({ sha, subject }) => `- ${markdown(subject, MAX_SUBJECT)} (${link(sha)})`);
    return [`### ${group[0]}`, lines.join('\n')];
  });
  return `${[
    changes,
    '## Images',
    images.map((one) => `- \`${imageName(one, repository, version)}\`: ${one.what}`).join('\n'),
    `\`SHA256SUMS\` names every file of this release. \`gh attestation verify FILE --repo ${repository}\` shows which commit and run it comes from.`,
    '## Commits',
    ...told,
    ...(commits.length > MAX_COMMITS ? [`${commits.length - MAX_COMMITS} older ones are left out.`] : []),
  ].join('\n\n')}\n`;
}

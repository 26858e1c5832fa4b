/** What of the repository is a page of the site, under which name, and where its links lead there. Pure. */
import { posix } from 'node:path';

/** Where what is no page of the site is read. */
export const REPOSITORY = 'https://github.com/org/deterministic-ml-action';

/** The parts of the site in their order, by a page's path in the repository. What is measured, `docs/evidence/`, comes last. */
export const PARTS: Readonly<Record<string, readonly string[]>> = {
  Use: [
    ...['docs/suite.md', 'docs/verdicts.md', 'docs/baselines.md', 'docs/reports.md', 'docs/engines.md'],
    ...['docs/own-program.md', 'docs/compare.md', 'docs/fleet.md', 'docs/findings.md', 'docs/other-ci.md'],
  ],
  Run: [
    'docs/troubleshooting.md',
    'docs/health.md',
    'docs/performance.md',
    'docs/compatibility.md',
    'docs/security.md',
    'docs/supply-chain.md',
    'SECURITY.md',
  ],
  Guide: [
    ...['README', 'pytorch', 'vllm', 'transformers', 'sglang', 'tensorrt-llm', 'llama-cpp', 'training'].map(
      (name) => `docs/determinism/${name}.md`,
    ),
    ...['docs/determinism/several-gpus.md', 'docs/determinism/another-machine.md', 'docs/known-issues.md'],
  ],
  Develop: [
    ...['CONTRIBUTING.md', 'docs/architecture.md', 'docs/developing.md', 'docs/releasing.md'],
    'CHANGELOG.md',
  ],
};

const FIRST = 'README.md';
const EVIDENCE = 'docs/evidence/';
const DECISIONS = 'docs/decisions/';

/** Pages that stand beside docs/, by their names on the site. */
const OUTSIDE: ReadonlyMap<string, string> = new Map([
  [FIRST, 'index.md'],
  ['CONTRIBUTING.md', 'contributing.md'],
  ['CHANGELOG.md', 'changelog.md'],
  ['SECURITY.md', 'report-a-weakness.md'],
]);

/** @returns where a file of the repository lies on the site: a page or a picture, or undefined for what is neither */
export function placeOf(path: string): string | undefined {
  if (OUTSIDE.has(path)) return OUTSIDE.get(path);
  return /^docs\/.+\.(md|svg|png)$/.test(path) ? path.slice('docs/'.length) : undefined;
}

/** What stands in the menu, as MkDocs takes it. */
export type Menu = readonly (string | Readonly<Record<string, string | Menu>>)[];

/** @param pages all of the site, by their paths in the repository */
export function menuOf(pages: readonly string[]): Menu {
  const listed = Object.values(PARTS).flat();
  const evidence = pages.filter((page) => page.startsWith(EVIDENCE));
  const decisions = pages
    .filter((page) => page.startsWith(DECISIONS))
    .sort((a, b) => numberOf(a) - numberOf(b));
  // One that nobody gave a part is found all the same.
  const known = [FIRST, ...listed, ...evidence, ...decisions];
  const more = pages.filter((page) => !known.includes(page));
  const part = (name: string, of: readonly string[]) =>
    of.length === 0 ? [] : [{ [name]: of.map((page) => placeOf(page) ?? page) }];
  return [
    { Home: 'index.md' },
    ...Object.entries(PARTS).flatMap(([name, of]) => part(name, of)),
    ...part('Decisions', decisions),
    ...part('More', more),
    ...part('Evidence', evidence),
  ];
}

/** `10-why.md` comes after `9-why.md`, and what has no number first. */
const numberOf = (page: string) => Number(/\/(\d+)-[^/]*$/.exec(page)?.[1] ?? 0);

/** A picture for each of light and dark, as GitHub takes it. */
const PICTURE =
  /<picture>\s*<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">\s*<img src="([^"]+)" width="(\d+)" alt="([^"]+)">\s*<\/picture>/g;

/**
 * A page as the site takes it: links that lead out of it lead to the repository, a fence has its language alone, and of two
 * pictures the one is shown that fits how the reader has the site, light or dark.
 *
 * @param path in the repository
 */
export function pageOf(path: string, text: string): string {
  // Fences and code between backticks hold no links; what stands between them is the rest.
  return text
    .split(/(^ *```[\s\S]*?^ *```$|`[^`\n]*`)/m)
    .map((part, index) =>
      index % 2 === 1
        ? part.replace(/^( *```\w+) .*/, '$1')
        : part
            .replaceAll(
              PICTURE,
              (_, dark: string, light: string, width: string, alt: string) =>
                `![${alt}](${light}#only-light){ width=${width} } ![${alt}](${dark}#only-dark){ width=${width} }`,
            )
            .replaceAll(/\]\(([^)\s]+)\)/g, (_, link: string) => `](${linkOf(path, link)})`),
    )
    .join('');
}

function linkOf(page: string, link: string): string {
  if (/^[a-z]+:|^#/.test(link)) return link;
  const [path = '', ...fragment] = link.split('#');
  const target = posix.join(posix.dirname(page), path).replace(/\/$/, '');
  const place = placeOf(target);
  const tail = fragment.map((name) => `#${name}`).join('');
  // A folder's address GitHub leads on from there.
  if (place === undefined) return `${REPOSITORY}/blob/main/${target}${tail}`;
  return `${posix.relative(posix.dirname(placeOf(page) ?? page), place)}${tail}`;
}

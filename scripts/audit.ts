/**
 * `node scripts/audit.ts`: which third-party code runs where, and how much of it. docs/supply-chain.md holds its tables, which
 * `npm run generate` writes.
 */
import { glob, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { z } from 'zod';
import manifest from '../package.json' with { type: 'json' };
import { type Bundled, build } from './build.ts';
import { repository } from './setup/cache.ts';

/** Why each package is in dist/ that this project asked for itself. One that is not here is refused. */
const USES: Readonly<Record<string, string>> = {
  '@actions/cache': 'saves a baseline in GitHub’s cache, in a process of its own',
  '@actions/core': 'tells the runner outputs, annotations, masks and the summary',
  '@actions/github': 'asks GitHub’s API',
  '@octokit/plugin-retry': 'asks GitHub’s API again after an outage',
  '@octokit/plugin-throttling': 'waits where GitHub’s API says so',
  canonicalize: 'writes JSON in the one form that is digested',
  dockerode: 'speaks to a Docker daemon, through ssh too',
  echarts: 'draws the charts of a page as SVG, before the page is written',
  execa: 'starts programs and ends them',
  'fastest-levenshtein': 'finds the word that was meant',
  'tar-stream': 'packs and unpacks archives',
  yaml: 'reads suites, and keeps their lines',
  zod: 'holds everything that is read to its schema',
};

const Entry = z.object({
  dependencies: z.record(z.string(), z.string()).optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
  peerDependencies: z.record(z.string(), z.string()).optional(),
  license: z.string().optional(),
  hasInstallScript: z.boolean().optional(),
});
const Lock = z.object({ packages: z.record(z.string(), Entry) });
type Lock = z.infer<typeof Lock>;

/** A package that this project asks for, with what comes along and nobody before it brought. */
export interface Brought {
  readonly name: string;
  readonly what: string;
  /** Of which code is in dist/: keys of package-lock.json. */
  readonly packages: readonly string[];
  /** Of their code, before it is minified. */
  readonly bytes: number;
  readonly licences: readonly string[];
}

/**
 * Who brought what is in dist/, in the order of package.json.
 *
 * @param inside keys of package-lock.json with the bytes of their code
 * @throws Error for what nobody brought, or brought for no known use
 */
export function broughtBy(
  direct: readonly string[],
  lock: Lock,
  inside: ReadonlyMap<string, number>,
): readonly Brought[] {
  const keys = direct.map((name) => `node_modules/${name}`);
  const seen = new Set<string>();
  const brought = direct.map((name) => {
    const what = USES[name];
    if (what === undefined) throw new Error(`scripts/audit.ts: say under USES what ${name} is for`);
    const own = `node_modules/${name}`;
    // What this project asks for itself is counted there, whoever else wants it too.
    const reached = reach(own, lock, seen, new Set(keys.filter((key) => key !== own)));
    const packages = reached.filter((key) => inside.has(key)).sort();
    return {
      ...{ name, what, packages },
      bytes: packages.reduce((sum, key) => sum + (inside.get(key) ?? 0), 0),
      licences: [...new Set(packages.map((key) => lock.packages[key]?.license ?? 'see its file'))].sort(),
    };
  });
  const strange = [...inside.keys()].filter((key) => !seen.has(key));
  if (strange.length > 0) throw new Error(`dist/ holds what no dependency brings: ${strange.join(', ')}`);
  return brought;
}

function reach(start: string, lock: Lock, seen: Set<string>, besides: ReadonlySet<string>): string[] {
  const found: string[] = [];
  const waiting = [start];
  for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
    const entry = lock.packages[key];
    if (entry === undefined || seen.has(key) || besides.has(key)) continue;
    seen.add(key);
    found.push(key);
    const names = Object.keys({
      ...entry.dependencies,
      ...entry.optionalDependencies,
      ...entry.peerDependencies,
    });
    for (const name of names) waiting.push(resolve(key, name, lock));
  }
  return found;
}

/** As Node looks for a package: beside the one that asks for it, then further out. */
function resolve(from: string, name: string, lock: Lock): string {
  for (let at = from; ; at = at.replace(/\/?node_modules\/(?:@[^/]+\/)?[^/]+$/, '')) {
    const key = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (at === '' || key in lock.packages) return key;
  }
}

/** Keys of package-lock.json for the folders of packages. */
const keysOf = (bundled: Bundled): ReadonlyMap<string, number> =>
  new Map([...bundled].map(([folder, bytes]) => [relative(repository, folder), bytes]));

/** Whole KiB, or whole tens of them: a small change of the source moves no figure. */
const kib = (bytes: number): string =>
  `${(bytes < 102_400 ? Math.ceil(bytes / 1024) : Math.round(bytes / 10_240) * 10).toLocaleString('en')} KiB`;

export interface Audit {
  /** Where third-party code runs. */
  readonly places: readonly (readonly string[])[];
  /** What is in dist/, by who brought it. */
  readonly bundled: readonly (readonly string[])[];
}

export async function audit(): Promise<Audit> {
  const folder = await mkdtemp(join(tmpdir(), 'audit-'));
  try {
    const inside = keysOf(await build(folder));
    const lock = Lock.parse(JSON.parse(await readFile(join(repository, 'package-lock.json'), 'utf8')));
    const brought = broughtBy(Object.keys(manifest.dependencies), lock, inside);
    const others = Object.keys(lock.packages).filter((key) => key !== '' && !inside.has(key));
    const scripts = Object.entries(lock.packages).filter(([, one]) => one.hasInstallScript === true);
    const total = [...inside.values()].reduce((sum, bytes) => sum + bytes, 0);
    const [engine, tools] = [await pinned('docker/cpu/*.lock'), await pinned('scripts/setup/*.lock')];
    const verdaccio = Lock.parse(
      JSON.parse(await readFile(join(repository, 'scripts/setup/verdaccio/package-lock.json'), 'utf8')),
    );
    return {
      places: [
        [
          'the runner: each step of the action, and the command line',
          'bundled in `dist/`, in git and reviewed',
          `${inside.size} packages, ${kib(total)} before it is minified`,
        ],
        [
          'the engine’s container or process',
          'what the suite’s own image or Python holds; the harness brings none to it',
          'none of ours',
        ],
        ['a page in a browser', 'none: a page runs no script and loads nothing', 'none'],
        ['a program that imports `deterministic_ml`', 'none: it needs Python alone', 'none'],
        [
          'the image `cpu`: tests, the demo, a try without a GPU',
          '`docker/cpu/requirements.lock`, and Debian’s Python',
          `${engine} packages`,
        ],
        [
          'development and CI',
          'build, lint, tests: `package-lock.json`, `scripts/setup/`',
          `${others.length + Object.keys(verdaccio.packages).length - 1} packages of npm, those of other platforms counted; ${tools} of PyPI. ${scripts.length} have a script for their installation; none runs`,
        ],
      ],
      bundled: brought.map(({ name, what, packages, bytes, licences }) => [
        `\`${name}\``,
        what,
        String(packages.length),
        kib(bytes),
        licences.join(', '),
      ]),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** How many packages the locks of Python name. */
async function pinned(pattern: string): Promise<number> {
  const names = new Set<string>();
  for await (const file of glob(pattern, { cwd: repository }))
    for (const [name] of (await readFile(join(repository, file), 'utf8')).matchAll(/^[\w.-]+(?===)/gm))
      names.add(name);
  return names.size;
}

if (import.meta.main) {
  const { places, bundled } = await audit();
  for (const row of [...places, ...bundled]) console.log(row.join('  |  '));
}

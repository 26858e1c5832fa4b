import assert from 'node:assert/strict';
import { chmod, cp, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { parse } from 'yaml';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { images } from '../../scripts/release/images.ts';
import { ensureAct } from '../../scripts/setup/act.ts';
import { cache, repository } from '../../scripts/setup/cache.ts';
import { ensureTools } from '../../scripts/setup/tools.ts';
import { type PackageRegistry, startNpmRegistry, startPythonIndex } from '../support/registries.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/*
 * A version is published by release.yml itself, run by act on its tag, to registries of this machine, and then installed from
 * there and run. What lies on GitHub only is stood in for below; the images are built and run by the tests of their own.
 */

const { version } = manifest;
const TAG = `v${version}`;
/** What a release is made of. */
const SOURCES = [
  ...['src', 'scripts', 'docker', 'dist', 'schema', 'examples', '.github/workflows/release.yml', '.npmrc'],
  ...[
    'action.yml',
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
  ],
];

const owned = new AsyncDisposableStack();
after(() => owned.disposeAsync());
let place: string;
let npm: PackageRegistry;
let python: PackageRegistry;
let run: Run;
before(async () => {
  place = owned.use(await temporaryFolder()).path;
  const folder = async (name: string) => {
    await mkdir(join(place, name));
    return join(place, name);
  };
  npm = owned.use(await startNpmRegistry(await folder('npm')));
  python = owned.use(await startPythonIndex(await folder('python')));
  run = await release();
});

/** The sources in a folder of their own, with a history; the packages of node_modules and what setup made are linked. */
async function checkout(name: string): Promise<string> {
  const path = join(place, name);
  for (const source of SOURCES)
    await cp(join(repository, source), join(path, source), {
      recursive: true,
      filter: (file) => !file.includes('__pycache__'),
    });
  await symlink(join(repository, 'node_modules'), join(path, 'node_modules'));
  await symlink(cache, join(path, '.cache'));
  // As it is when somebody releases it.
  const changelog = await readFile(join(path, 'CHANGELOG.md'), 'utf8');
  const dated = changelog.replace(new RegExp(`^## ${version}.*$`, 'm'), `## ${version} - 2026-01-02`);
  await writeFile(join(path, 'CHANGELOG.md'), dated);
  const git = (...words: string[]) => execa('git', words, { cwd: path, env: IDENTITY });
  await git('init', '--quiet', '--initial-branch', 'main');
  await git('remote', 'add', 'origin', 'https://github.com/org/deterministic-ml-action.git');
  await git('commit', '--quiet', '--allow-empty', '--message', 'Be of the version before');
  await git('tag', 'v0.0.1');
  await git('add', '--force', 'action.yml', 'src');
  await git('commit', '--quiet', '--message', 'Tell @octocat <b>who</b> did it');
  await git('add', '--force', '.github', 'scripts');
  await git('commit', '--quiet', '--message', 'Keep the tools');
  await git('add', '--force', '--all');
  await git('commit', '--quiet', '--message', 'Say how');
  await git('tag', TAG);
  return path;
}

/** The same commits each time. */
const IDENTITY = {
  ...{
    GIT_AUTHOR_NAME: 'Octo Cat',
    GIT_AUTHOR_EMAIL: 'octocat@example.com',
    GIT_AUTHOR_DATE: '1767312000 +0000',
  },
  ...{ GIT_COMMITTER_NAME: 'Octo Cat', GIT_COMMITTER_EMAIL: 'octocat@example.com' },
  GIT_COMMITTER_DATE: '1767312000 +0000',
};

interface Run {
  readonly succeeded: ReadonlySet<string>;
  readonly log: string;
  /** What a command of the jobs was given, a line each. */
  readonly told: (name: string) => Promise<string>;
  /** Folder of what was made. */
  readonly files: string;
}

/** Runs release.yml on the tag. */
async function release(): Promise<Run> {
  const path = await checkout('repository');
  const sha = (await execa('git', ['rev-parse', 'HEAD'], { cwd: path })).stdout;
  const [artifacts, logs, bin, stands] = ['artifacts', 'logs', 'bin', 'stands'].map((name) =>
    join(place, name),
  );
  for (const folder of [artifacts, logs, bin, stands]) await mkdir(folder ?? '');
  const event = join(place, 'event.json');
  const origin = {
    full_name: 'org/deterministic-ml-action',
    name: 'deterministic-ml-action',
    owner: { login: 'org' },
  };
  await writeFile(event, JSON.stringify({ ref: `refs/tags/${TAG}`, after: sha, repository: origin }));
  await writeFile(join(bin ?? '', 'gh'), GH);
  await chmod(join(bin ?? '', 'gh'), 0o755);
  const npmrc = join(place, 'npmrc');
  await writeFile(npmrc, `registry=${npm.url}/\n//${new URL(npm.url).host}/:_authToken=of-nobody\n`);
  const environment = {
    ...{ ARTIFACTS: artifacts, LOGS: logs, NPM_CONFIG_USERCONFIG: npmrc, GITHUB_RUN_ID: '7' },
    ...{ UV: join(await ensureTools(), 'bin/uv'), UV_PUBLISH_URL: python.url },
  };
  const { stdout, stderr } = await execa(
    await ensureAct(),
    [
      ...['push', '--json', '--workflows', '.github/workflows/release.yml', '--eventpath', event],
      ...['--platform', 'ubuntu-latest=-self-hosted', '--no-cache-server', '--actor', 'octocat'],
      ...['--action-cache-path', join(place, 'work'), '--secret', 'GITHUB_TOKEN=of-the-job'],
      ...(await standIns(stands ?? '')),
      ...Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
    ],
    {
      cwd: path,
      reject: false,
      stdin: 'ignore',
      env: { PATH: [bin, dirname(process.execPath), process.env['PATH']].join(delimiter) },
    },
  );
  const lines = stdout
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => Line.parse(JSON.parse(line)));
  const log = `${lines.map(({ job, msg }) => `${job}: ${msg}`).join('\n')}\n${stderr}`;
  return {
    succeeded: new Set(
      lines
        .filter(({ jobResult }) => jobResult === 'success')
        .map(({ job }) =>
          job
            .replace(/^Release\//, '')
            .replace(/-\d+\s*$/, '')
            .trim(),
        ),
    ),
    log,
    told: (name) => readFile(join(logs ?? '', name), 'utf8').catch(() => ''),
    files: join(artifacts ?? '', '7-release'),
  };
}

const Line = z.object({ msg: z.string(), job: z.string().default(''), jobResult: z.string().optional() });

/** GitHub's own command line, which every runner has: it notes what it is asked. The major tag is not there yet. */
const GH = `#!/bin/sh
echo "gh $*" >> "$LOGS/gh"
case "$*" in
  *matching-refs*) printf 'refs/tags/v0.0.1\\nrefs/tags/${TAG}\\n' ;;
  *PATCH*) exit 1 ;;
esac
`;

/** What each action does here that lies on GitHub only. */
const STAND_INS: Readonly<Record<string, string>> = {
  'actions/attest-build-provenance':
    'if [ -n "$SUBJECT_CHECKSUMS" ]; then cat "$SUBJECT_CHECKSUMS"; else echo "$SUBJECT_NAME $SUBJECT_DIGEST"; fi >> "$LOGS/attested"',
  'actions/setup-node': 'test "$NODE_VERSION" = "$(node --version | tr -d v)"',
  'docker/setup-buildx-action': ':',
  'docker/login-action': ':',
  'docker/build-push-action':
    'test -d "$CONTEXT" && test -f "$FILE" && echo "$TAGS $PLATFORMS" >> "$LOGS/images"; echo "digest=sha256:0" >> "$GITHUB_OUTPUT"',
  'pypa/gh-action-pypi-publish': '"$UV" publish --username x --password x "$PACKAGES_DIR"/*',
};

/** Flags of act: a folder for each action of the workflow, with the inputs that it is given as variables. */
async function standIns(folder: string): Promise<string[]> {
  const { jobs } = Workflow.parse(
    parse(await readFile(join(repository, '.github/workflows/release.yml'), 'utf8')),
  );
  const flags = new Map<string, string>();
  for (const { uses, with: given } of Object.values(jobs).flatMap(({ steps }) => steps)) {
    const [, action = '', which] = /^((?:[\w-]+)\/(?:([a-z]+)-artifact|[\w-]+))@/.exec(uses ?? '') ?? [];
    if (uses === undefined || action === 'actions/checkout') continue;
    if (which !== undefined) {
      flags.set(uses, join(repository, 'test/e2e/support/artifacts', which));
      continue;
    }
    const script = STAND_INS[action];
    assert.ok(script, `nothing stands in for ${action}`);
    const path = join(folder, action.replace('/', '-'));
    const known =
      flags.get(uses) === undefined
        ? []
        : Object.keys(Stand.parse(parse(await readFile(join(path, 'action.yml'), 'utf8'))).inputs);
    const names = [...new Set([...known, ...Object.keys(given)])];
    await mkdir(path, { recursive: true });
    await writeFile(
      join(path, 'action.yml'),
      JSON.stringify({
        name: action,
        inputs: Object.fromEntries(names.map((name) => [name, { default: '' }])),
        outputs: { digest: { value: `\${{ steps.it.outputs.digest }}` } },
        runs: {
          using: 'composite',
          steps: [
            {
              ...{ id: 'it', shell: 'bash', run: script },
              env: Object.fromEntries(
                names.map((name) => [name.toUpperCase().replaceAll('-', '_'), `\${{ inputs.${name} }}`]),
              ),
            },
          ],
        },
      }),
    );
    flags.set(uses, path);
  }
  return [...flags].flatMap(([uses, path]) => ['--local-repository', `${uses}=${path}`]);
}

const Stand = z.object({ inputs: z.record(z.string(), z.unknown()) });
const Workflow = z.object({
  jobs: z.record(
    z.string(),
    z.object({
      strategy: z
        .object({ matrix: z.object({ include: z.array(z.record(z.string(), z.string())) }) })
        .optional(),
      steps: z.array(
        z.object({ uses: z.string().optional(), with: z.record(z.string(), z.unknown()).default({}) }),
      ),
    }),
  ),
});

describe('a tag', () => {
  test('publishes everything, the major tag last', async () => {
    assert.deepEqual(
      [...run.succeeded].sort(),
      [
        ...['Attest all files', 'Make all files', 'Publish on GitHub', 'Publish the image cpu'],
        ...['Publish the image vllm', 'Publish to PyPI', 'Publish to npm'],
      ].sort(),
      run.log.slice(-8000),
    );
    const calls = (await run.told('gh')).trim().split('\n');
    assert.match(
      calls[0] ?? '',
      new RegExp(`^gh release create ${TAG} .*--verify-tag .*--notes-file NOTES\\.md`),
    );
    for (const name of await readdir(run.files)) assert.ok(calls[0]?.includes(`./${name}`), name);
    assert.match(calls.at(-1) ?? '', /POST .* ref=refs\/tags\/v0 -f sha=[0-9a-f]{40}$/);
  });

  test('attests every file and both images', async () => {
    const attested = await run.told('attested');
    const sums = await readFile(join(run.files, 'SHA256SUMS'), 'utf8');
    assert.ok(attested.includes(sums));
    const rest = (await readdir(run.files)).filter((name) => !sums.includes(`  ${name}\n`));
    assert.deepEqual(rest, ['SHA256SUMS']);
    for (const { name } of images)
      assert.match(attested, new RegExp(`ghcr\\.io/org/deterministic-ml-${name} sha256:`));
  });

  test('builds each image for its platforms, from the folder that is made for it', async () => {
    assert.deepEqual(
      (await run.told('images')).trim().split('\n').sort(),
      images.map((one) => `ghcr.io/org/deterministic-ml-${one.name}:${version} ${one.platforms}`).sort(),
    );
  });

  test('tells the commits since the version before in its notes, by what they touch, and none of them acts', async () => {
    const notes = await readFile(join(run.files, 'NOTES.md'), 'utf8');
    assert.match(
      notes,
      /### The action and the command line\n\n- Tell \S*octocat &lt;b&gt;who\S* did it \(.*\n\n### In the engine, and in Python programs\n\n- Say how \(.*\n\n### Tests, tools and how the project is kept\n\n- Keep the tools \(/,
    );
    assert.doesNotMatch(notes, /version before|@octocat|<b>/);
  });
});

test('the same commit gives the same files in another folder, at another time, for another user’s umask', async () => {
  const path = await checkout('elsewhere');
  const old = new Date('2001-02-03T04:05:06Z');
  for (const file of ['dist/main.js', 'src/main.ts', 'docker/harness/pyproject.toml', 'action.yml'])
    await utimes(join(path, file), old, old);
  const out = join(place, 'made-elsewhere');
  const words = ['--dry-run', '--to', out, '--tag', TAG, '--repository', 'org/deterministic-ml-action'];
  await execa('sh', ['-c', 'umask 077; exec "$@"', 'sh', process.execPath, 'scripts/release.ts', ...words], {
    cwd: path,
    env: { TZ: 'Pacific/Auckland', LC_ALL: 'C', SOURCE_DATE_EPOCH: '981173106' },
  });
  assert.equal(
    await readFile(join(out, 'SHA256SUMS'), 'utf8'),
    await readFile(join(run.files, 'SHA256SUMS'), 'utf8'),
  );
});

test('what PyPI has is installed, records a result, and what npm has verifies the record', async () => {
  const uv = join(await ensureTools(), 'bin/uv');
  const consumer = join(place, 'consumer');
  await mkdir(consumer);
  await execa(uv, ['venv', '--no-project', '--python', 'python3', 'venv'], { cwd: consumer });
  const from = ['--default-index', `${python.url}/simple/`, '--no-cache', '--no-config'];
  await execa(
    uv,
    ['pip', 'install', '--python', 'venv/bin/python', ...from, `deterministic-ml==${version}`],
    {
      cwd: consumer,
    },
  );
  const program = `import deterministic_ml.v1 as v1\nv1.record("made", name="own", numbers={"loss": 0.5})`;
  const alone = { cwd: consumer, extendEnv: false, env: { PATH: process.env['PATH'] ?? '', HOME: consumer } };
  await execa(join(consumer, 'venv/bin/python'), ['-c', program], alone);

  await writeFile(join(consumer, 'package.json'), '{ "private": true }\n');
  await execa(
    'npm',
    [
      'install',
      '--registry',
      npm.url,
      '--no-audit',
      '--no-fund',
      '--cache',
      join(place, 'npm-cache'),
      `deterministic-ml@${version}`,
    ],
    { cwd: consumer },
  );
  const npx = async (...words: string[]) =>
    (await execa('npx', ['--offline', '--no', '--', 'deterministic-ml', ...words], alone)).stdout;
  assert.equal(await npx('--version'), version);
  assert.match(await npx('verify', 'made'), /whole/);
});

describe('without a tag', () => {
  const releases = (...words: string[]) =>
    execa(process.execPath, [join(repository, 'scripts/release.ts'), ...words], { reject: false });

  test('nothing is published, and it says what would publish', async () => {
    const { exitCode, stdout, stderr } = await releases();
    assert.equal(exitCode, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /push the tag, and \.github\/workflows\/release\.yml publishes/);
  });

  test('a tag of another version, or in another repository, is refused', async () => {
    const words = ['--dry-run', '--to', join(place, 'never'), '--tag', 'v9.9.9', '--repository', 'mallory/x'];
    const { exitCode, stderr } = await releases(...words);
    assert.equal(exitCode, 1);
    assert.match(stderr, new RegExp(`The tag is v9\\.9\\.9, package\\.json says ${version}`));
    assert.match(stderr, /This is mallory\/x, package\.json's `repository` is org\//);
    await assert.rejects(stat(join(place, 'never')));
  });
});

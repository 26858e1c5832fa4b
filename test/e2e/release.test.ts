import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { execa } from 'execa';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { images } from '../../scripts/release/images.ts';
import { repository } from '../../scripts/setup/cache.ts';
import { type DockerDaemon, DockerUnavailable, ensureDocker } from '../../scripts/setup/docker.ts';
import { FLIPPED } from '../../scripts/setup/flipped-model.ts';
import { dockerCli, ensureBase, ensureTinyImage } from '../../scripts/setup/image.ts';
import { type Registry, startRegistry } from '../../scripts/setup/registry.ts';
import { ensureTools } from '../../scripts/setup/tools.ts';
import { copyOf, gitIn, pushed, RUN_ID, type WorkflowRun } from '../support/own-workflow.ts';
import { type PackageRegistry, startNpmRegistry, startPythonIndex } from '../support/registries.ts';
import { temporaryFolder } from '../support/runtimes.ts';

/*
 * A version is published by release.yml itself, run by act on its tag, to registries of this machine, and then installed from
 * there and run. What lies on GitHub only is stood in for below.
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
let containers: Containers | undefined;
let run: WorkflowRun;
let files: string;
before(async () => {
  place = owned.use(await temporaryFolder()).path;
  const folder = async (name: string) => {
    await mkdir(join(place, name));
    return join(place, name);
  };
  npm = owned.use(await startNpmRegistry(await folder('npm')));
  python = owned.use(await startPythonIndex(await folder('python')));
  containers = await containersHere();
  run = await release();
  files = join(run.artifacts, `${RUN_ID}-release`);
});

interface Containers {
  readonly docker: DockerDaemon;
  readonly registry: Registry;
}

/** A daemon and a registry of images, where they can be had. */
async function containersHere(): Promise<Containers | undefined> {
  try {
    return { docker: owned.use(await ensureDocker()), registry: owned.use(await startRegistry()) };
  } catch (error) {
    if (!(error instanceof DockerUnavailable) || process.env['CI'] === 'true') throw error;
    return undefined;
  }
}

/** The sources in a folder of their own, with a history. */
async function checkout(name: string): Promise<string> {
  const path = join(place, name);
  await copyOf(SOURCES, path);
  // As it is when somebody releases it.
  const changelog = await readFile(join(path, 'CHANGELOG.md'), 'utf8');
  const dated = changelog.replace(new RegExp(`^## ${version}.*$`, 'm'), `## ${version} - 2026-01-02`);
  await writeFile(join(path, 'CHANGELOG.md'), dated);
  const git = gitIn(path);
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

/** Runs release.yml on the tag. */
async function release(): Promise<WorkflowRun> {
  const path = await checkout('repository');
  const bin = join(place, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'gh'), GH);
  await chmod(join(bin, 'gh'), 0o755);
  const npmrc = join(place, 'npmrc');
  await writeFile(npmrc, `registry=${npm.url}/\n//${new URL(npm.url).host}/:_authToken=of-nobody\n`);
  const environment = {
    NPM_CONFIG_USERCONFIG: npmrc,
    ...{ UV: join(await ensureTools(), 'bin/uv'), UV_PUBLISH_URL: python.url },
    ...(containers === undefined ? {} : await pushing(containers)),
  };
  const run = { workflow: 'release.yml', ref: `refs/tags/${TAG}`, path, place };
  return await pushed({ ...run, standIns: STAND_INS, environment, bin });
}

/** What the push of an image is told here. */
async function pushing({ docker, registry }: Containers): Promise<Record<string, string>> {
  // So that the layers of that very stage are there.
  await ensureTinyImage(docker);
  const { file, env } = await dockerCli(docker);
  return { ...env, DOCKER: file, REGISTRY: registry.address, BASE: await ensureBase(docker) };
}

/** GitHub's own command line, which every runner has: it notes what it is asked. The major tag is not there yet. */
const GH = `#!/bin/sh
echo "gh $*" >> "$LOGS/gh"
case "$*" in
  *matching-refs*) printf 'refs/tags/v0.0.1\\nrefs/tags/${TAG}\\n' ;;
  *PATCH*) exit 1 ;;
esac
`;

/** What each action does here that lies on GitHub only. */
const STAND_INS = {
  'actions/attest-build-provenance':
    'if [ -n "$INPUT_SUBJECT_CHECKSUMS" ]; then cat "$INPUT_SUBJECT_CHECKSUMS"; else echo "$INPUT_SUBJECT_NAME $INPUT_SUBJECT_DIGEST"; fi >> "$LOGS/attested"',
  'actions/setup-node': 'test "$INPUT_NODE_VERSION" = "$(node --version | tr -d v)"',
  'docker/setup-buildx-action': ':',
  'docker/login-action': ':',
  // Of `cpu` the first stage, without the 2 GB of the engine's packages; the base of `vllm` cannot be pulled everywhere.
  'docker/build-push-action': `
    test -d "$INPUT_CONTEXT" && test -f "$INPUT_FILE"
    echo "$INPUT_TAGS $INPUT_PLATFORMS" >> "$LOGS/images"
    digest=sha256:0
    if [ -n "$REGISTRY" ] && [ "$INPUT_FILE" = docker/cpu/Dockerfile ]; then
      tag="$REGISTRY/\${INPUT_TAGS#ghcr.io/}"
      "$DOCKER" build --file "$INPUT_FILE" --target python --tag "$tag" --build-arg "BASE=$BASE" --network host \\
        --build-arg http_proxy --build-arg https_proxy --build-arg no_proxy docker/cpu
      digest=$("$DOCKER" push "$tag" | tee /dev/stderr | sed -n 's/.*digest: \\(sha256:[0-9a-f]*\\).*/\\1/p')
      "$DOCKER" rmi "$tag"
    fi
    echo "digest=$digest" >> "$GITHUB_OUTPUT"`,
  'pypa/gh-action-pypi-publish': '"$UV" publish --username x --password x "$INPUT_PACKAGES_DIR"/*',
} as const;

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
    for (const name of await readdir(files)) assert.ok(calls[0]?.includes(`./${name}`), name);
    assert.match(calls.at(-1) ?? '', /POST .* ref=refs\/tags\/v0 -f sha=[0-9a-f]{40}$/);
  });

  test('attests every file and both images', async () => {
    const attested = await run.told('attested');
    const sums = await readFile(join(files, 'SHA256SUMS'), 'utf8');
    assert.ok(attested.includes(sums));
    const rest = (await readdir(files)).filter((name) => !sums.includes(`  ${name}\n`));
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
    const notes = await readFile(join(files, 'NOTES.md'), 'utf8');
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
    await readFile(join(files, 'SHA256SUMS'), 'utf8'),
  );
});

const Blob = z.object({ digest: z.string() });
const Manifest = z.object({ config: Blob, layers: z.array(Blob).min(1) });

describe('what was published', () => {
  const consumer = () => join(place, 'consumer');
  const alone = () => ({
    ...{ cwd: consumer(), extendEnv: false },
    env: { PATH: process.env['PATH'] ?? '', HOME: consumer() },
  });
  before(async () => {
    await mkdir(consumer());
    await writeFile(join(consumer(), 'package.json'), '{ "private": true }\n');
    const from = ['--registry', npm.url, '--cache', join(place, 'npm-cache')];
    const words = ['install', ...from, '--no-audit', '--no-fund', `deterministic-ml@${version}`];
    await execa('npm', words, { cwd: consumer() });
  });

  test('what PyPI has is installed, records a result, and what npm has verifies the record', async () => {
    const uv = join(await ensureTools(), 'bin/uv');
    await execa(uv, ['venv', '--no-project', '--python', 'python3', 'venv'], { cwd: consumer() });
    const from = ['--default-index', `${python.url}/simple/`, '--no-cache', '--no-config'];
    const words = ['--python', 'venv/bin/python', ...from, `deterministic-ml==${version}`];
    await execa(uv, ['pip', 'install', ...words], { cwd: consumer() });
    const program = `import deterministic_ml.v1 as v1\nv1.record("made", name="own", numbers={"loss": 0.5})`;
    await execa(join(consumer(), 'venv/bin/python'), ['-c', program], alone());

    const npx = async (...words: string[]) =>
      (await execa('npx', ['--offline', '--no', '--', 'deterministic-ml', ...words], alone())).stdout;
    assert.equal(await npx('--version'), version);
    assert.match(await npx('verify', 'made'), /whole/);
  });

  test('the image that a registry has is pulled by the digest that was attested, and runs', async (t) => {
    if (containers === undefined) return t.skip('no Docker');
    const { docker, registry } = containers;
    const attested = await run.told('attested');
    const [, name = '', digest = ''] = /^ghcr\.io\/(\S+-cpu) (sha256:[0-9a-f]{64})$/m.exec(attested) ?? [];
    // All of it lies there: the daemon may have layers that are the same.
    const asked = async (path: string) => {
      const headers = { accept: 'application/vnd.docker.distribution.manifest.v2+json' };
      const bytes = await (await fetch(`http://${registry.address}/v2/${name}/${path}`, { headers })).bytes();
      assert.equal(`sha256:${createHash('sha256').update(bytes).digest('hex')}`, path.split('/')[1]);
      return bytes;
    };
    const manifest = Manifest.parse(JSON.parse(Buffer.from(await asked(`manifests/${digest}`)).toString()));
    for (const { digest: blob } of [manifest.config, ...manifest.layers]) await asked(`blobs/${blob}`);

    const image = `${registry.address}/${name}@${digest}`;
    const { file, env } = await dockerCli(docker);
    await execa(file, ['pull', '--quiet', image], { env });
    const words = ['run', '--rm', '--network', 'none', image, 'python3', '-c', 'print(6 * 7)'];
    assert.equal((await execa(file, words, { env })).stdout, '42');
    await execa(file, ['rmi', image], { env });
  });

  test('the command line that npm has runs the demo on a real engine', { timeout: 20 * 60_000 }, async () => {
    const cli = join(consumer(), 'node_modules/deterministic-ml/dist/cli.js');
    const words = ['scripts/demo.ts', '--cli', cli, '--to', join(place, 'demo')];
    const { stdout, exitCode, all } = await execa(process.execPath, words, {
      ...{ cwd: repository, all: true, reject: false, stdin: 'ignore' },
    });
    assert.equal(exitCode, 0, all);
    // Beside a hash of the text, which sees none of it.
    assert.match(stdout, /unchanged +same +same +same +reproduced +–/);
    assert.match(
      stdout,
      new RegExp(
        `one bit of one weight +same +same +4 of 4 differ +drift +${FLIPPED.module.replaceAll('.', '\\.')}\\n`,
      ),
    );
    assert.match(stdout, /The report agrees with its record and baseline/);
  });
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

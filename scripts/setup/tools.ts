import { cp, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { cache, madeOnce, repository } from './cache.ts';
import { run } from './step.ts';

/** Where the packages of tools.lock lie: their programs in `bin`, their Python modules beside it. */
export async function ensureTools(): Promise<string> {
  return fromPypi('tools', 'Tools from PyPI: uv, act, zizmor, ruff, a small model');
}

/** Where mypy lies, apart from the other tools: it needs packages of its own beside it. */
export async function ensureMypy(): Promise<string> {
  return fromPypi('mypy', 'Checker of Python types from PyPI: mypy');
}

/** Where the Python distribution's build tools and pytest lie. */
export async function ensureWheelTools(): Promise<string> {
  return fromPypi('wheel', 'Build tools and pytest from PyPI, for the Python distribution');
}

/** Where a server of S3's protocol lies for the tests, and what reads XML by a schema. */
export async function ensureServers(): Promise<string> {
  return fromPypi('servers', 'For the tests from PyPI: a server of S3’s protocol, XML by its schema');
}

/** Where the generator of the documentation's site lies. */
export async function ensureMkdocs(): Promise<string> {
  return fromPypi('mkdocs', 'Generator of the site from PyPI: MkDocs and its theme');
}

/** Where an index of Python packages lies for the tests. */
export async function ensurePythonIndex(): Promise<string> {
  return fromPypi('registries', 'An index of Python packages from PyPI, for the tests');
}

/** Where Ray lies, for a cluster of the tests'. */
export async function ensureRay(): Promise<string> {
  return fromPypi('ray', 'For the tests from PyPI: Ray');
}

/** A registry of npm's protocol for the tests: the path of its program, for Node. */
export async function ensureVerdaccio(): Promise<string> {
  const from = join(repository, 'scripts/setup/verdaccio');
  const path = join(cache, 'verdaccio');
  await madeOnce({
    title: 'A registry of packages from npm, for the tests',
    path,
    key: await readFile(join(from, 'package-lock.json'), 'utf8'),
    make: async (note, lock) => {
      await cp(from, path, { recursive: true });
      const quiet = ['--ignore-scripts', '--no-audit', '--no-fund'];
      await run(note, 'npm', ['ci', '--prefix', path, ...quiet], { lock });
    },
  });
  return join(path, 'node_modules/verdaccio/bin/verdaccio');
}

/** The packages that `scripts/setup/<name>.lock` pins by hash, in a folder of that name. */
async function fromPypi(name: string, title: string): Promise<string> {
  const lockFile = join(repository, `scripts/setup/${name}.lock`);
  const path = join(cache, name);
  await madeOnce({
    title,
    path,
    key: await readFile(lockFile, 'utf8'),
    make: async (note, lock) => {
      const hasPip = !(await execa('python3', ['-m', 'pip', '--version'], { reject: false })).failed;
      if (!hasPip) await installPackages(note, 'python3-pip');
      // Whoever imports something first compiles it: to compile all would take as long as to unpack it.
      // --target needs neither a virtual environment, which Debian packs apart, nor leave to touch its Python.
      const locked = ['--require-hashes', '--no-deps', '--only-binary', ':all:', '--requirement', lockFile];
      await run(note, 'python3', ['-m', 'pip', 'install', '--target', path, '--no-compile', ...locked], {
        lock,
      });
    },
  });
  return path;
}

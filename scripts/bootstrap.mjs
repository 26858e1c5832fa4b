// node scripts/bootstrap.mjs SCRIPT.ts ARGUMENT...
//
// The first thing that runs in a fresh clone, on a Node that may be too old for TypeScript: installs node_modules if
// they are not those of package-lock.json, then runs the script with the Node 24 that lies among them.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(repository, 'node_modules');
const bin = join(modules, '.bin');
const node = join(bin, 'node');
const marker = join(modules, '.dml-lock');

const digest = createHash('sha256')
  .update(readFileSync(join(repository, 'package-lock.json')))
  .digest('hex');
const installed = () => existsSync(node) && existsSync(marker) && readFileSync(marker, 'utf8') === digest;

const [script, ...args] = process.argv.slice(2);
if (script === '--install') install();
else if (script === undefined) fail('usage: node scripts/bootstrap.mjs SCRIPT.ts ARGUMENT...');
else {
  if (!installed()) installAlone();
  execute(script, args);
}

/** Installs under a lock, since `npm ci` begins with deleting what another process may be running from. */
function installAlone() {
  const cache = join(repository, '.cache');
  mkdirSync(cache, { recursive: true });
  const self = [process.execPath, fileURLToPath(import.meta.url), '--install'];
  const locked = spawnSync('flock', [join(cache, 'npm.lock'), ...self], { stdio: 'inherit' });
  // Only Linux has flock. Elsewhere two installations at once are not worth a lock of our own.
  if (locked.error) install();
  else if (locked.status !== 0) process.exit(locked.status ?? 1);
}

function install() {
  if (installed()) return;
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(1);
  process.stderr.write('[setup] ▸ npm ci\n');
  // No package runs a script of its own here: none of them needs to.
  const { status, error } = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: repository,
    // What npm prints belongs to the progress, and standard output to the script.
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) fail(`npm ci failed after ${seconds()} s${error ? `: ${error.message}` : ''}`);
  linkNode();
  writeFileSync(marker, digest);
  process.stderr.write(`[setup] ✓ npm ci (${seconds()} s)\n`);
}

/** npm 9 and 10 drop the link when another platform's package, which they skip, would have made the same one. */
function linkNode() {
  const own = `node-${process.platform}-${process.arch}/bin/node`;
  if (!existsSync(node) && existsSync(join(modules, own))) symlinkSync(join('..', own), node);
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (!stdout?.startsWith('v24.')) {
    fail(`no Node 24 at ${node}: does npm's configuration say omit=optional?`);
  }
}

function execute(script, args) {
  const child = spawn(node, [script, ...args], {
    stdio: 'inherit',
    env: { ...process.env, PATH: [bin, process.env.PATH].join(delimiter) },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    // A terminal sends Ctrl-C to the whole process group: the child has it already.
    process.on(signal, () => (signal === 'SIGINT' && process.stdin.isTTY) || child.kill(signal));
  }
  child.on('error', (error) => fail(error.message));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

function fail(message) {
  process.stderr.write(`[setup] ✗ ${message}\n`);
  process.exit(1);
}

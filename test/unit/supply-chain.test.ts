import assert from 'node:assert/strict';
import { access, glob, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { parse } from 'yaml';
import { z } from 'zod';

/* What comes from others is named by its bytes, and somebody is told when there is something newer. */

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string) => readFile(join(root, file), 'utf8');

async function found(pattern: string): Promise<string[]> {
  const files: string[] = [];
  const exclude = (name: string) => ['node_modules', '.cache', '.git'].includes(basename(name));
  for await (const file of glob(pattern, { cwd: root, exclude })) files.push(file);
  return files.sort();
}

const Lock = z.object({
  packages: z.record(
    z.string(),
    z.object({ integrity: z.string().optional(), resolved: z.string().optional() }),
  ),
});

describe('what is installed', () => {
  test('each entry of a lock of npm has its SHA-512, and names no registry', async () => {
    const locks = await found('**/package-lock.json');
    assert.ok(locks.includes('package-lock.json'));
    for (const file of locks) {
      const { packages } = Lock.parse(JSON.parse(await read(file)));
      const { '': own, ...others } = packages;
      assert.ok(own !== undefined && Object.keys(others).length > 100, file);
      assert.deepEqual(
        Object.entries(others)
          .filter(
            ([, one]) => !/^sha512-[\w+/]{86}==$/.test(one.integrity ?? '') || one.resolved !== undefined,
          )
          .map(([name]) => name),
        [],
        file,
      );
    }
  });

  test('so has each requirement of a lock of Python', async () => {
    const locks = await found('**/*.lock');
    assert.ok(locks.length >= 5, locks.join());
    for (const file of locks) {
      const requirements = (await read(file)).split(/\n(?=[\w-])/).filter((one) => /^[\w-]/.test(one));
      assert.notEqual(requirements.length, 0, file);
      for (const one of requirements) assert.match(one, /^\S+==[\s\S]*--hash=sha256:[0-9a-f]{64}/, file);
    }
  });

  test('no package runs a script while it is installed', async () => {
    assert.match(await read('scripts/bootstrap.mjs'), /\['ci', '--ignore-scripts'/);
  });
});

const Step = z.object({ uses: z.string().optional() });
const Workflow = z.object({ jobs: z.record(z.string(), z.object({ steps: z.array(Step) })) });

test('all workflows name an action by the same commit', async () => {
  const commits = new Map<string, Set<string>>();
  const files = [...(await found('.github/workflows/*.yml')), ...(await found('examples/workflows/*.yml'))];
  for (const file of files)
    for (const { steps } of Object.values(Workflow.parse(parse(await read(file))).jobs))
      for (const { uses } of steps) {
        const [action = '', commit = ''] = uses?.split('@') ?? [];
        if (action === '' || action.startsWith('org/')) continue;
        assert.match(commit, /^[0-9a-f]{40}$/, `${file}: ${uses}`);
        const repository = action.split('/').slice(0, 2).join('/');
        commits.set(repository, (commits.get(repository) ?? new Set()).add(commit));
      }
  assert.deepEqual(
    [...commits].filter(([, all]) => all.size > 1).map(([action]) => action),
    [],
  );
});

const Updates = z.object({
  updates: z.array(
    z.object({
      'package-ecosystem': z.string(),
      directory: z.string().optional(),
      directories: z.array(z.string()).optional(),
      groups: z.record(z.string(), z.unknown()),
    }),
  ),
});

test('every lock, Dockerfile and workflow is kept up to date, in groups', async () => {
  const { updates } = Updates.parse(parse(await read('.github/dependabot.yml')));
  const watched = new Set(
    updates.flatMap((one) =>
      (one.directories ?? [one.directory ?? '']).map((folder) => `${one['package-ecosystem']} ${folder}`),
    ),
  );
  const expected = new Set([
    'github-actions /',
    ...(await found('examples/workflows/*.yml')).map((file) => `github-actions /${dirname(file)}`),
    ...(await found('**/package-lock.json')).map(
      (file) => `npm /${dirname(file) === '.' ? '' : dirname(file)}`,
    ),
    ...(await found('**/*.lock')).map((file) => `pip /${dirname(file)}`),
    ...(await found('**/Dockerfile')).map((file) => `docker /${dirname(file)}`),
  ]);
  assert.deepEqual([...watched].sort(), [...expected].sort());
});

test('what CODEOWNERS names is there, and workflows, locks and trust belong to those who may release', async () => {
  const rules = (await read('.github/CODEOWNERS'))
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(/\s+/));
  for (const [path = ''] of rules) if (path !== '*') await access(join(root, path));
  // The last rule that fits decides.
  const ownersOf = (file: string) =>
    rules.findLast(([path = '']) => path === '*' || `/${file}`.startsWith(path))?.slice(1);
  for (const file of [
    ...['.github/workflows/ci.yml', '.github/CODEOWNERS', 'action.yml', 'package-lock.json'],
    ...['docker/cpu/requirements.lock', 'src/trust/judge.ts', 'scripts/setup/tools.lock'],
  ])
    assert.deepEqual(ownersOf(file), ['@org/release'], file);
  assert.deepEqual(ownersOf('src/words/findings.ts'), ['@org/maintainers']);
});

test('the harness imports Python’s own modules, and those of the engine that it drives', async () => {
  const program = `
import ast, pathlib, sys
names = set()
for path in pathlib.Path("docker/harness").rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import): names.update(one.name.split(".")[0] for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0: names.add(node.module.split(".")[0])
print(*sorted(names - sys.stdlib_module_names - {"deterministic_ml"}))`;
  const { stdout } = await execa('python3', ['-c', program], { cwd: root });
  assert.equal(stdout, 'jinja2 numpy pytest safetensors torch transformers vllm');
});

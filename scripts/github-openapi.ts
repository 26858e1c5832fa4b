/**
 * `node scripts/github-openapi.ts [FOLDER]`: writes test/fixtures/github-openapi.json, the part of GitHub's own
 * description of its REST API that the test server holds requests and answers to. FOLDER is an unpacked
 * @octokit/openapi; without one it is fetched, 29 MB, which is why it is no dependency.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';

const PACKAGE = '@octokit/openapi@23.0.2';
const TARGET = fileURLToPath(new URL('../test/fixtures/github-openapi.json', import.meta.url));

const REPO = '/repos/{owner}/{repo}';
const OPERATIONS = [
  ['get', '/user'],
  ['get', `${REPO}/issues/{issue_number}/comments`],
  ['post', `${REPO}/issues/{issue_number}/comments`],
  ['patch', `${REPO}/issues/comments/{comment_id}`],
  ['delete', `${REPO}/issues/comments/{comment_id}`],
  ['post', `${REPO}/check-runs`],
  ['patch', `${REPO}/check-runs/{check_run_id}`],
  ['get', `${REPO}/commits/{ref}/check-runs`],
  ['get', `${REPO}/pulls`],
  ['get', `${REPO}/pulls/{pull_number}`],
  ['get', `${REPO}/pulls/{pull_number}/commits`],
  ['get', `${REPO}/commits/{commit_sha}/pulls`],
  ['get', `${REPO}/compare/{basehead}`],
  ['get', `${REPO}/actions/artifacts`],
  ['get', `${REPO}/actions/runs/{run_id}`],
  ['get', `${REPO}/actions/caches`],
  ['get', `${REPO}/contents/{path}`],
  ['get', `${REPO}/git/ref/{ref}`],
  ['get', `${REPO}/git/commits/{commit_sha}`],
] as const;

/** What only people read. */
const FOR_PEOPLE: ReadonlySet<string> = new Set([
  ...['description', 'summary', 'title', 'tags', 'example', 'examples', 'externalDocs', 'deprecated'],
  // It only repeats what `oneOf` says already.
  'discriminator',
]);

type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

const isObject = (value: Json | undefined): value is { readonly [key: string]: Json } =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function at(value: Json, ...keys: readonly string[]): Json {
  let found: Json | undefined = value;
  for (const key of keys) found = isObject(found) ? found[key] : undefined;
  if (found === undefined) throw new Error(`${PACKAGE} has no ${keys.join(' / ')}`);
  return found;
}

/** @param named whether the keys are names of properties, and none of them the description's own */
function trimmed(value: Json, named: boolean, onReference: (to: string) => void): Json {
  if (Array.isArray(value)) return value.map((one: Json) => trimmed(one, false, onReference));
  if (!isObject(value)) return value;
  if (typeof value['$ref'] === 'string') onReference(value['$ref']);
  const kept = Object.entries(value).filter(
    ([key]) => named || !(FOR_PEOPLE.has(key) || key.startsWith('x-')),
  );
  return Object.fromEntries(
    kept.map(([key, inner]) => [key, trimmed(inner, !named && key === 'properties', onReference)]),
  );
}

/** The operations and all that they refer to, in an order of its own: the same package gives the same bytes. */
function extract(whole: Json): Json {
  const wanted = new Set<string>();
  const onReference = (to: string) => wanted.add(to);
  const paths: Record<string, Record<string, Json>> = {};
  for (const [method, path] of OPERATIONS) {
    paths[path] ??= {};
    paths[path][method] = trimmed(at(whole, 'paths', path, method), false, onReference);
  }
  const components: Record<string, Record<string, Json>> = {};
  // A set that grows while it is walked: what is referred to refers on.
  for (const reference of wanted) {
    const [root, kind = '', name = ''] = reference.slice(2).split('/');
    if (root !== 'components') throw new Error(`a reference outside of the components: ${reference}`);
    components[kind] ??= {};
    components[kind][name] = trimmed(at(whole, 'components', kind, name), false, onReference);
  }
  return {
    openapi: at(whole, 'openapi'),
    info: { title: 'GitHub REST API, in parts', version: PACKAGE, license: at(whole, 'info', 'license') },
    paths,
    components: Object.fromEntries(
      Object.entries(components)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([kind, all]) => [kind, Object.fromEntries(Object.entries(all).sort(byName))]),
    ),
  };
}

const byName = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1);

async function fetched<T>(use: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'github-openapi-'));
  try {
    const { stdout } = await execa('npm', ['pack', '--silent', PACKAGE], { cwd: folder });
    await execa('tar', ['-xzf', stdout.trim(), 'package/generated/api.github.com.json'], { cwd: folder });
    return await use(join(folder, 'package'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function write(folder: string): Promise<void> {
  const whole: Json = JSON.parse(await readFile(join(folder, 'generated/api.github.com.json'), 'utf8'));
  await writeFile(TARGET, `${JSON.stringify(extract(whole), null, 2)}\n`);
  // Its layout is the one of all JSON here.
  await execa('biome', ['format', '--write', TARGET], { preferLocal: true });
}

const [folder] = process.argv.slice(2);
await (folder === undefined ? fetched(write) : write(folder));

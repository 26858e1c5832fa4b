import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, normalize } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { FLOORS } from '../../scripts/generate.ts';

const source = fileURLToPath(new URL('../../src', import.meta.url));

interface Import {
  /** A file below src, or a package. */
  readonly target: string;
  readonly local: boolean;
  /** `static` is loaded with the file, `dynamic` when it is needed, `type` never. */
  readonly kind: 'static' | 'dynamic' | 'type';
}

const files = new Map<
  string,
  { readonly text: string; readonly code: string; readonly imports: readonly Import[] }
>();
for (const file of (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))) {
  const text = await readFile(join(source, file), 'utf8');
  const code = text.replaceAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, '');
  const imports = [
    ...code.matchAll(/\b(?:(?:import|export)(\s+type)?\s[^;'"]*?from\s*|import\s*\(|import\s+)'([^']+)'/g),
  ].map(
    ([statement, type, specifier = '']): Import => ({
      target: specifier.startsWith('.') ? normalize(join(dirname(file), specifier)) : specifier,
      local: specifier.startsWith('.'),
      kind: /^import\s*\(/.test(statement) ? 'dynamic' : type === undefined ? 'static' : 'type',
    }),
  );
  files.set(file, { text, code, imports });
}

/** The folder that a file is in; files at the top are the doors and the ground. */
const roomOf = (file: string) => (dirname(file) === '.' ? 'top' : dirname(file));

interface Law {
  /** Rooms that it may import beside itself and the ground. */
  readonly rooms: readonly string[];
  readonly packages: readonly string[];
}

/** Which rooms each room may import, and which packages: docs/architecture.md, "Rooms", written down. Lowest first. */
const ROOMS: Readonly<Record<string, Law>> = {
  // Pure: no network, no disk, no Actions.
  suite: { rooms: [], packages: ['zod', 'yaml', 'fastest-levenshtein'] },
  fingerprint: { rooms: [], packages: ['zod', 'node:crypto'] },
  health: { rooms: [], packages: ['zod'] },
  record: {
    rooms: ['fingerprint', 'health', 'suite'],
    packages: ['zod', 'canonicalize', 'node:crypto'],
  },
  compare: { rooms: ['compare/relations', 'record', 'suite'], packages: [] },
  'compare/relations': { rooms: ['compare', 'record', 'suite'], packages: [] },
  // What other programs left, read: a folder's files are handed in.
  import: { rooms: ['fingerprint', 'record', 'suite'], packages: ['zod'] },
  explain: { rooms: ['fingerprint', 'record'], packages: [] },
  issues: {
    rooms: ['compare', 'compare/relations', 'engine/engines', 'fingerprint', 'record'],
    packages: [],
  },
  report: {
    rooms: [
      'baseline',
      'compare',
      'compare/relations',
      'engine/engines',
      'explain',
      'fingerprint',
      'health',
      'issues',
      'record',
      'suite',
    ],
    packages: ['zod'],
  },
  words: {
    rooms: ['baseline', 'compare', 'compare/relations', 'explain', 'issues', 'record', 'report'],
    packages: [],
  },
  surfaces: {
    rooms: ['compare', 'compare/relations', 'fingerprint', 'record', 'report', 'surfaces/html', 'words'],
    packages: [],
  },
  'surfaces/html': {
    rooms: ['compare', 'compare/relations', 'explain', 'report', 'words'],
    packages: ['echarts/core', 'echarts/charts', 'echarts/components', 'echarts/renderers'],
  },
  // The engine's protocol and session: a peer's streams are all that they touch.
  engine: {
    rooms: ['health', 'engine/engines', 'fingerprint', 'record', 'suite'],
    packages: ['zod', 'node:crypto', 'node:os', 'node:stream'],
  },
  'engine/engines': { rooms: ['record', 'suite'], packages: [] },
  // What the runs of one machine share.
  machine: { rooms: [], packages: ['node:*'] },
  // Adapters: each knows its port, and none another.
  caches: { rooms: ['engine', 'machine'], packages: ['zod', 'node:*'] },
  model: { rooms: ['engine', 'machine', 'network'], packages: ['zod', 'node:*'] },
  // How one waits for another side.
  network: { rooms: [], packages: ['node:*'] },
  // Somebody else's server, asked as the harness would be.
  endpoint: {
    rooms: ['engine', 'fingerprint', 'health', 'import', 'network', 'record', 'suite'],
    packages: ['zod', 'node:*'],
  },
  runtime: {
    rooms: [
      'runtime/docker',
      'runtime/isolation',
      'runtime/launcher',
      'engine',
      'engine/engines',
      'fingerprint',
      'machine',
      'network',
      'suite',
    ],
    packages: ['dockerode', 'execa', 'node:*'],
  },
  'runtime/docker': {
    rooms: ['engine', 'fingerprint', 'machine', 'network', 'runtime', 'suite'],
    packages: ['zod', 'dockerode', 'execa', 'tar-stream', 'node:*'],
  },
  'runtime/isolation': { rooms: ['runtime'], packages: ['execa', 'node:*'] },
  'runtime/launcher': { rooms: ['runtime', 'engine', 'fingerprint', 'suite'], packages: ['execa', 'node:*'] },
  baseline: { rooms: ['machine', 'record'], packages: ['zod', 'node:*'] },
  'baseline/remote': {
    rooms: ['baseline', 'machine', 'network', 'runtime/docker'],
    packages: ['zod', 'tar-stream', 'node:*'],
  },
  'baseline/cache': {
    rooms: ['baseline', 'machine', 'network'],
    packages: ['zod', '@actions/cache', 'node:*'],
  },
  github: {
    // Of the baselines only the port: the list of cache entries is one of theirs.
    rooms: ['baseline', 'network'],
    packages: ['zod', '@actions/github', '@octokit/plugin-retry', '@octokit/plugin-throttling', 'node:*'],
  },
  disk: {
    rooms: ['baseline', 'engine', 'machine', 'record', 'report', 'suite'],
    packages: ['zod', 'node:*'],
  },
  // What a use-case is told and what it is handed: types alone. Behind a port is an adapter, which nobody here knows.
  job: {
    rooms: ['baseline', 'engine', 'github', 'record', 'report', 'suite', 'surfaces'],
    packages: [],
  },
  run: {
    rooms: [
      'health',
      'compare',
      'compare/relations',
      'engine',
      'engine/engines',
      'fingerprint',
      'job',
      'record',
      'report',
      'suite',
    ],
    packages: [],
  },
  trust: {
    rooms: ['github', 'health', 'baseline', 'compare', 'job', 'record', 'report', 'run', 'suite'],
    packages: [],
  },
  changes: {
    rooms: [
      'changes/known',
      'baseline',
      'compare',
      'engine',
      'fingerprint',
      'job',
      'record',
      'report',
      'run',
      'suite',
      'trust',
    ],
    packages: [],
  },
  'changes/known': { rooms: ['changes'], packages: [] },
  tell: {
    rooms: ['github', 'job', 'report', 'surfaces', 'words'],
    packages: ['@actions/core'],
  },
  'use-cases': {
    rooms: [
      'baseline',
      'changes',
      'changes/known',
      'compare',
      'explain',
      'fingerprint',
      'import',
      'job',
      'record',
      'report',
      'run',
      'suite',
      'tell',
      'trust',
      'words',
    ],
    packages: [],
  },
  // The only room that knows the adapters.
  front: {
    rooms: [
      'baseline',
      'baseline/cache',
      'baseline/remote',
      'caches',
      'compare',
      'compare/relations',
      'disk',
      'endpoint',
      'engine',
      'engine/engines',
      'github',
      'job',
      'model',
      'run',
      'runtime',
      'suite',
      'surfaces',
      'tell',
      'use-cases',
      'words',
    ],
    packages: ['@actions/core', 'zod', 'node:events', 'node:path', 'node:readline/promises', 'node:util'],
  },
};

/** Doors and ground: all that may lie loose in src. */
const DOORS = ['main.ts', 'post.ts', 'cli.ts'];
const GROUND = ['errors.ts', 'version.ts', 'inert.ts', 'counted.ts'];
/** Made of Zod's by `npm run generate`; a record's files are checked against them. */
const PUBLISHED = /^\.\.\/schema\//;

/** Of a room with adapters, what a room that is none may import: the port and its values. */
const PORTS: Readonly<Record<string, readonly string[]>> = {
  baseline: ['baseline/port.ts'],
  engine: [
    'engine/caches.ts',
    'engine/kept.ts',
    'engine/lines.ts',
    'engine/protocol.ts',
    'engine/runtime.ts',
    'engine/session.ts',
    'engine/warm-parent.ts',
  ],
  github: ['github/port.ts'],
  // The store of files, which lies in the room of its port, has folders of its own.
  machine: ['machine/alone.ts', 'machine/owner.ts', 'machine/scratch.ts'],
};

/** Rooms of adapters: what they do, others ask a port for. */
const ADAPTERS = [
  ...['caches', 'endpoint', 'machine', 'model', 'network', 'runtime', 'runtime/docker', 'runtime/isolation'],
  'runtime/launcher',
  ...['github', 'disk', 'baseline/cache', 'baseline/remote'],
];

test('no file lies loose in src but the doors and the ground', () => {
  assert.deepEqual(
    [...files.keys()].filter((file) => roomOf(file) === 'top').sort(),
    [...DOORS, ...GROUND].sort(),
  );
});

test('every room has its line in the table, and no line is left over', () => {
  assert.deepEqual(
    [...new Set([...files.keys()].map(roomOf))].filter((room) => room !== 'top').sort(),
    Object.keys(ROOMS).sort(),
  );
});

describe('a room imports what the table says, and the table grants no more:', () => {
  for (const [room, allowed] of Object.entries(ROOMS))
    test(room, () => {
      const nodeAll = allowed.packages.includes('node:*');
      const wrong: string[] = [];
      const used = new Set<string>();
      for (const [file, { imports }] of files) {
        if (roomOf(file) !== room) continue;
        for (const { target, local } of imports) {
          const other = roomOf(target);
          used.add(local ? other : target.startsWith('node:') && nodeAll ? 'node:*' : target);
          const ok = !local
            ? allowed.packages.some(
                (name) => name === target || (name === 'node:*' && target.startsWith('node:')),
              )
            : other === room ||
              GROUND.includes(target) ||
              PUBLISHED.test(target) ||
              (allowed.rooms.includes(other) &&
                (room === 'front' ||
                  room.startsWith(`${other}/`) ||
                  (PORTS[other]?.includes(target) ?? true)));
          if (!ok) wrong.push(`${file} imports ${target}`);
        }
      }
      assert.deepEqual(wrong, []);
      const idle = [...allowed.rooms, ...allowed.packages].filter((name) => !used.has(name));
      assert.deepEqual(idle, [], 'granted, and imported by no file');
    });
});

/** Lowest first. A room with others in it is one floor. */

test('no room imports one above it, not even its types', () => {
  const floorOf = (file: string) => roomOf(file).split('/')[0] ?? '';
  const wrong = [...files].flatMap(([file, { imports }]) =>
    imports
      .filter(({ target, local }) => local && roomOf(file) !== 'top' && roomOf(target) !== 'top')
      .filter(({ target }) => FLOORS.indexOf(floorOf(target)) > FLOORS.indexOf(floorOf(file)))
      .map(({ target }) => `${file} imports ${target}`),
  );
  assert.deepEqual(wrong, []);
  assert.deepEqual([...new Set([...files.keys()].map(floorOf))].sort(), ['top', ...FLOORS].sort());
});

test('adapters are known to `front` and the doors alone, which hand them in', () => {
  const wrong = [...files].flatMap(([file, { imports }]) => {
    const room = roomOf(file);
    if (room === 'front' || room === 'top' || ADAPTERS.includes(room)) return [];
    return imports
      .filter(({ target }) => ADAPTERS.includes(roomOf(target)) && !PORTS[roomOf(target)]?.includes(target))
      .map(({ target }) => `${file} imports ${target}`);
  });
  assert.deepEqual(wrong, []);
});

test('use-cases and what they stand on touch no module of Node', () => {
  const wrong = [...files].flatMap(([file, { imports }]) =>
    /^(job|run|trust|changes|use-cases)$/.test(roomOf(file))
      ? imports.filter(({ target }) => target.startsWith('node:')).map(({ target }) => `${file} ${target}`)
      : [],
  );
  assert.deepEqual(wrong, []);
});

test('one place reads a `baseline.json`', () => {
  const readers = [...files].filter(([, { code }]) => /\bBaselineMeta\.(safeP|p)arse\b/.test(code));
  assert.deepEqual(
    readers.map(([file]) => file),
    ['baseline/port.ts'],
  );
});

test('nobody tells the terminal by the name of an event', () => {
  const askers = [...files].filter(([, { code }]) => /[!=]== 'cli'|'cli' [!=]==/.test(code));
  assert.deepEqual(
    askers.map(([file]) => file),
    [],
  );
});

/** Every file and package that comes with a file. */
function closure(entry: string, kinds: readonly Import['kind'][]): Set<string> {
  const seen = new Set<string>([entry]);
  for (const file of seen)
    for (const { target, kind } of files.get(file)?.imports ?? []) if (kinds.includes(kind)) seen.add(target);
  return seen;
}

test('what is pure reaches no disk, network, process or Actions, through whatever it imports', () => {
  const outside =
    /^(node:(fs|net|http|https|child_process|dgram|tls|worker_threads)|dockerode|execa|@actions\/)/;
  for (const file of files.keys()) {
    if (!/^(suite|fingerprint|record|import|compare|explain|issues|report|words|surfaces|inert)\b/.test(file))
      continue;
    const reached = [...closure(file, ['static', 'dynamic'])].filter((name) => outside.test(name));
    assert.deepEqual(reached, [], file);
  }
});

test('no file imports itself through others, nor their types', () => {
  const wrong = [...files].flatMap(([file, { imports }]) =>
    imports
      .filter(({ local }) => local)
      .filter(({ target }) => closure(target, ALL).has(file))
      .map(({ target }) => `${file} and ${target}`),
  );
  assert.deepEqual(wrong, []);
});

const ALL = ['static', 'dynamic', 'type'] as const;

test('an early error loads neither schemas, YAML, Docker nor the cache', () => {
  for (const entry of ['main.ts', 'post.ts', 'cli.ts']) {
    const packages = [...closure(entry, ['static'])].filter((name) => !name.endsWith('.ts'));
    assert.deepEqual(
      packages.filter((name) => !name.startsWith('node:') && name !== '@actions/core'),
      // By which a misspelt command is told what it is near to: one small file.
      entry === 'cli.ts' ? ['fastest-levenshtein'] : [],
      entry,
    );
  }
});

test('two records are opened and compared without a schema library or YAML', () => {
  for (const entry of ['disk/record-folder.ts', 'compare/compare.ts']) {
    const packages = [...closure(entry, ['static'])].filter((name) => !name.endsWith('.ts'));
    assert.deepEqual(
      packages.filter(
        (name) => !name.startsWith('node:') && !PUBLISHED.test(name) && !name.endsWith('.json'),
      ),
      ['canonicalize'],
      entry,
    );
  }
});

test('only entries read the environment, the arguments and the exit code', () => {
  /** The cache's save.ts is the program of a process of its own. */
  const entries = [...DOORS, 'baseline/cache/save.ts'];
  const readers = [...files].filter(([, { code }]) => /\bprocess\.(env|argv|exit|exitCode|on)\b/.test(code));
  assert.deepEqual(
    readers.map(([file]) => file).filter((file) => !entries.includes(file)),
    [],
  );
});

test('only entries and what they run write to the terminal', () => {
  const writers = [...files].filter(([, { code }]) =>
    /\bprocess\.(stdout|stderr)\b|\bconsole\.(log|error)\(/.test(code),
  );
  const allowed = ['front/action.ts', 'cli.ts', 'front/ask.ts', 'front/command.ts', 'baseline/cache/save.ts'];
  assert.deepEqual(
    writers.map(([file]) => file).filter((file) => !allowed.includes(file)),
    [],
  );
});

test('an engine’s own names stand in its own file, and its other half in its own module', async () => {
  const names =
    /VLLM_|enable_prefix_caching|max_num_batched_tokens|max_num_seqs|gpu_memory_utilization|kv_cache_memory_bytes|enforce_eager|kv_cache_dtype|attn_implementation|max_batch_size/;
  const named = [...files].filter(([, { code }]) => names.test(code)).map(([file]) => file);
  assert.deepEqual(named.sort(), [
    'engine/engines/transformers.ts',
    'engine/engines/vllm.ts',
    // What is known of an engine speaks of its settings.
    'issues/transformers.ts',
    'issues/vllm.ts',
  ]);
  const harness = fileURLToPath(new URL('../../docker/harness', import.meta.url));
  for (const file of (await readdir(harness, { recursive: true })).filter((name) => name.endsWith('.py')))
    if (!/engines\/(?:vllm|transformers)\//.test(file))
      assert.doesNotMatch(await readFile(join(harness, file), 'utf8'), names, file);
});

test('an engine is named in its own two homes and in the lists, and nowhere else, comments and samples included', async () => {
  const name = /vllm/i;
  assert.deepEqual(
    [...files]
      // A source is another program, and known by its name.
      .filter(([file, { text }]) => name.test(text) && !file.startsWith('import/'))
      .map(([file]) => file)
      .sort(),
    ['engine/engines/index.ts', 'engine/engines/vllm.ts', 'issues/index.ts', 'issues/vllm.ts'],
  );
  const harness = fileURLToPath(new URL('../../docker/harness', import.meta.url));
  const named: string[] = [];
  for (const file of (await readdir(harness, { recursive: true })).filter((path) => path.endsWith('.py')))
    if (!file.includes('engines/vllm/') && name.test(await readFile(join(harness, file), 'utf8')))
      named.push(file);
  assert.deepEqual(named, ['deterministic_ml/engines/__init__.py']);
});

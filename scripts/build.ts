/** Builds dist/: `node scripts/build.ts`; with `--check`, fails if the committed dist/ is not what the source gives. */
import { chmod, cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { isBuiltin } from 'node:module';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Node's own modules, got without an import of them: that reads each of their exports once, and so loads undici for the
 * `WebSocket` of node:http and streams for that of node:fs, for nothing (measured: 20 of a check's 380 ms). A Node that
 * is too old for that still says so.
 */
const BUILTINS_UNREAD = {
  name: 'builtins unread',
  renderChunk: (code: string) =>
    code.replaceAll(
      /^import (?:(\w[\w$]*)|\* as (\w[\w$]*)|(?:(\w[\w$]*), )?(\{[^}]*\})) from ["']([\w:/]+)["'];$/gm,
      (
        whole,
        own: string | undefined,
        all: string | undefined,
        also: string | undefined,
        some: string | undefined,
        name: string,
      ) => {
        // The bundler's own code calls it as it is loaded, by a Node that is too old as well, which has to be told that.
        if (!isBuiltin(name) || name === 'node:module') return whole;
        const unread = (names: string) => `const ${names} = process.getBuiltinModule?.("${name}") ?? {};`;
        const named = (own ?? all ?? some ?? '').replaceAll(' as ', ': ');
        return also === undefined ? unread(named) : `${unread(also)} ${unread(named)}`;
      },
    ),
};

/**
 * What @actions/core asks GitHub for an identity with, which nothing of ours does: it would load undici at each step
 * (measured: 15 of its 950 ms of CPU).
 */
const NO_IDENTITY = {
  name: 'no identity',
  resolveId: {
    filter: { id: /^@actions\/http-client/ },
    handler: (id: string, importer: string | undefined) =>
      importer?.includes('/@actions/core/lib/oidc-utils') === true ? `\0no identity:${id}` : null,
  },
  load: {
    filter: { id: /^\0no identity:/ },
    handler: () =>
      "const none = class { constructor() { throw new Error('no identity is asked for'); } };\nexport { none as HttpClient, none as BearerCredentialHandler };\n",
  },
};

/** Folders of the packages whose code is inside, and how many bytes of it before it is minified. */
export type Bundled = ReadonlyMap<string, number>;

/** Bundles the entries into `folder`. */
export async function bundle(entries: Readonly<Record<string, string>>, folder: string): Promise<Bundled> {
  await using build = await rolldown({
    input: entries,
    cwd: root,
    platform: 'node',
    // Where node_modules is a link, modules are sorted by where they seem to lie, as they are anywhere else.
    resolve: { symlinks: false },
    // Optional native accelerators of ssh2, which dockerode only loads for ssh:// hosts. By their bare names: a path
    // would tell where node_modules lies, and the same source would give another dist/ wherever it is a link.
    external: ['cpu-features'],
    plugins: [
      {
        name: 'native by name',
        resolveId: {
          filter: { id: /\.node$/ },
          handler: (id) => ({ id: basename(id), external: true }),
        },
      },
      NO_IDENTITY,
      BUILTINS_UNREAD,
    ],
    logLevel: 'warn',
    onLog: (level, log, print) => {
      // Third-party code: nothing that this project could change.
      if (log.code === 'EVAL' || log.id?.includes('node_modules') === true) return;
      print(level, log);
    },
  });
  const { output } = await build.write({
    dir: folder,
    format: 'esm',
    entryFileNames: '[name].js',
    chunkFileNames: 'chunks/[name].js',
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
  });
  const packages = new Map<string, number>();
  for (const chunk of output)
    if (chunk.type === 'chunk')
      for (const [id, { renderedLength }] of Object.entries(chunk.modules)) {
        const match = /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)[\\/]/.exec(id);
        const [path = ''] = match ?? [];
        if (path !== '')
          packages.set(path.slice(0, -1), (packages.get(path.slice(0, -1)) ?? 0) + renderedLength);
      }
  return packages;
}

async function licences(packages: Iterable<string>): Promise<string> {
  const parts = await Promise.all(
    [...packages].map(async (folder) => {
      const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as {
        readonly name: string;
        readonly version: string;
        readonly license?: string;
      };
      const file = (await readdir(folder)).find((name) => /^(licen[cs]e|copying)/i.test(name));
      const text =
        file === undefined ? '(no licence file in the package)' : await readFile(join(folder, file), 'utf8');
      return `${manifest.name} ${manifest.version} (${manifest.license ?? 'see below'})\n\n${text.trim()}\n`;
    }),
  );
  return [...new Set(parts)].sort().join(`\n${'-'.repeat(80)}\n\n`);
}

/** Everything that dist/ holds, in `folder`. */
export async function build(folder: string): Promise<Bundled> {
  const packages = await bundle(
    {
      main: 'src/main.ts',
      post: 'src/post.ts',
      cli: 'src/cli.ts',
      // Started, not imported: beside the chunk that starts it, as it is beside it in src.
      'chunks/cache-save': 'src/baseline/cache/save.ts',
      'chunks/read-bodies': 'src/disk/read-bodies.ts',
    },
    folder,
  );
  // A pre-commit hook starts it by its path.
  await chmod(join(folder, 'cli.js'), 0o755);
  await writeFile(join(folder, 'licenses.txt'), await licences(packages.keys()));
  // Node takes .js as ESM by the nearest package.json.
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n');
  return packages;
}

/** The files of one folder that the other has not, or has otherwise. */
export async function differing(one: string, other: string): Promise<string[]> {
  const [ours, theirs] = [await tree(one), await tree(other)];
  return [...new Set([...ours.keys(), ...theirs.keys()])].filter(
    (file) => ours.get(file) !== theirs.get(file),
  );
}

async function tree(folder: string): Promise<Map<string, string>> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(
    await Promise.all(
      files.map(async (file) => [relative(folder, file), await readFile(file, 'latin1')] as const),
    ),
  );
}

if (import.meta.main) {
  const fresh = await mkdtemp(join(tmpdir(), 'dist-'));
  const dist = join(root, 'dist');
  try {
    await build(fresh);
    if (process.argv.includes('--check')) {
      const stale = await differing(fresh, dist);
      if (stale.length > 0) {
        console.error(
          `dist/ is not what the source gives: ${stale.join(', ')}. Run \`npm run build\` and commit dist/.`,
        );
        process.exitCode = 1;
      } else console.error('dist/ matches the source.');
    } else {
      await rm(dist, { recursive: true, force: true });
      await cp(fresh, dist, { recursive: true });
      // A temporary folder is its maker's alone; an engine of another user starts from this one.
      await chmod(dist, 0o755);
    }
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

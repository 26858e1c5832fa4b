import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { some } from '../counted.ts';
import { UserError } from '../errors.ts';

/** Weights, configuration, tokenizer, chat template, and code of models that bring their own. */
const SUFFIXES = new Set([
  ...['.safetensors', '.json', '.jinja', '.txt', '.model', '.tiktoken', '.py', '.gguf'],
  ...['.bin', '.pt', '.pth'],
]);
/** The same weights in PyTorch's format: no engine reads them where safetensors are. */
const DUPLICATES = new Set(['.bin', '.pt', '.pth']);

/** Those of a model's files (paths relative to it) that an engine may read; the harness goes by the same rule. */
export function needed(names: Iterable<string>): string[] {
  const kept = [...names].filter((name) => !name.split('/').some(isHidden) && SUFFIXES.has(extname(name)));
  const safetensors = kept.some((name) => name.endsWith('.safetensors'));
  return kept.filter((name) => !(safetensors && DUPLICATES.has(extname(name)))).sort();
}

/** Caches and histories of the tools that fetched the model. */
const isHidden = (name: string) => name.startsWith('.');

/**
 * What changes when a file does, without reading it; of what is no file, UserError `model-unreadable`. The harness writes it alike, so that a file which it sees as this
 * machine does need not be hashed again.
 */
export async function identityOf(
  path: string,
): Promise<{ readonly identity: string; readonly bytes: number }> {
  const found = await stat(path, { bigint: true });
  // Reading a pipe could take forever, and nothing would end it.
  if (!found.isFile())
    throw new UserError(
      'model-unreadable',
      `The model cannot be read: ${path} is no file.`,
      'Leave nothing but files, folders and links to them in the folder of the model.',
    );
  const { dev, ino, size, mtimeNs, ctimeNs } = found;
  return { identity: [dev, ino, size, mtimeNs, ctimeNs].join(':'), bytes: Number(size) };
}

/**
 * The needed files of a model's folder, as paths relative to it. Links are followed, since the hub client's cache is
 * made of them.
 *
 * @throws UserError `model-missing`, `model-unreadable`
 */
export async function modelFiles(folder: string): Promise<string[]> {
  const kind = await stat(folder).catch((error: unknown) => {
    throw fileError(folder, error);
  });
  if (!kind.isDirectory())
    throw new UserError(
      'model-missing',
      `The model path ${folder} is a file, not a folder.`,
      'Name the folder that holds config.json, the weights and the tokenizer.',
    );
  const all: string[] = [];
  for await (const name of walk(folder, '')) all.push(name);
  const names = needed(all);
  if (!names.includes('config.json'))
    throw missing(
      names.includes('adapter_config.json')
        ? `${folder} is an adapter, and no model`
        : `${folder} has no config.json`,
      'Name the folder that holds config.json, the weights and the tokenizer; `model.path` is relative to the suite.',
    );
  await refuseHalves(folder, names);
  return names;
}

const missing = (what: string, remedy: string) =>
  new UserError('model-missing', `The model is not there: ${what}.`, remedy);

/** How a pointer of Git LFS begins. */
const POINTER = 'version https://git-lfs.github.com/spec/';
/** Every pointer is smaller. */
const MAX_POINTER_BYTES = 1024;
/** Of an index of shards: one with 100,000 tensors has a tenth of it. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
const INDEX = 'model.safetensors.index.json';

/**
 * What was fetched in part only. An engine would tell it once it has started; or, of a shard that is missing, perhaps compute
 * with whatever its memory held.
 */
async function refuseHalves(folder: string, names: readonly string[]): Promise<void> {
  const textOf = async (name: string, most: number) => {
    const path = join(folder, name);
    const found = await stat(path).catch((error: unknown) => {
      throw fileError(path, error);
    });
    // Reading a pipe could take forever; whoever digests it says what it is.
    if (!found.isFile() || found.size > most) return undefined;
    return await readFile(path, 'utf8').catch((error: unknown) => {
      throw fileError(path, error);
    });
  };
  const texts = await Promise.all(names.map((name) => textOf(name, MAX_POINTER_BYTES)));
  const pointers = names.filter((_, index) => texts[index]?.startsWith(POINTER));
  if (pointers.length > 0)
    throw missing(
      `in ${folder}, ${some(pointers, MAX_NAMED)} ${pointers.length === 1 ? 'is a pointer' : 'are pointers'} of Git LFS, and nothing behind it was fetched`,
      'Give actions/checkout `lfs: true`, or run `git lfs pull` in that folder.',
    );
  const index = names.includes(INDEX) ? await textOf(INDEX, MAX_INDEX_BYTES) : undefined;
  const shards = [...new Set(shardsOf(index))];
  const gone = shards.filter((name) => !names.includes(name));
  // Where none of them is there, the weights lie in other files, which an engine may be asked to read.
  if (gone.length > 0 && gone.length < shards.length)
    throw missing(
      `${INDEX} in ${folder} names ${some(gone, MAX_NAMED)}, ${gone.length === 1 ? 'which is' : 'which are'} not there`,
      AGAIN,
    );
  const cut = (await Promise.all(names.map((name) => cutOf(join(folder, name))))).flatMap((bytes, at) =>
    bytes === undefined ? [] : [`${names[at]} (${bytes.has} bytes, where at least ${bytes.wants} belong)`],
  );
  if (cut.length > 0) throw missing(`in ${folder}, the end is lacking of ${some(cut, MAX_NAMED)}`, AGAIN);
}

const AGAIN = 'Fetch the model again: an interrupted download or a full disk leaves such a folder.';

/** Of a header: the format's own limit. */
const MAX_HEADER_BYTES = 100_000_000;

/**
 * Bytes of a safetensors file that ends before its tensors do: 8 bytes tell how long its header is, which tells where each
 * tensor lies behind it (https://huggingface.co/docs/safetensors#format). Undefined of one that is whole, of other files, and
 * of what has no such header: the engine says so.
 */
async function cutOf(path: string): Promise<{ readonly has: number; readonly wants: number } | undefined> {
  if (!path.endsWith('.safetensors')) return undefined;
  await using file = await opened(path);
  if (file === undefined) return undefined;
  const { size } = await file.stat();
  if (size < 8) return { has: size, wants: 8 };
  const { buffer } = await file.read(Buffer.alloc(8), 0, 8, 0);
  const header = Number(buffer.readBigUInt64LE());
  if (header > MAX_HEADER_BYTES) return undefined;
  if (size < 8 + header) return { has: size, wants: 8 + header };
  const text = (await file.read(Buffer.alloc(header), 0, header, 8)).buffer.toString('utf8');
  const wants = 8 + header + endOfTensors(text);
  return size < wants ? { has: size, wants } : undefined;
}

/** Undefined of what is no file: to open a pipe could take forever. */
async function opened(path: string): Promise<FileHandle | undefined> {
  try {
    return (await stat(path)).isFile() ? await open(path) : undefined;
  } catch (error) {
    throw fileError(path, error);
  }
}

/** In bytes behind the header; 0 where it tells of none. */
function endOfTensors(header: string): number {
  try {
    const ends = Object.values(JSON.parse(header) as object).map(
      (tensor: { readonly data_offsets?: readonly unknown[] } | null) => tensor?.data_offsets?.[1],
    );
    return ends.reduce<number>((most, end) => (typeof end === 'number' ? Math.max(most, end) : most), 0);
  } catch {
    return 0;
  }
}

/** More than that many names are counted. */
const MAX_NAMED = 3;

/** Files that an index of shards names; none of one that cannot be read, of which the engine says so. */
function shardsOf(index: string | undefined): string[] {
  try {
    const { weight_map: map } = JSON.parse(index ?? '{}') as { weight_map?: unknown };
    return Object.values(map ?? {}).filter((name) => typeof name === 'string');
  } catch {
    return [];
  }
}

async function* walk(folder: string, below: string): AsyncGenerator<string> {
  const here = join(folder, below);
  const entries = await readdir(here, { withFileTypes: true }).catch((error: unknown) => {
    throw fileError(here, error);
  });
  for (const entry of entries) {
    if (isHidden(entry.name)) continue;
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    // A link that leads nowhere is no folder; where it is needed, reading it says so.
    const isFolder = entry.isSymbolicLink()
      ? await stat(join(folder, path)).then(
          (target) => target.isDirectory(),
          () => false,
        )
      : entry.isDirectory();
    if (isFolder) yield* walk(folder, path);
    else yield path;
  }
}

export function fileError(path: string, cause: unknown): UserError {
  if (cause instanceof UserError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
  if (code === 'ENOENT' || code === 'ENOTDIR')
    return new UserError(
      'model-missing',
      `The model is not there: ${path} does not exist on this machine.`,
      'Correct `model.path` in the suite (it is relative to the suite), or put the model there in an earlier step.',
      { cause },
    );
  return new UserError(
    'model-unreadable',
    `The model cannot be read: ${path}: ${code}.`,
    `Make it readable for the user of this runner: \`chmod -R a+rX ${path}\`.`,
    { cause },
  );
}

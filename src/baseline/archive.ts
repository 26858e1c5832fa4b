import { plain } from './foreign.ts';
import { type TreeLimits, TreeWriter, UnfitTree } from './tree.ts';

const BLOCK = 512;
const LARGEST_PAX_HEADER = 64 * 1024;

/**
 * Unpacks a tar archive as @actions/cache makes it (ustar with pax headers) into an empty folder, taking off the
 * prefix that all of its paths must have.
 *
 * Not `tar -x`, as the library does it: that runs with `-P`, so an archive which somebody else got into the cache
 * writes to any absolute path, through any link, as much as it likes. Here an archive can hold nothing but files and
 * folders below the prefix; anything else ends the unpacking.
 * @throws UnfitTree
 */
export async function unpack(
  source: AsyncIterable<Uint8Array>,
  prefix: string,
  folder: string,
  limits: TreeLimits,
): Promise<void> {
  const writer = new TreeWriter(folder, limits);
  const input = new Input(source);
  let files = 0;
  let pax = new Map<string, string>();
  for (;;) {
    const header = parseHeader(await input.read(BLOCK));
    if (header === undefined) break;
    const path = pax.get('path') ?? header.path;
    const size = pax.has('size') ? Number(pax.get('size')) : header.size;
    if (!Number.isSafeInteger(size) || size < 0) throw new UnfitTree(`"${plain(path)}" in it has no size`);
    switch (header.type) {
      case 'x':
        if (header.size > LARGEST_PAX_HEADER) throw new UnfitTree('it holds a header without end');
        pax = parsePax(await input.read(header.size));
        await input.skipPadding(header.size);
        continue;
      case '5': {
        const below = strip(path.replace(/\/+$/, ''), prefix);
        if (below !== '') await writer.folder(below);
        break;
      }
      case '0':
        files += 1;
        await writer.file(strip(path, prefix), input.stream(size), size);
        await input.skipPadding(size);
        break;
      default:
        throw new UnfitTree(`"${plain(path)}" in it is ${kindOf(header.type)}`);
    }
    pax = new Map();
  }
  // To the very end, where the compression's own checksum is.
  await input.expectZeros(limits.bytes);
  if (files === 0) throw new UnfitTree('it holds no file');
}

function strip(path: string, prefix: string): string {
  if (path === prefix) return '';
  if (path.startsWith(`${prefix}/`)) return path.slice(prefix.length + 1);
  throw new UnfitTree(`"${plain(path)}" in it lies outside of ${prefix}`);
}

function kindOf(type: string): string {
  switch (type) {
    case '1':
      return 'a hard link';
    case '2':
      return 'a symbolic link';
    case '3':
    case '4':
      return 'a device';
    case '6':
      return 'a named pipe';
    default:
      return `of the unknown kind "${plain(type)}"`;
  }
}

interface Header {
  readonly path: string;
  readonly size: number;
  readonly type: string;
}

/** Undefined for the block of zeros that ends an archive. */
function parseHeader(block: Buffer): Header | undefined {
  if (block.every((byte) => byte === 0)) return undefined;
  const text = (from: number, to: number) => {
    const field = block.subarray(from, to);
    const end = field.indexOf(0);
    return field.toString('latin1', 0, end === -1 ? field.length : end);
  };
  const octal = (from: number, to: number) => {
    const digits = text(from, to).trim();
    return /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
  };
  let sum = 0;
  for (const [index, byte] of block.entries()) sum += index >= 148 && index < 156 ? 0x20 : byte;
  if (sum !== octal(148, 156) || text(257, 262) !== 'ustar')
    throw new UnfitTree('it is no tar archive, or a damaged one');
  const prefix = text(345, 500);
  const name = text(0, 100);
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    size: octal(124, 136),
    type: text(156, 157) || '0',
  };
}

/** Lines of `<length> <keyword>=<value>\n`. */
function parsePax(content: Buffer): Map<string, string> {
  const entries = new Map<string, string>();
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const length = Number(content.toString('latin1', at, space));
    const line = content.toString('utf8', space + 1, at + length - 1);
    const equals = line.indexOf('=');
    if (space === -1 || !Number.isInteger(length) || length <= space - at || equals === -1)
      throw new UnfitTree('it holds a damaged header');
    entries.set(line.slice(0, equals), line.slice(equals + 1));
    at += length;
  }
  return entries;
}

/** Reads an exact number of bytes at a time from chunks of any size. */
class Input {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for await (const part of this.stream(length)) parts.push(part);
    return Buffer.concat(parts);
  }

  async *stream(length: number): AsyncGenerator<Buffer> {
    for (let missing = length; missing > 0; ) {
      if (this.#rest.length === 0 && !(await this.#refill())) throw new UnfitTree('it is cut short');
      const part = this.#rest.subarray(0, missing);
      this.#rest = this.#rest.subarray(part.length);
      missing -= part.length;
      yield part;
    }
  }

  async skipPadding(size: number): Promise<void> {
    await this.read((BLOCK - (size % BLOCK)) % BLOCK);
  }

  async expectZeros(limit: number): Promise<void> {
    let length = 0;
    do {
      length += this.#rest.length;
      if (length > limit || this.#rest.some((byte) => byte !== 0))
        throw new UnfitTree('something follows after its end');
    } while (await this.#refill());
  }

  async #refill(): Promise<boolean> {
    const { done, value } = await this.#chunks.next();
    if (done === true) return false;
    this.#rest = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return true;
  }
}

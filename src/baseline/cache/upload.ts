import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { plain } from '../foreign.ts';
import { copyError, copyTree, type TreeLimits } from '../tree.ts';
import { any, CACHED_PATH, type Environment } from './service.ts';

/** What became of a save, as far as the library tells. */
export type Upload =
  | { readonly kind: 'saved' }
  | { readonly kind: 'denied' | 'exists' | 'quota' | 'disk-full' | 'failed'; readonly why: string }
  | { readonly kind: 'overdue' };

export interface UploadOptions {
  readonly env: Environment;
  /** An empty folder that belongs to this upload, without a space in its path. */
  readonly workshop: string;
  readonly limits: TreeLimits;
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly log: (line: string) => void;
}

/** Saves a folder with the real @actions/cache, in a process of its own (see save.ts). */
export async function upload(key: string, folder: string, options: UploadOptions): Promise<Upload> {
  const workspace = join(options.workshop, 'workspace');
  const temp = join(options.workshop, 'temp');
  await mkdir(join(workspace, CACHED_PATH), { recursive: true });
  await mkdir(temp);
  await copyTree(folder, join(workspace, CACHED_PATH), options.limits).catch((error: unknown) => {
    throw copyError(error, folder);
  });

  const child = spawn(process.execPath, [saver(), CACHED_PATH, key], {
    cwd: workspace,
    env: { ...passedOn(options.env), GITHUB_WORKSPACE: workspace, RUNNER_TEMP: temp },
    stdio: ['pipe', 'pipe', 'pipe'],
    // A process group of its own, so that its tar can be ended with it.
    detached: true,
  });
  const ended = once(child, 'close');
  const kill = () => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended already.
    }
  };
  const deadline = AbortSignal.timeout(options.deadlineMs);
  const stop = any(deadline, options.signal);
  stop.addEventListener('abort', kill, { once: true });
  if (stop.aborted) kill();
  // It may end before it was told to.
  child.stdin.on('error', () => undefined);

  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr])
    createInterface({ input: stream }).on('line', (line) => {
      const said = libraryLine(line);
      if (said === undefined) return;
      lines.push(said.text);
      if (said.isTold) options.log(`cache: ${said.text}`);
    });
  const [code] = await ended.finally(() => stop.removeEventListener('abort', kill));
  options.signal?.throwIfAborted();
  if (deadline.aborted) return { kind: 'overdue' };
  // Over protocol v1 it gives the id of an entry whose upload failed (cache.js, saveCacheV1).
  const isSaved = code === 0 && !lines.some((line) => line.startsWith('Failed to save: '));
  return isSaved ? { kind: 'saved' } : judge(lines);
}

/** In src beside this file; in dist beside the entries, or one up from the chunk that holds this code. */
function saver(): string {
  const places = ['./save.ts', './cache-save.js', '../cache-save.js'].map((place) =>
    fileURLToPath(new URL(place, import.meta.url)),
  );
  const place = places.find((path) => existsSync(path));
  if (place === undefined) throw new Error(`cache-save was not built: none of ${places.join(', ')} is there`);
  return place;
}

/** What the library, Node, tar and zstd need, and nothing that would tell the runner something. */
const PASSED_ON =
  /^(?:ACTIONS_(?:CACHE_URL|RESULTS_URL|RUNTIME_TOKEN|CACHE_SERVICE_V2|CACHE_MODE)|GITHUB_SERVER_URL|RUNNER_TRACKING_ID|PATH|HOME|TMPDIR|LANG|LC_ALL|(?:https?|no)_proxy|(?:HTTPS?|NO)_PROXY|NODE_EXTRA_CA_CERTS|NODE_USE_SYSTEM_CA|SSL_CERT_(?:FILE|DIR)|SYSTEMROOT)$/;

function passedOn(env: Environment): Record<string, string> {
  const entries: [string, string][] = [];
  for (const [name, value] of Object.entries(env))
    if (value !== undefined && PASSED_ON.test(name)) entries.push([name, value]);
  return Object.fromEntries(entries);
}

/** What the library says of every refusal and outage alike. */
const GUESS = /another job may be (?:creating|finalizing) this cache/;

interface LibraryLine {
  readonly text: string;
  /** Whether it is worth a line of the log. */
  readonly isTold: boolean;
}

/** Undefined for what says nothing: masks, which hold a secret, and the command line of tar. */
function libraryLine(line: string): LibraryLine | undefined {
  if (line.startsWith('[command]') || line.startsWith('::add-mask::')) return undefined;
  const command = /^::(\w+)(?: [^:]*)?::(.*)$/.exec(line);
  const text = plain(
    (command?.[2] ?? line).replaceAll('%0A', ' ').replaceAll('%0D', ' ').replaceAll('%25', '%'),
    // Enough for the cause, which comes after the key.
    2000,
  );
  return text === '' ? undefined : { text, isTold: command?.[1] !== 'debug' && !GUESS.test(text) };
}

/**
 * The library's own words mislead: it says "another job may be creating this cache" of a service that is down just
 * as well. The cause is in its debug lines, which it prints always (cache.js, saveCacheV2).
 */
function judge(lines: readonly string[]): Upload {
  const all = lines.join('\n');
  const told =
    lines.findLast((line) => line.startsWith('Failed to reserve cache: ')) ??
    lines.findLast((line) => /fail|error|unable|refused|denied/i.test(line)) ??
    lines.at(-1) ??
    'it said nothing';
  const why = plain(told, 600);
  if (/cache write denied: |\((?:401|403)\)|responded with (?:401|403)|forbidden|unauthorized/i.test(told))
    return { kind: 'denied', why };
  if (/\(409\)|responded with 409|already exists/i.test(told)) return { kind: 'exists', why };
  if (/quota has been hit|insufficient usage|data cap limit|over the 10GB limit/.test(all))
    return { kind: 'quota', why };
  if (/No space left on device|ENOSPC|Disk quota exceeded/i.test(all)) return { kind: 'disk-full', why };
  return { kind: 'failed', why };
}

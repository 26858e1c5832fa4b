/**
 * A program of its own, built beside the others: `node cache-save.js <path> <key>`, in an empty folder that holds the
 * path. It saves the path with @actions/cache and exits with 0 when the library says that it did, otherwise with 3.
 *
 * A process, because the library takes where it works and how it talks from `process.cwd()` and `process.env`, prints
 * what a server says raw on standard output, where the runner executes it, and cannot be told to stop. It also breaks
 * on a path with a space (its `tar` command line is not quoted), which a folder of its own avoids.
 */
import { saveCache } from '@actions/cache';

const [, , path = '', key = ''] = process.argv;

// The parent is gone or has given up.
process.stdin.on('end', () => process.exit(1)).resume();

try {
  // It does not throw when a save is refused, denied or broken.
  process.exit((await saveCache([path], key)) === -1 ? 3 : 0);
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(3);
}

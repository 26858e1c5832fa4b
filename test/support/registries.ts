import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { ensurePythonIndex, ensureVerdaccio } from '../../scripts/setup/tools.ts';
import { freePort } from './ports.ts';

/** A registry of packages on this machine, empty, gone when it is disposed of. */
export interface PackageRegistry extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly url: string;
}

/** npm's: whoever comes may publish, and nothing is asked of any other registry. @param folder for its files */
export async function startNpmRegistry(folder: string): Promise<PackageRegistry> {
  const config = join(folder, 'verdaccio.yaml');
  await writeFile(
    config,
    JSON.stringify({
      storage: join(folder, 'packages'),
      uplinks: {},
      packages: { '**': { access: '$all', publish: '$all' } },
      web: { enable: false },
      log: { type: 'stdout', format: 'pretty', level: 'warn' },
    }),
  );
  const port = await freePort();
  const verdaccio = await ensureVerdaccio();
  return serve(
    [process.execPath, verdaccio, '--config', config, '--listen', `127.0.0.1:${port}`],
    `http://127.0.0.1:${port}`,
    '/-/ping',
  );
}

/** PyPI's: uploads as twine and uv send them, and the index below /simple/. @param folder for its files, empty */
export async function startPythonIndex(folder: string): Promise<PackageRegistry> {
  const port = await freePort();
  const open = ['--passwords', '.', '--authenticate', '.'];
  return serve(
    [
      ...['python3', '-m', 'pypiserver', 'run', '--interface', '127.0.0.1', '--port', String(port)],
      ...[...open, '--disable-fallback', folder],
    ],
    `http://127.0.0.1:${port}`,
    '/health',
    { PYTHONPATH: await ensurePythonIndex() },
  );
}

const DEADLINE_MS = 60_000;

async function serve(
  command: readonly string[],
  url: string,
  path: string,
  env: Readonly<Record<string, string>> = {},
): Promise<PackageRegistry> {
  // The shell ends the server when its standard input does, so also when this process is killed.
  const server = execa('sh', ['-c', '"$@" & child=$!; cat >&2; kill $child; wait', 'sh', ...command], {
    stdin: 'pipe',
    // It would end the shell before the shell has ended the server.
    cleanup: false,
    all: true,
    reject: false,
    env,
  });
  let ended = false;
  const end = server.then(({ all }) => {
    ended = true;
    return all;
  });
  const stop = async () => {
    server.stdin.end();
    await end;
  };
  const until = performance.now() + DEADLINE_MS;
  while (
    !(await fetch(`${url}${path}`).then(
      ({ ok }) => ok,
      () => false,
    ))
  ) {
    if (ended || performance.now() > until) {
      await stop();
      throw new Error(`${command.slice(0, 4).join(' ')} does not serve: ${await end}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return { url, [Symbol.asyncDispose]: stop };
}

import { after, type TestContext } from 'node:test';
import { type DockerDaemon, DockerUnavailable, ensureDocker } from '../../scripts/setup/docker.ts';

let daemon: Promise<DockerDaemon> | undefined;

/**
 * The machine's Docker daemon, or one of our own, until this test file has ended. Where none can be had, the test is
 * skipped with the reason and gets undefined; in CI it fails instead: a skip there would be a hole.
 */
export async function dockerOrSkip(t: TestContext): Promise<DockerDaemon | undefined> {
  daemon ??= ensureDocker();
  try {
    return await daemon;
  } catch (error) {
    if (!(error instanceof DockerUnavailable) || process.env['CI'] === 'true') throw error;
    process.stderr.write(`SKIPPED, no Docker: ${t.name}: ${error.message}\n`);
    t.skip(`no Docker: ${error.message}`);
    return undefined;
  }
}

after(async () => {
  await daemon?.then(
    (running) => running[Symbol.asyncDispose](),
    () => {},
  );
});

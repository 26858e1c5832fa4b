import { ensureAct, ensureZizmor } from './setup/act.ts';
import { DockerUnavailable, ensureDocker } from './setup/docker.ts';
import { ensureCpuImage, ensureTinyImage } from './setup/image.ts';
import { ensureModel } from './setup/model.ts';
import { ensureEngine } from './setup/python.ts';
import { startRegistry } from './setup/registry.ts';
import { step } from './setup/step.ts';

// Everything that the tests and the demo need, made beforehand: each of them also makes what it finds missing.
await step('Setup', async () => {
  const tell = (what: string, where: string) => console.log(`${what.padEnd(9)} ${where}`);
  tell('act', await ensureAct());
  tell('zizmor', await ensureZizmor());
  tell('python', (await ensureEngine()).python);
  tell('model', await ensureModel());
  try {
    await using docker = await ensureDocker();
    tell('docker', docker.host);
    tell('tiny', (await ensureTinyImage(docker)).imageId);
    tell('image', (await ensureCpuImage(docker)).imageId);
    await using _registry = await startRegistry();
  } catch (error) {
    if (!(error instanceof DockerUnavailable)) throw error;
    tell('docker', `unavailable: ${error.message}`);
  }
});

import { ensureAct, ensureZizmor } from './act.ts';
import { ChromiumUnavailable, ensureChromium } from './chromium.ts';
import { DockerUnavailable, ensureDocker } from './docker.ts';
import { ensureCpuImage, ensureTinyImage } from './image.ts';
import { ensureModel } from './model.ts';
import { type Engine, ensureEngine } from './python.ts';
import { startRegistry } from './registry.ts';
import {
  ensurePythonIndex,
  ensureRay,
  ensureServers,
  ensureTools,
  ensureVerdaccio,
  ensureWheelTools,
} from './tools.ts';

/** Told as soon as a thing is there: what it is, and where. */
export type Tell = (what: string, where: string) => void;

/**
 * All that the tests and the demo need, made beforehand: each of them also makes what it finds missing. While packages
 * arrive over the network and Debian's base image is unpacked, the model is converted.
 */
export async function ensureEverything(tell: Tell): Promise<void> {
  await ensureTools();
  const engine = ensureEngine();
  const lanes = [engineLane(engine, tell), dockerLane(engine, tell)];
  for (const lane of await Promise.allSettled(lanes)) {
    if (lane.status === 'fulfilled') continue;
    const { reason } = lane;
    // Whoever needs it skips its tests loudly.
    if (!(reason instanceof DockerUnavailable || reason instanceof ChromiumUnavailable)) throw reason;
    tell('missing', reason.message);
  }
}

async function engineLane(engine: Promise<Engine>, tell: Tell): Promise<void> {
  tell('act', await ensureAct());
  tell('zizmor', await ensureZizmor());
  tell('wheel', await ensureWheelTools());
  tell('servers', await ensureServers());
  tell('ray', await ensureRay());
  tell('index', await ensurePythonIndex());
  tell('verdaccio', await ensureVerdaccio());
  tell('python', (await engine).python);
  tell('model', await ensureModel());
  tell('chromium', await ensureChromium());
}

async function dockerLane(engine: Promise<Engine>, tell: Tell): Promise<void> {
  await using docker = await ensureDocker();
  tell('docker', docker.host);
  tell('tiny', (await ensureTinyImage(docker)).imageId);
  await engine;
  tell('image', (await ensureCpuImage(docker)).imageId);
  await using _registry = await startRegistry();
}

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type Docker from 'dockerode';
import { UserError } from '../../errors.ts';
import type { Environment } from '../options.ts';
import { overSsh } from './ssh.ts';

/** How long a daemon may take to answer a ping. */
const PING_MS = 10_000;

/** What dockerode rejects with: an answer of the daemon, or an error of the connection. */
export interface DockerError {
  readonly statusCode: number | undefined;
  readonly code: string | undefined;
  readonly message: string;
}

export function dockerError(error: unknown): DockerError {
  if (!(error instanceof Error)) return { statusCode: undefined, code: undefined, message: String(error) };
  const { statusCode, code } = error as { statusCode?: unknown; code?: unknown };
  return {
    statusCode: typeof statusCode === 'number' ? statusCode : undefined,
    code: typeof code === 'string' ? code : undefined,
    message: error.message.trim(),
  };
}

/** Folder of the Docker client's own configuration. */
export function configFolder(environment: Environment): string {
  return environment['DOCKER_CONFIG'] ?? join(environment['HOME'] ?? '/root', '.docker');
}

/**
 * A client of the daemon that `docker` itself would use, which has answered a ping.
 *
 * @throws UserError `docker-unavailable`
 */
export async function connect(environment: Environment, signal?: AbortSignal): Promise<Docker> {
  const address = await daemonAddress(environment);
  // dockerode brings ssh and gRPC along: only a run that needs a container pays for them.
  const { default: Client } = await import('dockerode');
  const options = await clientOptions(address, environment, signal);
  try {
    // A client of its own: this timeout would cut the connections to a container that is silent for a while.
    const answer = new Client({ ...options, timeout: PING_MS }).ping();
    await (signal === undefined ? answer : Promise.race([answer, aborted(signal)]));
  } catch (error) {
    signal?.throwIfAborted();
    throw daemonUnavailable(error, address, environment);
  }
  return new Client(options);
}

/** Address of the daemon: DOCKER_HOST, else the chosen context's, else the first socket that is there. */
async function daemonAddress(environment: Environment): Promise<string> {
  if (environment['DOCKER_HOST']) return environment['DOCKER_HOST'];
  const context = await contextAddress(environment);
  if (context !== undefined) return context;
  const sockets = [
    join(environment['HOME'] ?? '/root', '.docker/run/docker.sock'),
    ...(environment['XDG_RUNTIME_DIR'] ? [join(environment['XDG_RUNTIME_DIR'], 'docker.sock')] : []),
  ];
  // The system's own daemon comes first, and is what an error names when there is none at all.
  for (const socket of ['/var/run/docker.sock', ...sockets])
    if (await exists(socket)) return `unix://${socket}`;
  return 'unix:///var/run/docker.sock';
}

async function contextAddress(environment: Environment): Promise<string | undefined> {
  const folder = configFolder(environment);
  const name =
    environment['DOCKER_CONTEXT'] ?? string(await readJson(join(folder, 'config.json')), 'currentContext');
  if (name === undefined || name === '' || name === 'default') return undefined;
  const hash = createHash('sha256').update(name).digest('hex');
  const meta = await readJson(join(folder, 'contexts/meta', hash, 'meta.json'));
  const address = string(object(object(meta, 'Endpoints'), 'docker'), 'Host');
  if (address === undefined)
    throw new UserError(
      'docker-unavailable',
      `The Docker context \`${name}\` is not defined in ${folder}.`,
      'Choose one that exists with `docker context use`, or set DOCKER_HOST.',
    );
  return address;
}

/** Every option is given, even as undefined: dockerode would fill it from its own reading of DOCKER_HOST. */
async function clientOptions(
  address: string,
  environment: Environment,
  signal: AbortSignal | undefined,
): Promise<Docker.DockerOptions> {
  const none = {
    socketPath: undefined,
    host: undefined,
    port: undefined,
    protocol: undefined,
    ca: undefined,
    cert: undefined,
    key: undefined,
  };
  if (address.startsWith('unix://')) return { ...none, socketPath: address.slice('unix://'.length) };
  const url = URL.parse(address);
  // dockerode's own way there looks at no host key.
  if (url?.protocol === 'ssh:') return { ...none, socketPath: await overSsh(url, environment, signal) };
  if (url === null || !['tcp:', 'http:', 'https:'].includes(url.protocol))
    throw new UserError(
      'docker-unavailable',
      `The Docker address ${address} is not of a kind that this action speaks.`,
      'Set DOCKER_HOST to unix://…, tcp://… or ssh://….',
    );
  const isTls = url.protocol === 'https:' || Boolean(environment['DOCKER_TLS_VERIFY']) || url.port === '2376';
  const folder = environment['DOCKER_CERT_PATH'] ?? configFolder(environment);
  const pem = (name: string) => {
    try {
      return readFileSync(join(folder, name));
    } catch (cause) {
      throw new UserError(
        'docker-unavailable',
        `The Docker daemon at ${address} wants TLS, and ${join(folder, name)} cannot be read.`,
        'Set DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem.',
        { cause },
      );
    }
  };
  return {
    ...none,
    host: url.hostname,
    port: url.port || (isTls ? 2376 : 2375),
    protocol: isTls ? 'https' : 'http',
    ...(isTls ? { ca: pem('ca.pem'), cert: pem('cert.pem'), key: pem('key.pem') } : {}),
  };
}

function daemonUnavailable(cause: unknown, address: string, environment: Environment): UserError {
  const { code, message } = dockerError(cause);
  const what = (text: string, hint: string) =>
    new UserError('docker-unavailable', `${text} (${address})`, hint, { cause });
  // ARC's kubernetes mode: the job is a pod, and there is no daemon to be had.
  if (environment['KUBERNETES_SERVICE_HOST'] && (code === 'ENOENT' || code === 'ECONNREFUSED'))
    return what(
      'There is no Docker daemon in this pod.',
      "Run the job in the pinned image (`container:` in the workflow) and set the action's `runtime: process`.",
    );
  switch (code) {
    case 'ENOENT':
      return what(
        'There is no Docker daemon on this machine.',
        'Install and start Docker (`sudo systemctl start docker`), set DOCKER_HOST if it listens elsewhere, or run the engine in a Python of this machine with `runtime: process`.',
      );
    case 'EACCES':
    case 'EPERM':
      return what(
        'The user of this runner may not talk to Docker.',
        'Add it to the group (`sudo usermod -aG docker <user>`) and restart the runner service, or use `runtime: process`.',
      );
    case 'ECONNREFUSED':
      return what(
        'The Docker daemon is not running.',
        'Start it (`sudo systemctl start docker`) and see `journalctl -u docker` if it does not stay up.',
      );
    case 'ECONNRESET':
    case 'ETIMEDOUT':
      return what(
        `The Docker daemon did not answer within ${PING_MS / 1000} s.`,
        'It hangs, or a firewall is in the way: try `docker version` on the runner, and restart the daemon.',
      );
    default:
      return what(
        `The Docker daemon does not answer: ${message}.`,
        'Try `docker version` on the runner, and see that DOCKER_HOST is right.',
      );
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  // Where the other one wins, nobody looks at this any more.
  promise.catch(() => {});
  return promise;
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function object(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}

function string(value: unknown, key: string): string | undefined {
  const found = object(value, key);
  return typeof found === 'string' ? found : undefined;
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  );

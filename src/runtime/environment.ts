import { join } from 'node:path';
import { engines } from '../engine/engines/index.ts';
import type { Environment } from './options.ts';

/**
 * What a Python of this machine may inherit: what finds programs, libraries and devices, and what tunes the
 * numbers (the fingerprint records those). Everything else stays out, above all the job's tokens and inputs.
 */
export const INHERITED: ReadonlySet<string> = new Set([
  ...['PATH', 'HOME', 'USER', 'LOGNAME', 'LANG', 'TZ'],
  ...['LD_LIBRARY_PATH', 'PYTHONPATH', 'VIRTUAL_ENV', 'CONDA_PREFIX'],
  // The runner ends what carries its own id when a job is over: a last net under a killed action.
  'RUNNER_TRACKING_ID',
]);
export const INHERITED_PREFIXES: readonly string[] = [
  ...['LC_', 'CUDA_', 'NVIDIA_', 'NCCL_', 'CUBLAS_', 'CUDNN_'],
  ...engines.flatMap(({ variables }) => variables),
  ...['TORCH', 'PYTORCH_', 'TRITON_', 'OMP_', 'MKL_', 'KMP_', 'ATEN_', 'ONEDNN_', 'DNNL_'],
];
/** Names of what is nobody's business. */
export const SECRET = /TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY/i;

/** The part of this process's environment that an engine may see. */
export function inherited(environment: Environment): Record<string, string> {
  return pick(
    environment,
    (name) =>
      !SECRET.test(name) &&
      (INHERITED.has(name) || INHERITED_PREFIXES.some((prefix) => name.startsWith(prefix))),
  );
}

/** Settings of every engine: nothing is asked of the network, nothing is told to it. */
export const ENGINE_ENVIRONMENT: Readonly<Record<string, string>> = {
  HF_HUB_OFFLINE: '1',
  TRANSFORMERS_OFFLINE: '1',
  DO_NOT_TRACK: '1',
  // The engine's user need not be in the machine's list of users, where PyTorch looks its name up (seen on an H200).
  USER: 'engine',
  LOGNAME: 'engine',
  ...Object.assign({}, ...engines.map(({ offline }) => offline)),
  // Without a network there is only the loopback device to meet on.
  GLOO_SOCKET_IFNAME: 'lo',
  NCCL_SOCKET_IFNAME: 'lo',
};

/**
 * Every cache that an engine keeps, below a folder that lives as long as its process. Compiled kernels are not shared
 * between runs unawares: they are unsigned code, and they hide a compilation that does not repeat.
 *
 * @param compiled where those are that a suite may have kept
 */
export function cachesBelow(folder: string, compiled = folder): Record<string, string> {
  return {
    TMPDIR: folder,
    XDG_CACHE_HOME: join(compiled, 'cache'),
    XDG_CONFIG_HOME: join(folder, 'config'),
    HF_HOME: join(folder, 'huggingface'),
    ...Object.fromEntries(
      engines.flatMap(({ caches }) =>
        Object.entries(caches).map(([variable, name]) => [variable, join(compiled, name)]),
      ),
    ),
    TRITON_CACHE_DIR: join(compiled, 'triton'),
    TORCHINDUCTOR_CACHE_DIR: join(compiled, 'inductor'),
    NUMBA_CACHE_DIR: join(compiled, 'numba'),
    CUDA_CACHE_PATH: join(compiled, 'cuda'),
  };
}

/** Tells the harness which folder is its own alone: only there does it empty what a lifetime left for the next. */
export const ownFolder = (folder: string) => ({ DETERMINISTIC_ML_SCRATCH: folder });

/** What is left of a socket's path, 107 bytes and no more, once an engine has named it by a UUID below a start's number. */
const SOCKET_FOLDER_BYTES = 107 - `/99/${'0'.repeat(36)}`.length;

/** Where the engines of a run have their sockets: in its own folder, or where that lies too deep in a shorter one. */
export const socketFolder = async (scratch: string, shorter: () => Promise<string>) =>
  Buffer.byteLength(scratch) <= SOCKET_FOLDER_BYTES ? scratch : await shorter();

/** Every variable that tells an engine where to have its sockets; none may stay where its process is gone. */
export const socketsIn = (folder: string): Record<string, string> =>
  Object.fromEntries(engines.flatMap(({ sockets = [] }) => sockets.map((name) => [name, folder])));

/** A home that goes with its process; what the user has installed there for a Python stays where it is. */
export function homeBelow(
  folder: string,
  { HOME: home, PYTHONUSERBASE: base }: Environment,
): Record<string, string> {
  const packages = base ?? (home === undefined ? undefined : join(home, '.local'));
  return { HOME: folder, ...(packages === undefined ? {} : { PYTHONUSERBASE: packages }) };
}

/**
 * `CUDA_VISIBLE_DEVICES` of a process that may use `gpus` of them: of those named by the runner's owner, else
 * of those that this process itself may use, else of all.
 */
export function visibleDevices(
  gpus: 'none' | number,
  devices: readonly string[],
  inheritedValue: string | undefined,
): string {
  if (gpus === 'none') return '';
  const usable = usableDevices(devices, inheritedValue);
  const chosen =
    usable.length > 0 ? usable.slice(0, gpus) : Array.from({ length: gpus }, (_, index) => index);
  return chosen.join(',');
}

/** Empty: the machine's first ones. */
export const usableDevices = (devices: readonly string[], inheritedValue: string | undefined) =>
  devices.length > 0 ? devices : split(inheritedValue);

const split = (list: string | undefined) => (list ?? '').split(',').filter((item) => item.trim() !== '');

/**
 * What a launcher finds its configuration, its keys and the way there by. It is a program of the runner's, and the job's tokens
 * and inputs are none of its business; `srun` would hand them on.
 */
const FOR_LAUNCHERS =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TMPDIR|XDG_\w+|RUNNER_TRACKING_ID|SSH_AUTH_SOCK|KUBECONFIG|KUBERNETES_SERVICE_\w+|DOCKER_(?:HOST|CONTEXT|CONFIG|CERT_PATH|TLS_VERIFY)|(?:SLURM|SRUN|SALLOC|APPTAINER|SINGULARITY|ENROOT|PODMAN|CONTAINER|RAY)_\w+|AWS_\w+|GOOGLE_APPLICATION_CREDENTIALS|CLOUDSDK_\w+|AZURE_\w+|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY)$/;

export const forLauncher = (environment: Environment): Record<string, string> =>
  pick(environment, (name) => FOR_LAUNCHERS.test(name));

function pick(environment: Environment, wanted: (name: string) => boolean): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && wanted(entry[0]),
    ),
  );
}

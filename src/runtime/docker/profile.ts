import type Docker from 'dockerode';
import type { JobIdentity } from '../../engine/runtime.ts';
import { cachesBelow, ownFolder } from '../environment.ts';
import { jobLabels, LABEL, type Role, type Span, spanLabels } from './labels.ts';

/** Where the model is in a container. */
export const MODEL_FOLDER = '/model';
/** Where its kept caches are; caches that are not kept are in its own /tmp. */
export const CACHES_FOLDER = '/caches';

const ENGINE: Role = 'engine';
const SCRATCH = '/tmp/deterministic-ml';

export type Giver = 'nvidia' | 'cdi';

export interface ContainerRequest {
  readonly image: string;
  readonly boot: string;
  readonly job: JobIdentity;
  readonly span: Span;
  readonly user: { readonly uid: number; readonly gid: number };
  readonly gpus: 'none' | number;
  readonly devices: readonly string[];
  /** Who gives them: the toolkit's hook, or a specification of devices (CDI) that the daemon reads by itself. */
  readonly giver: Giver;
  /** Bytes; undefined: as much as the machine has. */
  readonly memory: number | undefined;
  /** Bytes of its /tmp. */
  readonly tmp: number;
  /** How many CPUs' time it may use; undefined: all. */
  readonly cpus: number | undefined;
  /** CPUs that it may run on, e.g. `0-7`; undefined: all. */
  readonly cpuSet: string | undefined;
  /** Bytes. */
  readonly shm: number;
  readonly mounts: readonly Docker.MountSettings[];
  /** Folder of this machine that holds its caches; undefined: they go with it. */
  readonly caches: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * The locked-down container: it can compute and speak over stdin and stdout, and nothing else. That a real
 * engine runs in it, with the same bits as outside, was tried on a CPU.
 */
export function containerProfile(request: ContainerRequest): Docker.ContainerCreateOptions {
  const { uid, gid } = request.user;
  return {
    Image: request.image,
    Entrypoint: ['python3', '-S', '-c', request.boot],
    Cmd: [],
    // Python imports from its working directory first; the image's own may hold a source tree of the engine.
    WorkingDir: '/tmp',
    User: `${uid}:${gid}`,
    // Losing the client closes stdin, which the harness takes as "stop now"; without StdinOnce it stays open.
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: false,
    Env: Object.entries({ ...environmentOf(request), ...request.environment }).map(
      ([name, value]) => `${name}=${value}`,
    ),
    Labels: {
      ...jobLabels(request.job),
      [LABEL.role]: ENGINE,
      ...spanLabels(request.span),
    },
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      // The exit code is wanted, and removing is our business.
      AutoRemove: false,
      // Reaps what the engine's workers leave, and passes signals on.
      Init: true,
      ReadonlyRootfs: true,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges:true'],
      NetworkMode: 'none',
      IpcMode: 'private',
      ShmSize: request.shm,
      // Enough for BLAS and OpenMP threads of several workers on a large machine; a fork bomb meets it.
      PidsLimit: 16_384,
      // Without swap: an engine that swaps is an engine that hangs.
      ...(request.memory === undefined ? {} : { Memory: request.memory, MemorySwap: request.memory }),
      ...(request.cpus === undefined ? {} : { NanoCpus: Math.round(request.cpus * 1e9) }),
      ...(request.cpuSet === undefined ? {} : { CpusetCpus: request.cpuSet }),
      // `memlock` stays as it is: rootless and nested daemons refuse to raise it (tried), and what wants it, RDMA,
      // has no network here.
      Ulimits: [
        { Name: 'stack', Soft: 64 * 1024 ** 2, Hard: 64 * 1024 ** 2 },
        { Name: 'core', Soft: 0, Hard: 0 },
      ],
      // Triton and Inductor load the libraries that they compile from their caches: `exec` is needed.
      Tmpfs: { '/tmp': `rw,exec,nosuid,nodev,mode=1777,size=${request.tmp}` },
      Mounts: [
        ...request.mounts,
        ...(request.caches === undefined ? [] : [{ ...cachesMount(request.caches) }]),
      ],
      // What goes through stdout is model output by the megabyte: it is read here and kept nowhere else.
      LogConfig: { Type: 'none', Config: {} },
      ...(request.gpus === 'none' ? {} : { DeviceRequests: [deviceRequest(request.gpus, request)] }),
    },
  };
}

/** The one folder of this machine that an engine may write to: this run's alone. */
export const cachesMount = (folder: string): Docker.MountSettings => ({
  Type: 'bind',
  Source: folder,
  Target: CACHES_FOLDER,
  ReadOnly: false,
});

function environmentOf({ gpus, caches }: ContainerRequest): Record<string, string> {
  return {
    ...cachesBelow(SCRATCH, caches === undefined ? undefined : CACHES_FOLDER),
    ...ownFolder('/tmp'),
    // The harness makes its own folder below; the one above exists from the start.
    TMPDIR: '/tmp',
    HOME: '/tmp',
    // The uid is in no passwd file: getpass would fail without a name.
    USER: 'engine',
    LOGNAME: 'engine',
    // Code that an image has loaded into every program. LD_LIBRARY_PATH stays: CUDA's compat libraries need it.
    LD_PRELOAD: '',
    LD_AUDIT: '',
    // CUDA images ask for all GPUs, which a daemon with `nvidia` as its default runtime would grant.
    ...(gpus === 'none' ? { NVIDIA_VISIBLE_DEVICES: 'void' } : {}),
  };
}

function deviceRequest(
  gpus: number,
  { devices, giver }: Pick<ContainerRequest, 'devices' | 'giver'>,
): Docker.DeviceRequest {
  const named = devices.slice(0, gpus);
  if (giver === 'cdi') {
    // It knows no count; NVIDIA's toolkit names cards by number and by UUID.
    const names = named.length > 0 ? named : Array.from({ length: gpus }, (_, index) => String(index));
    return { Driver: 'cdi', DeviceIDs: names.map((name) => `nvidia.com/gpu=${name}`) };
  }
  // Docker takes either a count or names, never both.
  const common = { Driver: 'nvidia', Capabilities: [['gpu', 'compute', 'utility']] };
  return named.length === 0 ? { ...common, Count: gpus } : { ...common, DeviceIDs: named };
}

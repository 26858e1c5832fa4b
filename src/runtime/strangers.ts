import { execFile } from 'node:child_process';
import type { Stranger } from '../engine/runtime.ts';
import { excerpt } from '../inert.ts';
import { uuidHash } from './groups.ts';

const SECONDS = 30;
const MAX_BYTES = 1024 ** 2;
const MAX_NAME = 128;
const QUERY = [
  '--query-compute-apps=gpu_uuid,pid,used_gpu_memory,process_name',
  '--format=csv,noheader,nounits',
] as const;

/**
 * Who computes on the GPUs of this machine now, by whatever user and in whatever container. Empty where that is not told: no
 * nvidia-smi, an error, no answer in time. The harness's own reading says so then.
 */
export async function strangersHere(
  environment: Readonly<Record<string, string | undefined>>,
  signal: AbortSignal,
  { program = 'nvidia-smi', seconds = SECONDS } = {},
): Promise<readonly Stranger[]> {
  const told = Promise.withResolvers<string>();
  const child = execFile(
    program,
    [...QUERY],
    { env: { ...environment, LC_ALL: 'C', LANG: 'C' }, maxBuffer: MAX_BYTES },
    (error, stdout) => told.resolve(error === null ? stdout : ''),
  );
  // One that is lost in the driver does not even end by SIGKILL: it is left alone.
  const leave = () => {
    child.kill('SIGKILL');
    child.stdout?.destroy();
    child.stderr?.destroy();
    child.unref();
    told.resolve('');
  };
  const timer = setTimeout(leave, seconds * 1000);
  signal.addEventListener('abort', leave, { once: true });
  try {
    return (await told.promise).split('\n').flatMap(strangerOf);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', leave);
    signal.throwIfAborted();
  }
}

/** `GPU-…, 4242, 17408, /usr/bin/python3`; the name last, since it may hold anything. */
function strangerOf(line: string): Stranger[] {
  const match = /^(GPU-[0-9a-f-]{36}), (\d{1,10}), ([^,]{1,64}), (.*)$/i.exec(line.trim());
  if (match === null) return [];
  const [, uuid = '', pid = '', used = '', name = ''] = match;
  return [
    {
      card: uuidHash(uuid),
      pid: Number(pid),
      mib: /^\d{1,9}$/.test(used) ? Number(used) : null,
      name: excerpt(name, MAX_NAME).slice(0, MAX_NAME) || 'unknown',
    },
  ];
}

import type { Gpu } from '../fingerprint/schema.ts';
import { factOf } from './names.ts';
import type { Folder, ImportedEnvironment, ImportSource, Taken } from './source.ts';
import { UNKNOWN_AMBIENT, UNKNOWN_ENVIRONMENT, UNKNOWN_FINGERPRINT } from './unknown.ts';

/*
 * What `vllm collect-env` and PyTorch's `python -m torch.utils.collect_env` print: `name : value` lines, a list of GPUs,
 * `[pip3] name==version`.
 */

/** More than any prints. */
const MAX_CHARACTERS = 1024 * 1024;
const MAX_GPUS = 64;

const LIBRARIES: Readonly<Record<string, string>> = {
  torch: 'torch',
  transformers: 'transformers',
  numpy: 'numpy',
  triton: 'triton',
  xformers: 'xformers',
  'nvidia-nccl-cu12': 'nccl',
  'nvidia-cublas-cu12': 'cublas',
};

export const collectEnv: ImportSource = {
  name: 'collect-env',
  what: 'text that `vllm collect-env` or PyTorch’s `collect_env` printed, beside results or above them',
  async take(folder, problems): Promise<Taken> {
    const files: string[] = [];
    const environments: ImportedEnvironment[] = [];
    for (const name of folder.files) {
      if (!/\.(txt|log|out|env)$|^collect[_-]env/i.test(name)) continue;
      const text = await folder.text(name);
      if (text === undefined) {
        files.push(name);
        continue;
      }
      if (!/^PyTorch version\s*:/m.test(text.slice(0, MAX_CHARACTERS))) continue;
      files.push(name);
      if (text.length > MAX_CHARACTERS)
        problems.add(pathOf(folder, name), 1, `is larger than ${MAX_CHARACTERS} characters`);
      else environments.push(environmentIn(text));
    }
    return { files, runs: [], environments };
  },
};

const pathOf = ({ path }: Folder, name: string) => (path === '' ? name : `${path}/${name}`);

/** @param text of at most some megabytes: read line by line */
export function environmentIn(text: string): ImportedEnvironment {
  const told = new Map<string, string>();
  const installed = new Map<string, string>();
  const gpus: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const package_ = /^\[pip3?\] ([A-Za-z0-9._-]{1,200})==(\S{1,150})/.exec(line);
    if (package_ !== null) installed.set(package_[1] ?? '', package_[2] ?? '');
    const gpu = /^(?:GPU models and configuration *: *)?GPU \d{1,3}: (.{1,300})$/.exec(line);
    if (gpu !== null && gpus.length < MAX_GPUS) gpus.push((gpu[1] ?? '').replace(/ \(UUID: .*\)$/, ''));
    const pair = /^ *([A-Za-z][A-Za-z0-9 ()._-]{0,60}?) *: *(\S.{0,500})$/.exec(line);
    // The first says it: what follows may be a topology or a log.
    if (pair !== null && !told.has(pair[1] ?? '')) told.set(pair[1] ?? '', pair[2] ?? '');
  }
  const value = (name: string) => {
    const own = told.get(name)?.trim();
    return own === undefined || /^(N\/A|Could not collect|None)$/i.test(own) ? undefined : own;
  };
  const libraries: Record<string, string> = {};
  const library = (name: string, version: string | undefined) => {
    if (version !== undefined) libraries[name] = factOf(version);
  };
  library('torch', value('PyTorch version'));
  library('python', value('Python version')?.split(' ')[0]);
  library('cuda', value('CUDA used to build PyTorch'));
  library('cudnn', value('cuDNN version'));
  for (const [name, own] of Object.entries(LIBRARIES))
    if (libraries[own] === undefined) library(own, installed.get(name));
  const engine = value('vLLM Version') ?? installed.get('vllm');
  const kernel = /^Linux-(.+?)-(?:x86_64|aarch64)/.exec(value('Python platform') ?? '')?.[1];
  return {
    ...UNKNOWN_ENVIRONMENT,
    fingerprint: {
      declared: {
        ...UNKNOWN_FINGERPRINT.declared,
        ...(engine === undefined ? {} : { engine: { name: 'vllm', version: factOf(engine) } }),
        libraries,
      },
      ambient: {
        ...UNKNOWN_AMBIENT,
        gpus: gpus.map(cardOf),
        driver: factOf(value('Nvidia driver version')),
        cpu: {
          ...UNKNOWN_AMBIENT.cpu,
          vendor: factOf(value('Vendor ID')),
          model: factOf(value('Model name')),
        },
        os: factOf(value('OS')),
        kernel: factOf(kernel),
      },
    },
  };
}

export const cardOf = (name: string): Gpu => ({
  name: factOf(name),
  uuidHash: 'unknown',
  computeCapability: 'unknown',
  smCount: 'unknown',
  memoryBytes: 'unknown',
});

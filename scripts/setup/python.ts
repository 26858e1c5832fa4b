import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { installPackages } from './apt.ts';
import { cache, madeOnce, repository } from './cache.ts';
import { run, step } from './step.ts';
import { ensureTools } from './tools.ts';

/** A Python that can import vLLM, its environment, and the folder of its packages. */
export interface Engine {
  readonly folder: string;
  readonly python: string;
  readonly sitePackages: string;
}

/** The packages of the CPU engine, each with its hash. */
export const engineLock = join(repository, 'docker/cpu/requirements.lock');

/** vLLM's CPU build in a virtual environment of its own, and what it finds out about the tests' model. */
export async function ensureEngine(): Promise<Engine> {
  const engine = await ensurePackages();
  await ensureClasses(engine);
  return engine;
}

/** The environment alone, from the same lock as the CPU image. */
export async function ensurePackages(): Promise<Engine> {
  const path = join(cache, 'engine');
  const engine = {
    folder: path,
    python: join(path, 'bin/python'),
    sitePackages: join(path, 'lib/python3.11/site-packages'),
  };
  const locked = await readFile(engineLock, 'utf8');
  await madeOnce({
    title: 'Engine packages: vLLM for the CPU, 2 GB',
    path,
    // The path is part of the key because a virtual environment does not survive being moved.
    key: `${path}\n${locked}`,
    make: async (note, lock) => {
      const uv = join(await ensureTools(), 'bin/uv');
      const strict = ['--no-deps', '--require-hashes', '--only-binary', ':all:', '--requirement', engineLock];
      await run(note, uv, ['venv', '--python', '3.11', path], { lock });
      await run(note, uv, ['pip', 'install', '--python', engine.python, ...strict, ...(await sources())], {
        lock,
      });
      await run(note, engine.python, ['-c', COMPILE, engine.sitePackages, UNUSED], { lock });
    },
  });
  await ensureNuma(engine.python);
  return engine;
}

/** Without byte code, an import in a read-only container takes 24 s instead of 5. What does not compile nobody imports. */
const COMPILE =
  'import compileall, re, sys; compileall.compile_dir(sys.argv[1], quiet=2, workers=0, rx=re.compile(sys.argv[2]))';

/** Of which the tests' engines import nothing: half of all packages, and to compile them would take half of the set-up. */
const UNUSED = `/site-packages.*(?:${[
  ...['/tests?/', '/(?:numba|anthropic|sentry_sdk|supervisor)/', '/transformers/models/(?!auto/|llama/)'],
  ...['/vllm/models/', '/sympy/physics/', '/openai/resources/', '/pygments/lexers/'],
].join('|')})`;

/** vLLM would look in a process of its own, which imports everything once more. */
const INSPECT = `
from vllm.model_executor.models import registry
registry._run_in_subprocess = lambda look: look()
registry.ModelRegistry.models["LlamaForCausalLM"].inspect_model_cls()`;

/** What vLLM finds out about the class of the tests' model in 8 s at each start, where the harness looks for it. */
async function ensureClasses({ folder, python }: Engine): Promise<void> {
  const root = join(folder, 'share/vllm');
  await madeOnce({
    title: 'What vLLM knows of the model’s class',
    path: root,
    key: python,
    make: async (note, lock) => {
      await run(note, python, ['-c', INSPECT], { lock, env: { VLLM_CACHE_ROOT: root } });
      // vLLM closes it to everybody else, and the engine of root's job is another user.
      await execa('chmod', ['-R', 'a+rX', root]);
    },
  });
}

/**
 * Where uv is to look for packages besides PyPI. It does not read pip's configuration, which is what knows this
 * machine's mirror and folders of wheels; PyPI has no CPU build of torch, so that comes from such a folder or
 * else from PyTorch's own index.
 */
async function sources(): Promise<readonly string[]> {
  const { stdout } = await execa('python3', ['-m', 'pip', 'config', 'list']);
  // One line per setting, its values parted by spaces or by line breaks written as backslash and n.
  const configured = (name: string) =>
    [...stdout.matchAll(new RegExp(`^\\S+\\.${name}='(.*)'$`, 'gm'))]
      .flatMap(([, values = '']) => values.split(/\s|\\n/))
      .filter((value) => value !== '');
  const [index] = configured('index-url');
  const folders = [...new Set(configured('find-links'))];
  const wheels = (await Promise.all(folders.map((folder) => readdir(folder).catch(() => [])))).flat();
  return [
    ...(index === undefined ? [] : ['--default-index', index]),
    ...folders.flatMap((folder) => ['--find-links', folder]),
    ...(wheels.some((name) => name.startsWith('torch-')) ? [] : ['--torch-backend', 'cpu']),
  ];
}

/** vLLM's CPU build links against libnuma, which no Python package brings. */
async function ensureNuma(python: string): Promise<void> {
  const load = ['-c', 'import ctypes; ctypes.CDLL("libnuma.so.1")'];
  const missing = async () => (await execa(python, load, { reject: false })).failed;
  if (await missing()) await step('libnuma', (note) => installPackages(note, 'libnuma1'));
}

import { ensureEngine } from '../setup/python.ts';

/** An image that is published beside the files of a release. */
export interface ReleasedImage {
  readonly name: string;
  readonly what: string;
  readonly dockerfile: string;
  readonly platforms: string;
  /** Makes the folder that it is built from. */
  readonly context: () => Promise<string>;
}

export const images: readonly ReleasedImage[] = [
  {
    name: 'vllm',
    what: 'vLLM on CUDA, for a suite’s `runtime: { image }`: the upstream image by digest, without its entry point',
    dockerfile: 'docker/vllm/Dockerfile',
    platforms: 'linux/amd64,linux/arm64',
    context: async () => 'docker/vllm',
  },
  {
    name: 'cpu',
    what: 'vLLM on a CPU, to try a suite without a GPU',
    dockerfile: 'docker/cpu/Dockerfile',
    platforms: 'linux/amd64',
    // Each wheel is held to its hash before the build, which runs neither pip nor a compiler.
    context: async () => (await ensureEngine()).folder,
  },
];

/** @param repository `owner/name` */
export const imageName = ({ name }: ReleasedImage, repository: string, version: string): string =>
  `ghcr.io/${(repository.split('/')[0] ?? '').toLowerCase()}/deterministic-ml-${name}:${version}`;

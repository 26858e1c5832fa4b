import type { EngineSpec } from './spec.ts';

/** Samples of a prompt, where a suite does not say. */
export const SAMPLES = 8;

const ELSEWHERE = 'what an endpoint computes with is not for this machine to set';

/** A model that somebody else serves: asked over the network by this process. Its other half is `src/endpoint/`. */
export const openai: EngineSpec = {
  name: 'openai',
  what: 'a server that speaks OpenAI’s API, such as a staging deployment or a vendor',
  remote: { problems },
  image: undefined,
  args: {},
  served: undefined,
  unread: () => [],
  gpuMemory: [],
  tracing: {},
  prefixCaching: {},
  environment: {},
  variables: [],
  tuning: [],
  offline: {},
  caches: {},
  batchInvariant: () => false,
  foundations: [],
  takes: ['chat'],
  kinds: ['generate', 'score'],
  facts: { compiled: () => undefined, speculation: () => undefined },
  memory: [],
  changes: {
    fp8KvCache: () => ELSEWHERE,
    chunkedPrefill: ELSEWHERE,
    attention: () => ELSEWHERE,
    threads: {},
    logging: {},
  },
};

function* problems(
  args: Readonly<Record<string, unknown>>,
): Generator<readonly [name: string, message: string]> {
  const { url, samples = SAMPLES, ...others } = args;
  if (url === undefined) yield ['url', 'an endpoint needs its `url`, such as https://api.example/v1'];
  else {
    const wrong = wrongUrl(url);
    if (wrong !== undefined) yield ['url', wrong];
  }
  if (!Number.isInteger(samples) || Number(samples) < 2 || Number(samples) > 64)
    yield ['samples', '`samples` is a whole number from 2 to 64'];
  for (const name of Object.keys(others))
    yield [name, `an endpoint has no argument \`${name}\`: it takes \`url\` and \`samples\``];
}

function wrongUrl(told: unknown): string | undefined {
  const url = typeof told === 'string' ? URL.parse(told) : null;
  if (url === null || !/^https?:$/.test(url.protocol)) return 'the `url` begins with https:// or http://';
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '')
    return 'the `url` has a host and a path, and nothing else: a key is given by the `endpoint-key` input';
  return undefined;
}

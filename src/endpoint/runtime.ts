import type { Endpoint, Peer, ProvidedModel, Runtime } from '../engine/runtime.ts';
import { Client, type ClientOptions } from './client.ts';
import { startPeer } from './peer.ts';
import { Server } from './server.ts';

export interface EndpointOptions extends Omit<ClientOptions, 'url'> {
  readonly endpoint: Endpoint;
}

/**
 * A model behind somebody else's server. Nothing runs here but this process, which is the one that may use the network: an
 * engine's container has none. What is a lifetime elsewhere is here one round of questions.
 */
export function openEndpoint({ endpoint, ...options }: EndpointOptions): Runtime {
  const { url, model } = endpoint;
  const server = new Server(new Client({ ...options, url }), model);
  const { host } = new URL(url);
  return {
    kind: 'endpoint',
    description: `Nothing is started here: ${host} is asked for \`${model}\`, ${options.key === undefined ? 'without a key' : 'with the key that `endpoint-key` gives'}.`,
    image: { reference: 'none', digest: 'none', certainty: 'unknown' },
    endpoint: host,
    exposed: undefined,
    caches: undefined,
    slot: undefined,
    slots: 1,
    beside: async () => [],
    indexOf: () => undefined,
    // Which files it has, nobody here can say.
    provideModel: async (): Promise<ProvidedModel> => ({ folder: model, files: [] }),
    start: async (): Promise<Peer> => startPeer(server),
    [Symbol.asyncDispose]: async () => {},
  };
}

import type http from 'node:http';
import type https from 'node:https';

/** What asks a server. */
export type Library = typeof http | typeof https;

/**
 * Node's own for an address, loaded by the first request: with it comes all of TLS (measured: 16 of the 420 ms of CPU of a
 * step that asks nobody), and an `import` would read each of its exports besides, and so load undici.
 *
 * @param protocol as a URL has it
 */
export const libraryFor = ({ protocol }: { readonly protocol: string }): Library =>
  process.getBuiltinModule(protocol === 'https:' ? 'node:https' : 'node:http');

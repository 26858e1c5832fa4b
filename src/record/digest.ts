import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';

/** SHA-256 in 64 hex digits. Text is hashed as UTF-8. */
export function sha256(data: Uint8Array | string): string {
  return hash('sha256', data);
}

/** BLAKE2b-512 in 128 hex digits: what the predecessor `deterministic-ml` published for a text. */
export function blake2b(data: Uint8Array | string): string {
  return hash('blake2b512', data);
}

/** SHA-256 of RFC 8785 canonical JSON. For metadata only: bits are hashed as bytes. */
export function digestJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new TypeError('a value without a JSON form cannot be digested');
  return sha256(text);
}

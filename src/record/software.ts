import canonicalize from 'canonicalize';
import { UserError } from '../errors.ts';
import { PARTS, SOFTWARE_LIMITS, type Software } from '../fingerprint/software.ts';
import type { RunRecord } from './schema.ts';

/** As a body holds it: RFC 8785 JSON, so that lifetimes which tell the same name one file. */
export const packSoftware = (software: Software): Buffer => Buffer.from(canonicalize(software) ?? '');

/** @throws UserError `record-invalid` for anything but names and versions by who keeps them */
export function unpackSoftware(bytes: Buffer, name: string): Software {
  const broken = (cause?: unknown) =>
    new UserError(
      'record-invalid',
      `body ${name} holds no lists of packages and shared objects.`,
      'The record is damaged: make it again.',
      { cause },
    );
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch (cause) {
    throw broken(cause);
  }
  if (!isSoftware(value)) throw broken();
  return value;
}

function isSoftware(value: unknown): value is Software {
  const parts: readonly string[] = PARTS;
  return (
    isObject(value) && Object.entries(value).every(([part, list]) => parts.includes(part) && isList(list))
  );
}

function isList(value: unknown): boolean {
  const { entries, name: longest, version } = SOFTWARE_LIMITS;
  if (!isObject(value)) return false;
  const told = Object.entries(value);
  return (
    told.length <= entries &&
    told.every(([name, is]) => isText(name, longest) && typeof is === 'string' && isText(is, version))
  );
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isText = (text: string, longest: number) => text.length > 0 && text.length <= longest;

/** What the first lifetime of a record told: all lifetimes of a run start the same engine. */
export function softwareOf({ lifetimes, software }: Pick<RunRecord, 'lifetimes' | 'software'>) {
  return software.get(lifetimes[0]?.software ?? '');
}

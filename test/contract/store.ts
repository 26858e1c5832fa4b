import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type BaselineStore, formatKey, type StoreOptions } from '../../src/baseline/port.ts';
import { UserError } from '../../src/errors.ts';
import { privateFolder } from '../../src/machine/scratch.ts';
import { baselineKey, bytesBelow, writeBaseline } from '../support/cache-baseline.ts';

/** An empty place for baselines, and a runner that may write there. */
export type Branches = Pick<StoreOptions, 'trustedRefs' | 'ownRef'>;

/** Of a run on the default branch. */
export const ON_MAIN: Branches = { trustedRefs: ['refs/heads/main'], ownRef: 'refs/heads/main' };

export interface StoreBench {
  /** @param temp of its private copies, which must not remain */
  open(temp: string, branches?: Branches): BaselineStore;
}

/** @param says what must be in the message or the hint */
export async function fails(work: Promise<unknown>, code: UserError['code'], ...says: readonly RegExp[]) {
  await assert.rejects(work, (error) => {
    assert.ok(
      error instanceof UserError,
      `not a UserError: ${error instanceof Error ? error.stack : String(error)}`,
    );
    assert.equal(error.code, code, error.message);
    for (const say of says) assert.match(`${error.message}\n${error.hint}`, say);
    return true;
  });
}

/** What a store has under a key, its private copy given back. */
export async function foundIn(store: BaselineStore, key: Parameters<BaselineStore['find']>[0]) {
  const lookup = await store.find(key);
  assert.ok(lookup.kind === 'found');
  await lookup[Symbol.asyncDispose]();
  return lookup;
}

const KEY = baselineKey();
const NEXT = baselineKey({ runId: '17000000002', record: 'ef'.repeat(32) });

/** What every store on a network does, whatever is behind it. */
export function behavesAsStore(kind: string, bench: () => StoreBench): void {
  const withStore = async (
    work: (
      store: BaselineStore,
      make: (key: typeof KEY, body?: string) => Promise<string>,
      on: (branches: Branches) => BaselineStore,
    ) => Promise<void>,
  ) => {
    await using folder = await privateFolder();
    const temp = join(folder.path, 'temp');
    let made = 0;
    const here = bench();
    await work(
      here.open(temp),
      (key, body) => writeBaseline(join(folder.path, `made-${made++}`), key, body),
      (branches) => here.open(temp, branches),
    );
    assert.deepEqual(await readdir(temp).catch(() => []), [], 'no temporary folder remains');
  };

  describe(`the ${kind} store, as every one`, () => {
    test('gives back what was stored, byte by byte, as a private copy', () =>
      withStore(async (store, make) => {
        const folder = await make(KEY);
        store.assertWritable();
        assert.equal(await store.save(KEY, folder, undefined), formatKey(KEY));
        const found = await store.find(KEY);
        assert.ok(found.kind === 'found');
        assert.equal(found.key, formatKey(KEY));
        assert.deepEqual(await bytesBelow(found.folder), await bytesBelow(folder));
        await found[Symbol.asyncDispose]();
      }));

    test('gives the newest, and the older one to who names it', () =>
      withStore(async (store, make) => {
        const old = await make(KEY);
        await store.save(KEY, old, undefined);
        const folder = await make(NEXT, 'other bits');
        assert.equal(await store.save(NEXT, folder, formatKey(KEY)), formatKey(NEXT));
        for (const [wanted, expected] of [
          [undefined, folder],
          [formatKey(KEY), old],
        ] as const) {
          const found = await store.find(KEY, wanted);
          assert.ok(found.kind === 'found');
          assert.deepEqual(await bytesBelow(found.folder), await bytesBelow(expected));
          await found[Symbol.asyncDispose]();
        }
      }));

    test('stores over nothing that the refresh has not seen', () =>
      withStore(async (store, make) => {
        await store.save(KEY, await make(KEY), undefined);
        const folder = await make(NEXT);
        for (const replaces of [undefined, formatKey(baselineKey({ runId: '1' }))])
          await fails(store.save(NEXT, folder, replaces), 'store-refused', /counts now/, /run one alone/);
        const found = await store.find(KEY);
        assert.ok(found.kind === 'found' && found.key === formatKey(KEY));
        await found[Symbol.asyncDispose]();
      }));

    test('keeps those of a release branch apart, which has the default one’s until it has its own', () =>
      withStore(async (main, make, on) => {
        const [own, trunk] = ['refs/heads/release/1', 'refs/heads/main'];
        const release = on({ trustedRefs: [own, trunk], ownRef: own });
        const change = on({ trustedRefs: [own, trunk], ownRef: 'refs/pull/7/merge' });
        const keyOf = async (store: BaselineStore) => {
          const found = await store.find(KEY);
          assert.ok(found.kind === 'found');
          await found[Symbol.asyncDispose]();
          return found.key;
        };
        await main.save(KEY, await make(KEY), undefined);
        assert.equal(await keyOf(release), formatKey(KEY));
        await release.save(NEXT, await make(NEXT), formatKey(KEY));
        assert.deepEqual(
          await Promise.all([release, change, main].map(keyOf)),
          [NEXT, NEXT, KEY].map(formatKey),
        );
      }));

    test('has no baseline where there is none, and names the other hardware of the suite', () =>
      withStore(async (store, make) => {
        const nothing = await store.find(KEY);
        assert.ok(nothing.kind === 'absent');
        assert.deepEqual(nothing.otherClasses, []);
        assert.deepEqual(await store.classes(KEY.suite), []);
        const other = baselineKey({ hardwareClass: 'nvidia-a100-cc8.0-sm108-x1' });
        await store.save(other, await make(other), undefined);
        const alien = baselineKey({ suite: 'Serving-10' });
        await store.save(alien, await make(alien), undefined);
        const absent = await store.find(KEY);
        assert.ok(absent.kind === 'absent');
        assert.deepEqual(absent.otherClasses, [other.hardwareClass]);
        assert.match(absent.explanation.join('\n'), /Serving-1 .*nvidia-h100.*: it has none/);
        assert.deepEqual(await store.classes(KEY.suite), [other.hardwareClass]);
      }));

    test('remembers nothing that it does not know', () =>
      withStore(async (store) => {
        assert.notEqual((await store.remembers(KEY)).kind, 'never');
      }));
  });
}

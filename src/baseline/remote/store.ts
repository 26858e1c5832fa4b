import { UserError } from '../../errors.ts';
import { privateFolder } from '../../machine/scratch.ts';
import { Hiccup, patiently } from '../../network/patience.ts';
import { plain } from '../foreign.ts';
import {
  type BaselineKey,
  type BaselineQuery,
  type BaselineStore,
  formatKey,
  type Lookup,
  type Memory,
  type Proof,
  parseKey,
  type StoreOptions,
} from '../port.ts';
import { copyError, TREE_LIMITS, type TreeLimits, UnfitTree } from '../tree.ts';
import { pack, unpack } from './pack.ts';
import type { Archive, Newest, Remote } from './remote.ts';

export interface RemoteOptions
  extends Pick<StoreOptions, 'tempFolder' | 'log' | 'signal' | 'trustedRefs' | 'ownRef'> {
  readonly marker?: StoreOptions['marker'];
  /** Name of the store. */
  readonly kind: string;
  /** Where it is: nothing is looked at before it is needed. @throws UserError `store-unavailable` */
  remote(): Remote;
  readonly limits?: TreeLimits;
  readonly pause?: (seconds: number, signal: AbortSignal) => Promise<unknown>;
}

/** Baselines on a place of the network: each is one archive, and one small file says which of them counts. */
export function createRemoteStore(options: RemoteOptions): BaselineStore {
  const { kind, tempFolder, log, signal, limits = TREE_LIMITS, pause, trustedRefs, ownRef } = options;
  // The default branch comes last.
  const scopes = trustedRefs.length === 0 ? [''] : trustedRefs.with(-1, '');
  const own = trustedRefs.slice(0, -1).includes(ownRef) ? ownRef : '';

  return {
    kind,
    inCheckout: false,
    branches: 'default',
    remedyOf: (key) => options.remote().remedyOf(key),

    async find(query: BaselineQuery, wanted?: string): Promise<Lookup> {
      const remote = options.remote();
      const newest = await newestOf(remote, query);
      const key = wanted ?? newest?.key;
      if (key === undefined || newest === undefined) return await absent(remote, query);
      const parsed = parseKey(key);
      if (parsed?.suite !== query.suite || parsed.hardwareClass !== query.hardwareClass)
        throw invalid(
          remote,
          key,
          'it is named as the newest of a suite and hardware class that it is not of',
        );
      const archive = await asked(remote, `"${plain(key)}"`, () => remote.archive(key));
      if (archive === undefined && wanted !== undefined)
        return {
          ...{ kind: 'absent', otherClasses: [] },
          explanation: [`${capital(remote.name)} does not keep "${plain(key)}" any more.`],
        };
      if (archive === undefined)
        throw new UserError(
          'store-unavailable',
          `${capital(remote.name)} names the baseline "${plain(key)}", but does not have it.`,
          'Somebody deleted it, or a rule of the place did: it has to keep what counts. Refresh the baseline.',
        );
      if (wanted === undefined && archive.sha256 !== newest.sha256)
        throw invalid(remote, key, 'it is another one than the file that says which one counts names');
      await using owned = new AsyncDisposableStack();
      const { path: folder } = owned.use(await privateFolder(tempFolder));
      await fetched(remote, key, archive, folder);
      const proof = await proofOf(remote, query, newest);
      const kept = owned.move();
      return { ...{ kind: 'found', key, folder, proof }, [Symbol.asyncDispose]: () => kept.disposeAsync() };
    },

    async classes(suite: string): Promise<readonly string[]> {
      const remote = options.remote();
      return await asked(remote, `hardware classes of ${suite}`, () => remote.classes(suite, scopes));
    },

    async remembers(query: BaselineQuery): Promise<Memory> {
      const remote = options.remote();
      const left = await asked(remote, 'what is left', () => remote.keys(query));
      if (left.length > 0)
        return {
          kind: 'once',
          what: `${capital(remote.name)} still has "${plain(left[0] ?? '')}", and nothing that says which one counts.`,
        };
      return (
        (await options.marker?.remembered(query, remote.name)) ?? {
          kind: 'unknown',
          why: `${capital(remote.name)} does not tell what was deleted from it, and only a job of GitHub Actions knows by what refreshes there have left.`,
          remedy: 'Make a baseline for this hardware by a refresh.',
        }
      );
    },

    assertWritable() {
      options.remote();
    },

    async save(key: BaselineKey, folder: string, replaces: string | undefined): Promise<string> {
      const name = formatKey(key);
      if (parseKey(name) === undefined) throw new Error(`this is no key of a baseline: ${name}`);
      const remote = options.remote();
      const before = await newestOf(remote, key);
      if (before !== undefined && before.key !== replaces) throw overtaken(remote, before.key);
      await using workshop = await privateFolder(tempFolder);
      const packed = await pack(folder, workshop.path, limits).catch((error: unknown) => {
        throw copyError(error, folder);
      });
      const stored = await asked(remote, `to store "${name}"`, () => remote.put(name, packed));
      if (stored === 'exists')
        throw new UserError(
          'store-refused',
          `The baseline was not stored: ${remote.name} has another "${name}" already, and none is written over.`,
          'Run the refresh anew (not only its failed jobs).',
        );
      const { sha256 } = packed;
      const advanced = await asked(remote, `to make "${name}" count`, () =>
        remote.advance(key, { scope: own, key: name, sha256 }, before?.scope === own ? before : undefined),
      );
      const after = await newestOf(remote, key);
      if (after?.key === name) {
        await options.marker?.stored(key, remote.name);
        return name;
      }
      if (!advanced || after !== undefined) throw overtaken(remote, after?.key ?? 'none');
      throw new UserError(
        'store-unavailable',
        `The baseline was not stored as "${name}": ${remote.name} took it, but does not have it now.`,
        'Refresh anew.',
      );
    },
  };

  /** Of the first of them that has any. */
  async function newestOf(remote: Remote, query: BaselineQuery): Promise<Newest | undefined> {
    for (const scope of scopes) {
      const found = await asked(remote, 'which baseline counts', () => remote.newest(query, scope));
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async function asked<T>(remote: Remote, what: string, work: () => Promise<T>): Promise<T> {
    try {
      return await patiently(work, { what, signal, log, ...(pause === undefined ? {} : { pause }) });
    } catch (error) {
      if (!(error instanceof Hiccup)) throw error;
      throw new UserError(
        'store-unavailable',
        `${capital(remote.name)} did not answer: ${plain(error.message)}.`,
        'Whether there is a baseline is unknown, so this is an error and no verdict. Re-run the job; if it happens again, see whether this runner reaches that place (address, proxy, firewall).',
        { cause: error },
      );
    }
  }

  /** Each time from its beginning, into the one folder. */
  async function fetched(remote: Remote, key: string, archive: Archive, folder: string): Promise<void> {
    await using workshop = await privateFolder(tempFolder);
    try {
      await asked(remote, `"${plain(key)}"`, async () =>
        unpack(await archive.open(), archive.sha256, workshop.path, folder, limits),
      );
    } catch (error) {
      if (error instanceof UnfitTree) throw invalid(remote, key, error.message, error);
      throw copyError(error, 'the baseline');
    }
  }

  async function absent(remote: Remote, query: BaselineQuery): Promise<Lookup> {
    const classes = await asked(remote, 'other hardware', () => remote.classes(query.suite, scopes));
    const others = classes.filter((one) => one !== query.hardwareClass);
    const left = await asked(remote, 'what is left', () => remote.keys(query));
    return {
      kind: 'absent',
      otherClasses: others,
      explanation: [
        `Asked ${remote.name} which baseline of the suite ${query.suite} counts on ${query.hardwareClass}: it has none.`,
        ...(left.length === 0
          ? []
          : [
              `"${plain(left[0] ?? '')}" lies there, but nothing says that it counts: its refresh did not end.`,
            ]),
        others.length === 0
          ? 'No hardware class of this suite has a baseline there.'
          : `Of the same suite there are baselines of other hardware: ${others.join(', ')}.`,
      ],
    };
  }

  async function proofOf(remote: Remote, query: BaselineQuery, newest: Newest): Promise<Proof> {
    const may = await asked(remote, 'whether this run may write', () => remote.mayWrite(query, newest));
    if (may === false)
      return { kind: 'proven', how: `what this run was given may not write to ${remote.name}` };
    return {
      kind: 'unproven',
      why:
        may === true
          ? `This run was given the right to write to ${remote.name}, and a change that has it can put a baseline of its own there.`
          : `${capital(remote.name)} does not tell whether this run may write to it, and a change that may can put a baseline of its own there.`,
      remedy:
        'Give checks credentials that may only read, and those that may write to the refresh of the default branch alone.',
    };
  }
}

function invalid(remote: Remote, key: string, why: string, cause?: unknown): UserError {
  return new UserError(
    'baseline-invalid',
    `The baseline "${plain(key)}" of ${remote.name} is not to be trusted: ${why}. Nothing was compared.`,
    `Find out who can write there. ${remote.remedyOf(plain(key))} Then refresh the baseline.`,
    { cause },
  );
}

function overtaken(remote: Remote, found: string): UserError {
  return new UserError(
    'store-refused',
    `The baseline was not stored: in ${remote.name} "${plain(found)}" counts now, which it did not when this run began.`,
    'Another refresh stored its baseline at the same time: look which one you want, and run one alone.',
  );
}

/** At the beginning of a sentence. */
export const capital = (name: string) => `${name.slice(0, 1).toUpperCase()}${name.slice(1)}`;

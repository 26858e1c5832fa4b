import type { CacheContent, CacheKey, CachesOfRun, KeptCaches } from '../../../src/engine/caches.ts';
import { digestJson } from '../../../src/record/digest.ts';

type Files = Readonly<Record<string, string>>;

/** The kept caches of a machine in memory, and the folder that its engines have theirs in. */
export class MemoryCaches implements KeptCaches {
  /** Path -> SHA-256, as the engine that runs leaves them. */
  folder: Record<string, string> = {};
  readonly kept = new Map<string, Files>();
  /** Why the next ones are refused. */
  refusal: string | undefined;
  /** Why what is left cannot be kept. */
  unfit: string | undefined;

  open(key: CacheKey): CachesOfRun {
    const name = digestJson(key);
    let taken: Files | undefined;
    return {
      give: async (_, kept) => {
        const refused = kept ? this.refusal : undefined;
        if (refused !== undefined) this.kept.clear();
        this.refusal = kept ? undefined : this.refusal;
        this.folder = { ...(kept ? (taken ?? this.kept.get(name)) : undefined) };
        return { content: contentOf(this.folder), refused };
      },
      look: async (_, take) => {
        if (this.unfit !== undefined) return { unfit: this.unfit };
        if (take) taken = this.folder;
        return { content: contentOf(this.folder) };
      },
      keep: async () => {
        if (taken !== undefined) this.kept.set(name, taken);
      },
      [Symbol.asyncDispose]: async () => {},
    };
  }
}

const contentOf = (list: Files): CacheContent => ({
  ...{ digest: digestJson(list), files: Object.keys(list).length, bytes: 10 * Object.keys(list).length },
  list: { ...list },
});

import { counted } from '../counted.ts';
import type { CacheContent, CacheFolder, CachesOfRun, Found } from '../engine/caches.ts';
import type { Console } from '../job/console.ts';
import type { Caches } from '../record/schema.ts';
import type { Plan } from './plan.ts';

/** What a lifetime's record tells of its caches, and the files that were given. */
export interface CachesTold {
  readonly caches: Caches;
  readonly given: CacheContent['list'];
}

/** Before and after each engine start of a run whose suite has its caches kept. */
export class RunCaches implements AsyncDisposable {
  readonly #wanted: Plan['caches'];
  readonly #folder: CacheFolder;
  readonly #kept: CachesOfRun;
  readonly #console: Console;
  /** Engine starts that were asked the same, by what they found. */
  readonly #seen = { fresh: 0, kept: 0 };
  #now:
    | { readonly given: CacheContent; readonly takes: boolean; readonly notes: Caches['notes'] }
    | undefined;

  constructor(wanted: Plan['caches'], folder: CacheFolder, kept: CachesOfRun, console: Console) {
    this.#wanted = wanted;
    this.#folder = folder;
    this.#kept = kept;
    this.#console = console;
  }

  /**
   * To be called before an engine is loaded. The first start of a refresh finds what is kept, and the second nothing; where
   * nothing is kept, the first finds nothing, and what it leaves is what later ones find.
   *
   * @param traces of a start that only traces: it compiles otherwise, or nothing
   * @throws UserError `disk-full`
   */
  async give(traces: boolean): Promise<void> {
    const second = this.#wanted === 'both' && this.#seen.kept > 0 && this.#seen.fresh === 0;
    const asked = !traces && !second;
    const { content, refused } = await this.#kept.give(this.#folder.host, asked);
    const isKept = content.files > 0;
    if (!traces) this.#seen[isKept ? 'kept' : 'fresh'] += 1;
    const notes: Caches['notes'] = [
      ...(refused === undefined ? [] : [{ kind: 'refused' as const, why: refused.slice(0, 512) }]),
      ...(asked && !isKept && refused === undefined ? [{ kind: 'none' as const, why: NONE }] : []),
    ];
    // Of a start that is to show what compilation gives anew nothing is taken: what is kept stays what it is.
    this.#now = { given: content, takes: this.#wanted === 'both' && asked, notes };
    this.#console.info(
      isKept
        ? `Kept caches: ${counted(content.files, 'file')}, sha256:${content.digest.slice(0, 16)}.`
        : 'Fresh caches: whatever is compiled is compiled anew.',
    );
  }

  /** To be called once that engine has gone. @throws UserError `disk-full` */
  async look(): Promise<CachesTold | undefined> {
    if (this.#now === undefined) return undefined;
    const { given, takes, notes } = this.#now;
    const found = await this.#kept.look(this.#folder.host, takes);
    const unfit = 'unfit' in found ? [{ kind: 'unfit' as const, why: found.unfit.slice(0, 512) }] : [];
    return {
      caches: {
        kind: given.files > 0 ? 'kept' : 'fresh',
        before: sizeOf(given),
        after: afterOf(found),
        notes: [...notes, ...unfit],
      },
      given: given.list,
    };
  }

  /** Lets later runs find what the last engine start left. @throws UserError `disk-full` */
  async keep(): Promise<void> {
    await this.#kept.keep();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#kept[Symbol.asyncDispose]();
  }
}

const NONE = 'none are kept here';

const sizeOf = ({ digest, files, bytes }: CacheContent) => ({ digest, files, bytes });

const afterOf = (found: Found) => ('unfit' in found ? null : sizeOf(found.content));

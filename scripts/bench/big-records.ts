import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { openRecord } from '../../src/disk/record-folder.ts';
import { writeBeginning, writeBigRecord } from '../../test/support/big-record.ts';
import { bundle } from '../build.ts';
import { cache, repository } from '../setup/cache.ts';
import { step } from '../setup/step.ts';
import type { Program } from './program.ts';

export const PROMPTS = 1_000;
export const STEPS = 4_096;

/** Which of the records. */
export interface Which {
  readonly kind: 'generate' | 'force';
  readonly drifted: boolean;
  /** Twice the prompts. */
  readonly doubled?: boolean;
}

/** Records on the disk that are compared: about 200 MB each, and the beginnings of twice as large ones. */
export class BigRecords implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async make(): Promise<BigRecords> {
    const made = new BigRecords(join(cache, 'bench/records'));
    // What an interrupted run left.
    await made[Symbol.asyncDispose]();
    await mkdir(made.#folder, { recursive: true });
    try {
      await step('Records of 2,000 and 1,000 prompts x 4,096 tokens', () => made.#write());
      await made.#bundle();
      return made;
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Compares a record with the trusted one of its kind. */
  compare(which: Which): Program {
    const before = this.#path({ ...which, drifted: false });
    // A record of the same bits is yet another file: other times, other process.
    const now = which.drifted ? this.#path(which) : `${before}-again`;
    return { args: [this.#program('compare'), before, now, which.drifted ? 'broken' : 'held'] };
  }

  /** Reads and digests the bytes that `compare` reads. */
  async digest(which: Which): Promise<Program> {
    const sides = [
      { ...which, drifted: false },
      { ...which, drifted: true },
    ];
    const names = await Promise.all(sides.map((side) => this.#files(this.#path(side))));
    const list = join(this.#folder, `${which.kind}.json`);
    await writeFile(list, JSON.stringify(names.flat()));
    return { args: [this.#program('digest'), list] };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #write(): Promise<void> {
    // The doubled ones hold the others: bodies are the bytes, and no body need be there twice.
    const doubled = { kind: 'generate', steps: STEPS, prompts: 2 * PROMPTS } as const;
    for (const drifted of [false, true]) {
      const whole = this.#path({ kind: 'generate', drifted, doubled: true });
      const record = await writeBigRecord(whole, { ...doubled, drifted });
      const part = this.#path({ kind: 'generate', drifted });
      await writeBeginning(whole, record, part, PROMPTS);
      const again = { ...record, createdAt: '2026-11-24T00:00:00.000Z' };
      if (!drifted) await writeBeginning(whole, again, `${part}-again`, PROMPTS);
      const forced = this.#path({ kind: 'force', drifted });
      await writeBigRecord(forced, { kind: 'force', steps: STEPS, prompts: PROMPTS, drifted });
    }
  }

  async #bundle(): Promise<void> {
    // As it is shipped: types are stripped when the action is built, not when it runs.
    const source = join(repository, 'scripts/bench/programs');
    const folder = join(this.#folder, 'programs');
    await bundle(
      {
        compare: join(source, 'compare.ts'),
        digest: join(source, 'digest.ts'),
        'read-bodies': join(repository, 'src/disk/read-bodies.ts'),
      },
      folder,
    );
    await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n');
  }

  async #files(folder: string): Promise<string[]> {
    const { lifetimes, observations } = (await openRecord(folder)).record;
    const passes = lifetimes.flatMap((lifetime) => lifetime.passes.map(({ digest }) => digest));
    const bodies = [...passes, ...observations.map(({ body }) => body)];
    return [join(folder, 'record.json'), ...bodies.map((digest) => join(folder, 'bodies', digest))];
  }

  #path({ kind, drifted, doubled = false }: Which): string {
    return join(this.#folder, `${kind}-${drifted ? 'drifted' : 'trusted'}-${(doubled ? 2 : 1) * PROMPTS}`);
  }

  #program(name: string): string {
    return join(this.#folder, 'programs', `${name}.js`);
  }
}

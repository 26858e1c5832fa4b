import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { execa } from 'execa';
import { openRecord } from '../../src/disk/record-folder.ts';
import { loadSuite } from '../../src/disk/suite-file.ts';
import { PROGRAMS, SUITE_SCHEMA } from '../../src/front/suites.ts';
import type { PassKind, RunRecord } from '../../src/record/schema.ts';
import type { Report } from '../../src/report/schema.ts';
import { makePlan, TOP_K } from '../../src/run/plan.ts';
import { ENGINE_ENVIRONMENT } from '../../src/runtime/environment.ts';
import { demoSuite, ON_A_TERMINAL } from '../demo-suite.ts';
import { cache, repository } from '../setup/cache.ts';
import { ensureFlippedModel } from '../setup/flipped-model.ts';
import { ensureModel } from '../setup/model.ts';
import { ensureEngine } from '../setup/python.ts';

export interface Checked {
  readonly seconds: number;
  readonly report: Report;
  readonly record: RunRecord;
}

/** What the bare script is to do: the same tokens as a check, or what a hash of long texts needs. */
export type BareJob = 'check' | 'long';

export interface Bare {
  readonly seconds: number;
  /** Of what it did after loading. */
  readonly engineSeconds: number;
  readonly tokens: number;
}

/** Which suite it is. */
export interface Shape {
  readonly relations: readonly string[];
  /** As many of each prompt, whatever the model would end with; the demo's own number, at most, where nothing is said. */
  readonly tokens?: number;
}

const SUITE = 'determinism.yml';

/** The demo's suite on the real engine as a process, with a baseline of one lifetime. */
export class Demo implements AsyncDisposable {
  readonly #folder: string;
  readonly #shape: Shape;
  readonly #python: string;
  #runs = 0;

  private constructor(folder: string, shape: Shape, python: string) {
    this.#folder = folder;
    this.#shape = shape;
    this.#python = python;
  }

  static async make(shape: Shape): Promise<Demo> {
    const { python } = await ensureEngine();
    await ensureModel();
    const name = [...shape.relations, ...(shape.tokens === undefined ? [] : [shape.tokens])].join('-');
    const demo = new Demo(join(cache, 'bench', name), shape, python);
    // What an interrupted run left.
    await demo[Symbol.asyncDispose]();
    try {
      const { conclusion } = (await demo.#run('refresh', '--reason', 'bench')).report;
      if (conclusion !== 'reproduced') throw new Error(`the refresh ended as ${conclusion}`);
      return demo;
    } catch (error) {
      await demo[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A check of the unchanged model. */
  async check(): Promise<Checked> {
    return await this.#run('check');
  }

  /** A refresh of three engine starts that stores nothing. */
  async refresh(warm: boolean): Promise<Checked> {
    await this.#write(await ensureModel(), undefined, `3 }\nruntime: { warm: ${warm} }`);
    return await this.#command('refresh', '--reason', 'bench', '--dry-run');
  }

  /** A check of the same model with one bit of its weights flipped; no start but the first. */
  async checkFlipped(): Promise<Checked> {
    await this.#write(await ensureFlippedModel(), 0);
    return await this.#command('check');
  }

  /** A script without any of ours: vLLM's offline API, the same Python, arguments and environment. */
  async bare(job: BareJob): Promise<Bare> {
    await this.#write(await ensureModel());
    const loaded = await loadSuite(SUITE, this.#folder, SUITE_SCHEMA, PROGRAMS);
    const { args, environment, prompts, texts } = makePlan(loaded, 'check');
    const task = {
      job,
      model: await ensureModel(),
      args,
      prompts: prompts.map(({ content, sampling }) => ({ ...content, sampling })),
      texts: texts.map(({ content }) => content),
      topK: TOP_K,
    };
    const began = performance.now();
    const { stdout } = await execa(this.#python, [join(repository, 'scripts/bench/programs/bare.py')], {
      input: JSON.stringify(task),
      env: { ...ENGINE_ENVIRONMENT, ...environment, CUDA_VISIBLE_DEVICES: '' },
      stderr: 'inherit',
    });
    const seconds = (performance.now() - began) / 1000;
    // Among lines that the engine logs.
    const line = stdout.split('\n').find((one) => one.startsWith('{"engineSeconds"'));
    const told = JSON.parse(line ?? '') as Omit<Bare, 'seconds'>;
    return { ...told, seconds };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #run(command: 'check' | 'refresh', ...flags: readonly string[]): Promise<Checked> {
    await this.#write(await ensureModel());
    return await this.#command(command, ...flags);
  }

  async #write(model: string, confirm?: number, lifetimes = '1 }'): Promise<void> {
    const { relations, tokens } = this.#shape;
    const suite = demoSuite({
      model: relative(this.#folder, model),
      image: undefined,
      relations,
      long: relations.includes('prefix-cache'),
      ...(tokens === undefined ? {} : { maxTokens: tokens, ignoreEos: true }),
      ...(confirm === undefined ? {} : { confirm }),
    }).replace('path: baselines }', `path: baselines, lifetimes: ${lifetimes}`);
    await mkdir(this.#folder, { recursive: true });
    await writeFile(join(this.#folder, SUITE), suite);
  }

  async #command(command: 'check' | 'refresh', ...flags: readonly string[]): Promise<Checked> {
    const recordPath = join(this.#folder, `record-${++this.#runs}`);
    const began = performance.now();
    const { stdout, exitCode } = await execa(
      process.execPath,
      [
        ...[join(repository, 'dist/cli.js'), command, SUITE, '--json', '--runtime', 'process'],
        ...['--python', this.#python, '--record-path', recordPath, ...flags],
      ],
      {
        cwd: this.#folder,
        env: { ...ON_A_TERMINAL, XDG_CACHE_HOME: cache },
        stderr: 'inherit',
        reject: false,
      },
    );
    const seconds = (performance.now() - began) / 1000;
    if (exitCode !== 0 && exitCode !== 1) throw new Error(`${command} exited with ${exitCode}`);
    const { report } = JSON.parse(stdout) as { readonly report: Report };
    const { record } = await openRecord(recordPath);
    return { seconds, report, record };
  }
}

/** Engine seconds of the first lifetime's passes of a kind. */
export function passSeconds({ lifetimes }: RunRecord, kind: PassKind): number {
  const passes = lifetimes[0]?.passes.filter((pass) => pass.kind === kind && pass.unavailable === null) ?? [];
  if (passes.length === 0) throw new Error(`the record has no ${kind} pass`);
  return passes.reduce((sum, { seconds }) => sum + seconds, 0);
}

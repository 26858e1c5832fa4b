import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { COMPILED } from './recipes.ts';

/** What is run: a program's file, its arguments, and variables beside the process's own. */
export interface Run {
  readonly program: string;
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** How it ended; of what it wrote the last line break is left out. */
export interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

const CHILD = fileURLToPath(new URL('one-process-child.ts', import.meta.url));

/**
 * One process that runs programs as they are, one after the other: what they load is loaded once. For tests of what a program
 * says, not of its process.
 */
export class OneProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #gone: Promise<never>;

  /**
   * @param env all of it, but for where compiled code is kept
   * @param hook a module that is loaded first
   */
  constructor(cwd: string, env: Readonly<Record<string, string>> = {}, hook?: string) {
    this.#child = fork(CHILD, {
      cwd,
      env: { ...COMPILED, ...env },
      execArgv: hook === undefined ? [] : ['--import', hook],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    this.#gone = once(this.#child, 'exit').then(([code, signal]) => {
      throw new Error(`The process of the programs ended: ${code ?? signal}`);
    });
    this.#gone.catch(() => {});
  }

  /** One at a time. */
  async run(
    program: string,
    words: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<Ended> {
    const told = once(this.#child, 'message');
    const run: Run = { program, words, env };
    this.#child.send(run);
    const [ended] = (await Promise.race([told, this.#gone])) as [Ended];
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#gone.catch(() => {});
  }
}

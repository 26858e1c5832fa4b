import { relative } from 'node:path';
import type { TestEvent } from 'node:test/reporters';
import { inspect } from 'node:util';

/** Until a file that says nothing is told to be alive, and after that each time. */
const HEARTBEAT_MS = 15_000;
/** Of what a file printed, shown when it fails outside of its tests. */
const MAX_OUTPUT = 8000;

interface Problem {
  readonly file: string;
  readonly name: string;
  readonly detail: string;
  /** What the file printed explains a failure outside of its tests; some of it arrives late. */
  readonly printed: FileState | undefined;
}

interface FileState {
  readonly start: number;
  passed: number;
  failed: number;
  skipped: number;
  /** Names of the tests that run now. */
  readonly running: Map<number, string>;
  /** Node 24 tells the end of some nested tests twice. */
  readonly completed: Set<number>;
  output: string;
  /** Whether the file's own runner said that it was through. */
  finished: boolean;
  ended: boolean;
}

export interface ReporterOptions {
  /** Folder that file names are shown relative to. */
  readonly root: string;
  readonly write: (text: string) => void;
}

/** A line of reporter_unittest.py. */
interface PythonLine {
  readonly file: string;
  /** Of a test. */
  readonly name: string;
  readonly outcome: 'begins' | 'started' | 'passed' | 'failed' | 'skipped' | 'ended';
  /** Why it failed or was skipped; of a file that ended: what went wrong outside of its tests, or nothing. */
  readonly detail: string;
}

/** Takes what a process tells that runs files of Python tests. */
interface PythonFiles {
  line(text: string): void;
  printed(text: string): void;
  /** @param problem what went wrong with the process, if anything did */
  ended(problem: string | undefined): void;
}

/** Counts what the test runner tells and shows it as it comes. */
export class Reporter {
  readonly #root: string;
  readonly #write: (text: string) => void;
  readonly #files = new Map<string, FileState>();
  readonly #failures: Problem[] = [];
  readonly #skips: Problem[] = [];
  readonly #heartbeat: NodeJS.Timeout;
  readonly #start = performance.now();
  #passed = 0;
  #serial = false;

  constructor({ root, write }: ReporterOptions) {
    this.#root = root;
    this.#write = write;
    this.#heartbeat = setInterval(() => this.#beat(), HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  get counts(): { readonly passed: number; readonly failed: number; readonly skipped: number } {
    return { passed: this.#passed, failed: this.#failures.length, skipped: this.#skips.length };
  }

  /** What tools that count read. */
  line(): string {
    const { passed, failed, skipped } = this.counts;
    return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`;
  }

  begin(group: string, files: number): void {
    this.#serial = group !== 'unit';
    this.#write(`\n${group}: ${files} file${files === 1 ? '' : 's'}\n`);
  }

  note(text: string): void {
    this.#write(`  ${text}\n`);
  }

  see(event: TestEvent): void {
    switch (event.type) {
      case 'test:dequeue': {
        const { name, file } = event.data;
        if (file === undefined) return;
        if (name === file) this.fileStarted(this.#short(file));
        else this.#running(event.data)?.set(testId(event.data), name);
        return;
      }
      case 'test:complete': {
        const { name, file } = event.data;
        if (file !== undefined && name === file) this.#fileCompleted(event.data);
        else this.#testCompleted(event.data);
        return;
      }
      case 'test:stdout':
      case 'test:stderr':
        this.output(this.#short(entryOf(event.data) ?? ''), event.data.message);
        return;
      case 'test:summary': {
        const state = this.#files.get(this.#short(event.data.file ?? ''));
        if (state !== undefined) state.finished = true;
        return;
      }
    }
  }

  /**
   * Takes the events of a process that runs several files (test/support/together.ts), each as a test of its name.
   *
   * @param program what Node's runner takes for the only file
   * @param files relative to the root
   */
  together(program: string, files: readonly string[]): (event: TestEvent) => void {
    let current = program;
    return (event) => {
      const told = (more: { readonly entryFile: string; readonly file?: string }) =>
        this.see({ ...event, data: { ...event.data, ...more } } as TestEvent);
      if (event.type === 'test:summary') return;
      if (event.type !== 'test:dequeue' && event.type !== 'test:complete')
        return told({ entryFile: current });
      const { name, nesting } = event.data;
      if (nesting > 0) return told({ entryFile: current });
      if (name !== program) {
        current = name;
        return told({ entryFile: name, file: name });
      }
      if (event.type === 'test:complete' && !event.data.details.passed)
        this.#cutShort(this.#short(current), files, explain(event.data.details.error));
    };
  }

  /** A process of several files failed: told of the one that it was at, and of those that it did not come to. */
  #cutShort(current: string, files: readonly string[], problem: string): void {
    const left = files.filter((file) => this.#files.get(file)?.ended !== true);
    const running = [...(this.#files.get(current)?.running.values() ?? [])];
    const during = running.length === 0 ? '' : ` while these ran: ${running.join(', ')}`;
    for (const file of left) {
      if (!this.#files.has(file)) this.fileStarted(file);
      const why =
        file === current ? `${problem}${during}` : `Its process had ended with ${current}: ${problem}`;
      this.fileEnded(file, `The file failed outside of its tests: ${why}`);
    }
    // Each file that failed is told of. Where none did, the process still did not end well.
    if (left.length === 0 && files.every((file) => this.#files.get(file)?.failed === 0))
      this.single(current, 'the process that it was the last file of ends well', problem);
  }

  fileStarted(file: string): void {
    this.#files.set(file, {
      start: performance.now(),
      passed: 0,
      failed: 0,
      skipped: 0,
      running: new Map(),
      completed: new Set(),
      output: '',
      finished: false,
      ended: false,
    });
    if (this.#serial) this.#write(`  ▸ ${file}\n`);
  }

  /** @param problem what went wrong outside of the file's tests, if anything did */
  fileEnded(file: string, problem: string | undefined): void {
    const state = this.#files.get(file);
    if (state === undefined) return;
    state.ended = true;
    if (state.passed + state.failed + state.skipped === 0)
      this.#fail(file, '(file)', problem ?? 'It holds no test.', state, state);
    else if (problem !== undefined && state.failed === 0) this.#fail(file, '(file)', problem, state, state);
    const { passed, failed, skipped } = state;
    const parts = [`${passed} passed`];
    if (failed > 0) parts.push(`${failed} FAILED`);
    if (skipped > 0) parts.push(`${skipped} skipped`);
    this.#write(`  ${failed > 0 ? '✗' : '✓'} ${file}  ${parts.join(', ')}  ${seconds(state.start)}\n`);
  }

  /** What a file printed: setup's progress is shown at once, the rest only if the file fails. */
  output(file: string, text: string): void {
    const state = this.#files.get(file);
    if (state !== undefined) state.output = (state.output + text).slice(-MAX_OUTPUT);
    const progress = text.split('\n').filter((line) => line.startsWith('[setup]'));
    for (const line of progress) this.#write(`    ${line}\n`);
  }

  /** What reporter_unittest.py tells of files: its lines, what it and they print, and how it ended. */
  python(files: readonly string[]): PythonFiles {
    let current = files[0] ?? '';
    return {
      line: (text) => {
        const told = JSON.parse(text) as PythonLine;
        current = told.file;
        this.#python(told);
      },
      printed: (text) => this.output(current, text),
      ended: (problem) => {
        if (problem !== undefined) this.#cutShort(current, files, problem);
      },
    };
  }

  #python({ file, name, outcome, detail }: PythonLine): void {
    if (outcome === 'begins') this.fileStarted(file);
    const state = this.#files.get(file);
    if (state === undefined) return;
    state.running.clear();
    switch (outcome) {
      case 'begins':
        return;
      case 'ended':
        this.fileEnded(file, detail === '' ? undefined : detail);
        return;
      case 'started':
        state.running.set(0, name);
        return;
      case 'passed':
        this.#pass(state);
        return;
      case 'failed':
        this.#fail(file, name, detail, state);
        return;
      case 'skipped':
        this.#skip(file, name, detail, state);
        return;
    }
  }

  /** A check that is no test file. */
  single(file: string, name: string, problem: string | undefined): void {
    if (problem === undefined) this.#passed += 1;
    else this.#failures.push({ file, name, detail: problem, printed: undefined });
    this.#write(`  ${problem === undefined ? '✓' : '✗'} ${name}\n`);
  }

  skip(file: string, reason: string): void {
    this.#skips.push({ file, name: '(file)', detail: reason, printed: undefined });
  }

  /** Tells all failures and skips. */
  end(): void {
    clearInterval(this.#heartbeat);
    for (const [index, { file, name, detail, printed }] of this.#failures.entries())
      this.#write(
        `\n✗ ${index + 1} of ${this.#failures.length}: ${file} › ${name}\n${indent(`${detail}\n${printed?.output ?? ''}`, '    ')}\n`,
      );
    if (this.#skips.length > 0) {
      const bar = '!'.repeat(80);
      const list = this.#skips.map(({ file, name, detail }) => `!!  ${file} › ${name}\n!!      ${detail}`);
      const title = `!!  ${this.#skips.length} SKIPPED: what these test was not tested here`;
      this.#write(`\n${[bar, title, ...list, bar].join('\n')}\n`);
    }
    this.#write(`\n${seconds(this.#start)} in all\n`);
  }

  #testCompleted(data: TestCompleted): void {
    const file = this.#short(entryOf(data) ?? '');
    const state = this.#files.get(file);
    if (state === undefined || state.completed.has(testId(data))) return;
    state.completed.add(testId(data));
    state.running.delete(testId(data));
    const { name, details, skip, todo } = data;
    // A test with subtests, or a suite, only sums up what was counted already.
    if (!details.passed && failureType(details.error) === 'subtestsFailed') return;
    if (skip !== undefined) this.#skip(file, name, skip === true ? '(no reason given)' : String(skip), state);
    else if (todo !== undefined)
      this.#skip(file, name, `todo: ${todo === true ? '(nothing said)' : String(todo)}`, state);
    else if (!details.passed) this.#fail(file, name, explain(details.error), state);
    else if (details.type !== 'suite') this.#pass(state);
    else return;
    if (this.#serial && skip === undefined && todo === undefined)
      this.#write(
        `    ${details.passed ? '✓' : '✗'} ${name}  ${(details.duration_ms / 1000).toFixed(1)} s\n`,
      );
  }

  #fileCompleted(data: TestCompleted): void {
    const file = this.#short(data.name);
    const state = this.#files.get(file);
    const early = state !== undefined && !state.finished && state.running.size > 0;
    this.fileEnded(
      file,
      !data.details.passed
        ? `The file failed outside of its tests: ${explain(data.details.error)}`
        : early
          ? `The process ended while these ran: ${[...state.running.values()].join(', ')}`
          : undefined,
    );
  }

  #pass(state: FileState): void {
    this.#passed += 1;
    state.passed += 1;
  }

  #fail(file: string, name: string, detail: string, state: FileState, printed?: FileState): void {
    this.#failures.push({ file, name, detail, printed });
    state.failed += 1;
  }

  #skip(file: string, name: string, detail: string, state: FileState): void {
    this.#skips.push({ file, name, detail, printed: undefined });
    state.skipped += 1;
    if (this.#serial) this.#write(`    - ${name}  SKIPPED: ${detail}\n`);
  }

  #beat(): void {
    for (const [file, { start, passed, running, ended }] of this.#files)
      if (!ended && performance.now() - start > HEARTBEAT_MS / 2)
        this.#write(
          `  … ${file}: ${seconds(start)}, ${passed} passed, now: ${[...running.values()].at(-1) ?? 'starting'}\n`,
        );
  }

  #running(data: object): Map<number, string> | undefined {
    return this.#files.get(this.#short(entryOf(data) ?? ''))?.running;
  }

  #short(file: string): string {
    return relative(this.#root, file);
  }
}

type TestCompleted = Extract<TestEvent, { type: 'test:complete' }>['data'];

/** The file that was started; `file` is where the test is written. Node 24 has it, its types not yet. */
function entryOf(data: object): string | undefined {
  const { entryFile, file } = data as { readonly entryFile?: string; readonly file?: string };
  return entryFile ?? file;
}

/** Of its file, by Node 24. */
function testId(data: object): number {
  const { testId } = data as { readonly testId?: number };
  if (testId === undefined) throw new Error('Node tells no test by a number: this needs Node 24.');
  return testId;
}

const failureType = (error: unknown) =>
  (error as { readonly failureType?: unknown } | null | undefined)?.failureType;

/** The error that the test threw, without the runner's own frames. */
function explain(error: unknown): string {
  const { cause = error, exitCode } = (error ?? {}) as {
    readonly cause?: unknown;
    readonly exitCode?: unknown;
  };
  if (typeof exitCode === 'number') return `exit code ${exitCode}`;
  const text = typeof cause === 'string' ? cause : inspect(cause, { depth: 5 });
  return text
    .split('\n')
    .filter((line) => !/^\s+at .*(node:internal|async Promise\.all)/.test(line))
    .join('\n');
}

const seconds = (start: number) => `${((performance.now() - start) / 1000).toFixed(1)} s`;

const indent = (text: string, by: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => by + line)
    .join('\n');

import type { EventOf } from '../engine/protocol.ts';
import type { SessionOptions } from '../engine/session.ts';
import type { Console } from '../job/console.ts';
import type { EngineLog } from '../job/tools.ts';
import { ProgressLine } from './progress.ts';

/** What an engine says: of the only one as it is, of several with whose it is. */
export type Voice = Pick<SessionOptions, 'onOutput' | 'onProgress'>;

/** All engines of a run, which share one log and one line of progress. */
export class Voices {
  readonly #log: EngineLog;
  readonly #console: Console;
  /** Of those that run side by side: how far each is. */
  readonly #lines = new Map<string, { readonly what: string; readonly line: string }>();
  /** How the one is called that others run beside; undefined where there is none. */
  own: string | undefined;

  constructor(log: EngineLog, console: Console) {
    this.#log = log;
    this.#console = console;
  }

  /** @param labelled how the engine is called at the moment; undefined where there is no other */
  of(labelled: () => string | undefined): Voice {
    const line = new ProgressLine(Date.now);
    return {
      onOutput: (text) => {
        const label = labelled();
        this.#log.add(label === undefined ? text : `[${label}] ${text}`);
      },
      onProgress: (event) => this.#tell(labelled(), event, line.next(event)),
    };
  }

  /** One of several has ended. */
  end(label: string): void {
    this.#lines.delete(label);
  }

  #tell(label: string | undefined, { what }: EventOf<'progress'>, line: string): void {
    if (label === undefined) {
      this.#console.progress(what, line);
      return;
    }
    this.#lines.set(label, { what, line });
    const all = [...this.#lines].map(([name, told]) => ({ name, ...told }));
    // One line for all, or they would overwrite each other: told at once where one of them begins something else.
    this.#console.progress(
      all.map((one) => `${one.name} ${one.what}`).join(),
      all.map((one) => `${one.name} ${one.line}`).join(' | '),
    );
  }
}

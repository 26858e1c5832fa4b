import type { Console } from '../job/console.ts';

/** One console for many that are measured at once: each line has the name of whose it is. */
export class FleetConsole {
  readonly #console: Console;
  /** How far each is that runs. */
  readonly #states = new Map<string, { readonly what: string; readonly line: string }>();

  constructor(console: Console) {
    this.#console = console;
  }

  of(name: string): Console {
    const info = (line: string) => this.#console.info(`${name}: ${line}`);
    return {
      info,
      // Sections of several would fold into each other.
      section: (_, work) => work(),
      progress: (what, line) => {
        this.#states.set(name, { what, line });
        const all = [...this.#states].map(([of, state]) => ({ of, ...state }));
        // One line for all, or they would overwrite each other: told at once where one of them begins something else.
        this.#console.progress(
          all.map(({ of, what }) => `${of} ${what}`).join(),
          all.map(({ of, line }) => `${of}: ${line}`).join(' | '),
        );
      },
    };
  }

  end(name: string): void {
    this.#states.delete(name);
  }
}

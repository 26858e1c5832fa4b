import { type Place, UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';

/** Told at once; a generated folder has the same wrong 10,000 times. */
const MAX_TOLD = 100;
const MAX_REASON = 300;

/** All that is wrong with what is to be imported: told at once, and then nothing of it is imported. */
export class Problems {
  readonly #all: Place[] = [];
  #more = 0;

  /** @param line from 1; 1 where it is the whole file */
  add(file: string, line: number, reason: string, column = 1): void {
    if (this.#all.length >= MAX_TOLD) this.#more++;
    else this.#all.push({ file, line, column, message: excerpt(reason, MAX_REASON) });
  }

  get any(): boolean {
    return this.#all.length > 0;
  }

  /** @throws UserError `import-invalid` where there is one */
  refuse(): void {
    const count = this.#all.length + this.#more;
    if (count === 0) return;
    const list = this.#all.map(
      ({ file, line, column, message }) => `  ${excerpt(file, 300)}:${line}:${column}  ${message}`,
    );
    const more = this.#more > 0 ? `\n  … and ${this.#more} more` : '';
    throw new UserError(
      'import-invalid',
      `What is to be imported has ${count === 1 ? 'one problem' : `${count} problems`}, and nothing of it was imported:\n${list.join('\n')}${more}`,
      'Correct these files, or move them out of the folder: docs/findings.md says what is read.',
      { places: this.#all },
    );
  }
}

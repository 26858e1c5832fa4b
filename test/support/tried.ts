import { type TestContext, type TestOptions, test } from 'node:test';

/**
 * A test of something that somebody tries who means harm. The table in docs/security.md is made of these, so the three
 * texts stand here as literals, in the words of whoever decides whether this may run near a GPU machine.
 *
 * @param name short, and begins with what is attacked: the table is sorted by it
 * @param what is tried
 * @param holds what holds it, or from where on nothing does
 */
export function tried(
  name: string,
  what: string,
  holds: string,
  work: (t: TestContext) => Promise<void> | void,
  options: TestOptions = {},
): void {
  test(`${name}: ${what}: ${holds}`, options, work);
}

import { type TestContext, test } from 'node:test';

/**
 * A test of something that somebody tries who means harm. The table in docs/security.md is made of these, so both
 * texts stand here as literals, in the words of whoever decides whether this may run near a GPU machine.
 *
 * @param what is tried
 * @param holds what holds it
 */
export function tried(what: string, holds: string, work: (t: TestContext) => Promise<void> | void): void {
  test(`${what}: ${holds}`, work);
}

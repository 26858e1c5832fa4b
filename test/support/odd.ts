import { type TestContext, test } from 'node:test';

/**
 * A test of something odd that a suite or a model may hold. The table in docs/troubleshooting.md is made of these, so both
 * texts stand here as literals, in the words of whoever writes suites.
 *
 * @param what is given
 * @param comes what comes of it
 */
export function odd(what: string, comes: string, work: (t: TestContext) => Promise<void> | void): void {
  test(`${what}: ${comes}`, work);
}

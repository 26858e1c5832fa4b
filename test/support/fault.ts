import { type TestContext, type TestOptions, test } from 'node:test';

/**
 * A test of something that breaks without anybody's intent. The table in docs/security.md is made of these, so the three
 * texts stand here as literals, in the words of whoever runs this near a GPU machine.
 *
 * @param name short, and begins with what breaks: the table is sorted by it
 * @param what breaks, and when
 * @param comes what comes of it
 */
export function fault(
  name: string,
  what: string,
  comes: string,
  work: (t: TestContext) => Promise<void> | void,
  options: TestOptions = {},
): void {
  test(`${name}: ${what}: ${comes}`, options, work);
}

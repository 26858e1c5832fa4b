/** A folder of the test's own, gone when it is disposed of. */
export { temporaryFolder } from '../../support/folders.ts';

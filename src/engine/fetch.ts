import { Session, type SessionOptions } from './session.ts';

/**
 * Drives the harness's fetch task: a hub model into `folder` as the peer sees it; returns once it is complete
 * and every file's digest is the one that the hub states.
 *
 * @throws UserError `model-fetch-failed`, `disk-full`, `deadline-exceeded`, `cancelled`
 */
export async function fetchModel(
  options: SessionOptions,
  request: { readonly model: string; readonly revision: string; readonly folder: string },
): Promise<void> {
  await using session = await Session.open(options, { kind: 'fetch', ...request }, {});
  await session.expect('done');
}

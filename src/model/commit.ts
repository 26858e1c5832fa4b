import { UserError } from '../errors.ts';
import { Hiccup } from '../network/patience.ts';
import { Hub, type HubOptions } from './hub.ts';

/** At which commit a branch or tag of a hub's model is now. @throws UserError `model-fetch-failed` */
export async function commitOf(
  { signal, ...options }: HubOptions & { readonly signal: AbortSignal },
  id: string,
  revision: string,
): Promise<string> {
  try {
    return await new Hub(options, { kind: 'hub', id, revision }, signal).commit();
  } catch (error) {
    if (!(error instanceof Hiccup)) throw error;
    throw new UserError(
      'model-fetch-failed',
      `${id} at ${revision}: the hub does not answer (${error.message}).`,
      'Look the commit up on the model’s page, or try again.',
      { cause: error },
    );
  }
}

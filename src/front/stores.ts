import { cacheStore } from '../baseline/cache/store.ts';
import { filesStore } from '../baseline/files.ts';
import type { StoreKind } from '../baseline/port.ts';
import { ociStore } from '../baseline/remote/oci.ts';
import { s3Store } from '../baseline/remote/s3.ts';

/** Every store that a suite can name. */
export const stores: readonly StoreKind[] = [
  // In the order in which a suite's schema lists them; the first is the default.
  cacheStore,
  filesStore,
  s3Store,
  ociStore,
];

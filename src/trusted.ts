import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type BaselineMeta,
  type BaselineQuery,
  type BaselineStore,
  parseKey,
  BaselineMeta as Schema,
} from './baseline/store.ts';
import type { Side } from './compare/types.ts';
import { openRecord } from './disk/record-folder.ts';
import { UserError } from './errors.ts';
import { describeBody } from './record/body.ts';
import { digestJson } from './record/digest.ts';
import { outcomeDigest } from './record/outcome.ts';
import type { BaselineView } from './report/model.ts';

/** What the store had, checked: a baseline that can be compared with, or why there is none. */
export type Trusted =
  | { readonly kind: 'found'; readonly key: string; readonly meta: BaselineMeta; readonly side: Side }
  | Extract<BaselineView, { readonly kind: 'incomparable' | 'absent' | 'not-asked' }>;

/** What a report shows of it. */
export function view(trusted: Trusted, store: BaselineStore): BaselineView {
  return trusted.kind === 'found'
    ? { kind: 'found', key: trusted.key, store: store.kind, provenance: trusted.meta.provenance }
    : trusted;
}

/**
 * Finds the newest baseline and checks that it is what its key says. `owned` keeps its files until the
 * comparison is done.
 *
 * @throws UserError `baseline-invalid` for a damaged or foreign one, `store-unavailable` when the store did not answer
 */
export async function findTrusted(
  store: BaselineStore,
  query: BaselineQuery,
  owned: AsyncDisposableStack,
): Promise<Trusted> {
  const lookup = await store.find(query);
  switch (lookup.kind) {
    case 'found': {
      owned.use(lookup);
      return { kind: 'found', key: lookup.key, ...(await readBaseline(lookup.folder, lookup.key, query)) };
    }
    case 'absent': {
      const { otherClasses, explanation } = lookup;
      return otherClasses.length > 0
        ? { kind: 'incomparable', otherClasses, explanation }
        : { kind: 'absent', explanation };
    }
  }
}

async function readBaseline(
  folder: string,
  key: string,
  query: BaselineQuery,
): Promise<{ meta: BaselineMeta; side: Side }> {
  const invalid = (why: string, cause?: unknown) =>
    new UserError(
      'baseline-invalid',
      `The baseline ${key} ${why}. Nothing was compared.`,
      'Refresh the baseline. If nobody damaged it by accident, find out who can write to the store.',
      { cause },
    );
  let meta: BaselineMeta;
  let side: Side;
  try {
    meta = Schema.parse(JSON.parse(await readFile(join(folder, 'baseline.json'), 'utf8')));
    side = await openRecord(folder);
  } catch (cause) {
    throw invalid(
      `cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`.slice(0, 2000),
      cause,
    );
  }
  const { record } = side;
  const outcome = outcomeDigest(record);
  if (meta.record !== outcome) throw invalid(`claims the outcome ${meta.record} but holds ${outcome}`);
  if (parseKey(key)?.record16 !== outcome.slice(0, 16))
    throw invalid(`holds another outcome, ${outcome}, than its key names`);
  for (const found of [meta.suite, record.suite.name])
    if (found !== query.suite) throw invalid(`belongs to the suite \`${found}\``);
  for (const found of [meta.hardwareClass, record.hardwareClass])
    if (found !== query.hardwareClass) throw invalid(`belongs to the hardware class \`${found}\``);
  for (const { prompt, body, ...told } of record.observations) {
    const held = await side.readBody(body).catch((cause: Error) => {
      throw invalid(`is damaged: ${cause.message}`, cause);
    });
    const { promptTokens, tokens, logprobs, topK, text } = told;
    if (digestJson(describeBody(held)) !== digestJson({ promptTokens, tokens, logprobs, topK, text }))
      throw invalid(`holds other bits of \`${prompt}\` than its record says`);
  }
  return { meta, side };
}

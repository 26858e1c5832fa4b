import { type BaselineMeta, type BaselineQuery, parseMeta } from '../baseline/port.ts';
import { UserError } from '../errors.ts';
import type { Asks, HistorySettings } from '../job/settings.ts';
import type { Records, Tools } from '../job/tools.ts';
import { sha256 } from '../record/digest.ts';
import type { History } from '../report/history.ts';
import { findTrusted } from '../trust/baseline.ts';
import { loadRuled } from '../trust/judge.ts';

/**
 * The baselines of a suite, of every hardware class, and what each replaced. Starts no engine; reading a cached one
 * counts as a use, which keeps it from eviction.
 */
export async function log(
  settings: HistorySettings & Asks<'look'>,
  tools: Pick<Tools, 'console' | 'open' | 'records' | 'suiteSchema'>,
): Promise<History[]> {
  const { loaded, branches } = await loadRuled(settings, tools);
  const store = tools.open.store(loaded.suite.baseline, branches);
  const suite = loaded.suite.name;
  const histories: History[] = [];
  for (const hardwareClass of await store.classes(suite)) {
    await using owned = new AsyncDisposableStack();
    const query: BaselineQuery = { suite, hardwareClass };
    const trusted = await findTrusted(store, query, tools.records, owned);
    // It was there a moment ago: a class that goes missing must not pass for one that never was.
    if (trusted.kind !== 'found')
      throw new UserError(
        'store-unavailable',
        `The store names a baseline of ${suite} on ${hardwareClass}, and does not give it.`,
        'Run it again; if it is gone for good, refresh it on that hardware.',
      );
    const { key, meta, metaSha256 } = trusted;
    histories.push(historyOf(key, meta, metaSha256));
  }
  return histories;
}

/** The same of one baseline's folder, such as the copy that a check leaves beside its record. */
export async function logFolder(
  folder: string,
  { records }: { readonly records: Pick<Records, 'metaOf'> },
): Promise<History[]> {
  try {
    const bytes = await records.metaOf(folder);
    return [historyOf(folder, parseMeta(bytes), sha256(bytes))];
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UserError(
      'baseline-invalid',
      `${folder}/baseline.json is no baseline of this version: ${why}`.slice(0, 2000),
      'Name a folder that holds `baseline.json`: `<record-path>.baseline` of a check is one.',
      { cause },
    );
  }
}

function historyOf(
  key: string,
  { suite, hardwareClass, record, provenance, chain }: BaselineMeta,
  baseline: string,
) {
  return { suite, hardwareClass, baselines: [{ baseline, key, record, provenance }, ...chain] };
}

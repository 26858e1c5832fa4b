import { type BaselineMeta, type BaselineQuery, type BaselineStore, parseMeta } from '../baseline/port.ts';
import { compareSides } from '../compare/sides.ts';
import { UserError } from '../errors.ts';
import { diffEnvironments } from '../fingerprint/diff.ts';
import type { Asks, DocumentSettings, HistorySettings } from '../job/settings.ts';
import type { Records, Tools } from '../job/tools.ts';
import { sha256 } from '../record/digest.ts';
import type { RunRecord } from '../record/schema.ts';
import type { OpenedRecord } from '../record/side.ts';
import type { History, Since } from '../report/history.ts';
import { findTrusted } from '../trust/baseline.ts';
import { loadRuled } from '../trust/judge.ts';

/**
 * The baselines of a suite, of every hardware class, and what each replaced. Starts no engine; reading a cached one
 * counts as a use, which keeps it from eviction.
 */
export async function log(
  settings: HistorySettings & Partial<DocumentSettings> & Asks<'look'>,
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
    const history = historyOf(key, meta, metaSha256);
    const isAsked = settings.documents?.html !== undefined;
    histories.push(
      isAsked ? { ...history, since: await sinceOf(history, trusted.side, store, tools, owned) } : history,
    );
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

/** Baselines that are compared with the one before: of a long chain, reading all could take hours. */
const MAX_COMPARED = 20;

/** Of each baseline, newest first, what it changed: as far as the store still has the records. */
async function sinceOf(
  { suite, hardwareClass, baselines }: History,
  newest: OpenedRecord,
  store: BaselineStore,
  { console, records }: Pick<Tools, 'console' | 'records'>,
  owned: AsyncDisposableStack,
): Promise<Since[]> {
  const all: Since[] = [];
  let after: OpenedRecord | string = newest;
  for (const { key } of baselines.slice(1, MAX_COMPARED + 1)) {
    const before = await opened(key);
    const gone = [after, before].find((one) => typeof one === 'string');
    if (typeof after !== 'string' && typeof before !== 'string') all.push(await since(before, after));
    else all.push({ kind: 'unknown', why: gone ?? '' });
    after = before;
  }
  return all;

  /** The record, or why there is none. */
  async function opened(key: string): Promise<OpenedRecord | string> {
    try {
      const found = await findTrusted(store, { suite, hardwareClass }, records, owned, key);
      return found.kind === 'found' ? found.side : `the store no longer has the record of ${key}`;
    } catch (error) {
      if (!(error instanceof UserError) || error.code !== 'baseline-invalid') throw error;
      console.info(error.message);
      return `the record of ${key} cannot be believed any more`;
    }
  }
}

async function since(before: OpenedRecord, after: OpenedRecord): Promise<Since> {
  const { outcome, findings, size, floor } = await compareSides(before, after, 'measure');
  const other = findings.filter(({ agreement }) => agreement !== 'identical');
  return {
    kind: 'compared',
    outcome,
    changes: diffEnvironments(environmentOf(before.record), environmentOf(after.record)),
    prompts: new Set(findings.map(({ prompt }) => prompt)).size,
    differ: new Set(other.map(({ prompt }) => prompt)).size,
    size: size && {
      ...size,
      ...{ floorNats: floor?.nats ?? null, floorBy: floor?.by ?? null, batchingNats: null },
    },
  };
}

const environmentOf = ({ fingerprint, lifetimes }: RunRecord) => ({
  fingerprint,
  settings: lifetimes[0]?.settings ?? { requested: {}, dropped: [], effective: {} },
});

function historyOf(
  key: string,
  { suite, hardwareClass, record, provenance, chain }: BaselineMeta,
  baseline: string,
) {
  return { suite, hardwareClass, baselines: [{ baseline, key, record, provenance }, ...chain] };
}

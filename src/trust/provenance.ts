import {
  BASELINE_SCHEMA,
  type BaselineMeta,
  type Link,
  MAX_CHAIN,
  type RunBefore,
} from '../baseline/port.ts';
import type { RefreshSettings } from '../job/settings.ts';
import { digestJson } from '../record/digest.ts';
import { outcomeDigest, outcomeDigests } from '../record/outcome.ts';
import type { OpenedRecord } from '../record/side.ts';
import { VERSION } from '../version.ts';
import type { FoundTrusted } from './baseline.ts';

/** What a refresh alone knows of the baseline that it makes. */
export interface Promoted {
  readonly side: OpenedRecord;
  /** What it replaces. */
  readonly before: FoundTrusted | undefined;
  readonly reason: string;
  readonly pullRequest: number | null;
  readonly yardstick: BaselineMeta['yardstick'];
  /** Runs whose engine starts count as its own. */
  readonly beforeMerge?: readonly RunBefore[];
  readonly now: Date;
}

/** The `baseline.json` of a record: who trusts it, why, and from which run it comes. */
export function metaOf(
  { job, situation, workflow, runUrl, actor }: RefreshSettings,
  { side, before, reason, pullRequest, yardstick, now, beforeMerge = [] }: Promoted,
): BaselineMeta {
  const { record } = side;
  const { image, model } = record.fingerprint.declared;
  const digests = outcomeDigests(record);
  return {
    schema: BASELINE_SCHEMA,
    suite: record.suite.name,
    hardwareClass: record.hardwareClass,
    record: outcomeDigest(record),
    recordFile: side.sha256,
    provenance: {
      repository: job.repository,
      commit: situation.commit,
      ref: situation.ref,
      workflow,
      runId: job.run,
      runAttempt: job.attempt,
      runUrl,
      actor,
      event: situation.event,
      reason,
      createdAt: now.toISOString(),
      tool: VERSION,
      image: image.reference === 'none' ? '' : image.reference,
      model: digestJson(model.files),
      pullRequest,
    },
    chain: chainOf(before),
    envelope: { lifetimes: digests.length, digests },
    ...(beforeMerge.length === 0 ? {} : { beforeMerge: [...beforeMerge] }),
    yardstick,
  };
}

/** What this one replaces, and what that one had replaced. */
function chainOf(before: FoundTrusted | undefined): Link[] {
  if (before === undefined) return [];
  const { key, meta, metaSha256 } = before;
  const link = { baseline: metaSha256, key, record: meta.record, provenance: meta.provenance };
  return [link, ...meta.chain].slice(0, MAX_CHAIN);
}

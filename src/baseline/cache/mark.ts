import { createHash } from 'node:crypto';
import { z } from 'zod';
import { UserError } from '../../errors.ts';
import { plain } from '../foreign.ts';
import type { BaselineQuery, Marker, Marks, Memory } from '../port.ts';
import {
  any,
  type CacheService,
  cacheService,
  type Environment,
  json,
  type Patience,
  seconds,
  send,
  textOf,
} from './service.ts';

/*
 * A cache forgets: what is unused for a week, and whatever somebody's 10 GB push out; a bucket and a registry have rules
 * of what expires. That there was a baseline must outlive it, else a drift becomes a `no-baseline` that a policy lets
 * pass, and whoever can fill a cache can bring that about. So a refresh
 * leaves an empty artifact of this name on its run. Artifacts are pushed out by nothing, a run can make them for itself
 * alone, and GitHub lists each with the branch that its run was of.
 */

export const markName = ({ suite, hardwareClass }: BaselineQuery) =>
  `deterministic-ml-baseline.${suite}.${hardwareClass}`;

/** GitHub's services of this job, where it has those that know marks. */
function markService(env: Environment): CacheService | undefined {
  try {
    const service = cacheService(env);
    return service.protocol === 'v1' ? undefined : service;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/**
 * Whether there ever was a baseline, by GitHub's word; undefined where this server, or this run, knows no marks.
 *
 * @param place that has lost it, e.g. `the cache`
 */
export async function remembered(
  query: BaselineQuery,
  place: string,
  {
    env,
    marks,
    trustedRefs,
  }: {
    readonly env: Environment;
    readonly marks?: Marks | undefined;
    readonly trustedRefs: readonly string[];
  },
): Promise<Memory | undefined> {
  if (marks === undefined || trustedRefs.length === 0 || markService(env) === undefined) return undefined;
  const answer = await marks.marks(markName(query));
  if (answer.kind === 'denied') return { kind: 'unknown', why: answer.why, remedy: answer.remedy };
  const mark = answer.marks.find(({ branch }) => trustedRefs.includes(`refs/heads/${branch}`));
  return mark === undefined
    ? { kind: 'never' }
    : {
        kind: 'once',
        what: `A refresh on ${plain(mark.branch)} stored one at ${plain(mark.createdAt)}, and ${place} has lost it.`,
      };
}

/** Leaves a mark where the job has such a service, and says in the log what it means where that failed. */
export async function markStored(
  query: BaselineQuery,
  place: string,
  env: Environment,
  log: (line: string) => void,
  patience: Pick<Patience, 'lookupMs' | 'signal'>,
): Promise<void> {
  const service = markService(env);
  const failed = service && (await leaveMark(service, query, patience));
  if (failed !== undefined)
    log(
      `That there is a baseline now could not be written down beside ${place} (${failed}): should it be lost, a policy of \`warn\` would not know that there was one.`,
    );
}

/** For places that are none of GitHub's. */
export const markerOf = (
  given: Parameters<typeof remembered>[2] & {
    readonly log: (line: string) => void;
    readonly signal?: AbortSignal;
  },
): Marker => ({
  remembered: (query, place) => remembered(query, place, given),
  stored: (query, place) =>
    markStored(query, place, given.env, given.log, { lookupMs: MARK_MS, signal: given.signal }),
});

/** For a mark beside what was stored already. */
const MARK_MS = 30_000;

/** A ZIP archive of nothing: its end record alone. */
const EMPTY_ZIP = Buffer.from(`504b0506${'00'.repeat(18)}`, 'hex');

/** Why the mark could not be left; undefined where it is there. */
export async function leaveMark(
  service: CacheService,
  query: BaselineQuery,
  { lookupMs, signal }: Pick<Patience, 'lookupMs' | 'signal'>,
): Promise<string | undefined> {
  const [, run, job] = /(?:^| )Actions\.Results:([\w-]+):([\w-]+)(?: |$)/.exec(scopesOf(service.token)) ?? [];
  if (service.protocol === 'v1' || run === undefined || job === undefined)
    return 'this server has no artifacts of the fourth version';
  const deadline = AbortSignal.timeout(lookupMs);
  const inTime = any(deadline, signal);
  const whole = {
    workflow_run_backend_id: run,
    workflow_job_run_backend_id: job,
    name: markName(query),
  };
  try {
    const created = await ask(service, 'CreateArtifact', { ...whole, version: 4 }, inTime);
    // Another attempt or another job of this run has left it.
    if (created === 'exists') return undefined;
    const stored = await send(service, new URL(created.signed_upload_url ?? ''), {
      method: 'PUT',
      headers: {
        'content-type': 'application/zip',
        'content-length': EMPTY_ZIP.length,
        'x-ms-blob-type': 'BlockBlob',
      },
      body: EMPTY_ZIP,
      signal: inTime,
    });
    stored.resume();
    if (stored.statusCode !== 201) return `the store of artifacts answered ${stored.statusCode}`;
    const hash = `sha256:${createHash('sha256').update(EMPTY_ZIP).digest('hex')}`;
    await ask(service, 'FinalizeArtifact', { ...whole, size: String(EMPTY_ZIP.length), hash }, inTime);
    return undefined;
  } catch (error) {
    signal?.throwIfAborted();
    if (deadline.aborted) return `the store of artifacts did not answer within ${seconds(lookupMs)}`;
    return plain(error instanceof Error ? error.message : String(error), 200);
  }
}

const Answer = z.object({ ok: z.literal(true), signed_upload_url: z.url().optional() });

async function ask(
  service: CacheService,
  method: 'CreateArtifact' | 'FinalizeArtifact',
  asked: object,
  signal: AbortSignal,
): Promise<z.infer<typeof Answer> | 'exists'> {
  const url = new URL(`/twirp/github.actions.results.api.v1.ArtifactService/${method}`, service.base);
  const headers = { authorization: `Bearer ${service.token}`, 'content-type': 'application/json' };
  const reply = await send(service, url, { method: 'POST', headers, body: JSON.stringify(asked), signal });
  const text = await textOf(reply, 64 * 1024);
  if (reply.statusCode === 409) return 'exists';
  if (reply.statusCode !== 200)
    throw new Error(`the store of artifacts answered ${reply.statusCode} to ${method}`);
  return Answer.parse(json(text));
}

/** The claim of a job's token that names its run and job; it is the service that checks the token, and not this. */
function scopesOf(token: string): string {
  const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
  const claims = z.object({ scp: z.string() }).safeParse(json(payload));
  return claims.success ? claims.data.scp : '';
}

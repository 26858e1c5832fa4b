import passSchema from '../../schema/pass.json' with { type: 'json' };
import recordSchema from '../../schema/record.json' with { type: 'json' };
import { UserError } from '../errors.ts';
import type { Software } from '../fingerprint/software.ts';
import { channelOf, countOf } from './channels.ts';
import { sha256 } from './digest.ts';
import { healthOf } from './health.ts';
import { PASS_KINDS, RECORD_SCHEMA } from './names.ts';
import type { Given, Observation, Pass, RecordFile, RunRecord } from './schema.ts';
import { packSoftware, unpackSoftware } from './software.ts';
import { inPass, packPass, wrongDigest } from './tree.ts';
import { type Validate, validator } from './validate.ts';

/** Bytes of the file that a digest names. @throws UserError `record-invalid` */
export type ReadFile = (digest: string) => Buffer;

/**
 * @param text of `record.json`
 * @param where shown in the message
 * @param readPass gives what a pass's digest names; whether it has that digest is checked here
 * @throws UserError `record-invalid` for anything that is not a whole and consistent record
 */
export function parseRecord(text: string, where: string, readPass: ReadFile): RunRecord {
  const value = parsed(text, where);
  refuseOlder(value, where);
  const head = checked<RecordFile>(value, ofRecord, where);
  const early = contradictionAbove(head);
  if (early !== undefined) throw invalid(where, early);
  const observations = head.lifetimes.flatMap(({ lifetime, passes }) =>
    passes.flatMap((pass) => {
      const given = parsePass(pass.digest, where, `pass ${lifetime}/${pass.pass}`, readPass);
      return inPass(lifetime, pass, given);
    }),
  );
  const software = new Map(
    head.lifetimes.flatMap((one) =>
      one.software === undefined
        ? []
        : [[one.software, parseSoftware(one.software, where, readPass)] as const],
    ),
  );
  const record = { ...head, observations, software };
  const problem = contradictionBelow(record);
  if (problem !== undefined) throw invalid(where, problem);
  return record;
}

/** A record as its files hold it. */
export function packRecord({ observations, software, ...head }: RunRecord): {
  readonly text: string;
  /** One for each pass; equal ones are one file. */
  readonly passes: readonly Buffer[];
  /** One for each list of software. */
  readonly software: readonly Buffer[];
} {
  const of = Map.groupBy(observations, ({ lifetime, pass }) => `${lifetime}/${pass}`);
  return {
    text: `${JSON.stringify(head, null, 2)}\n`,
    passes: head.lifetimes.flatMap(({ lifetime, passes }) =>
      passes.map(({ pass }) => packPass(of.get(`${lifetime}/${pass}`) ?? [])),
    ),
    software: [...software.values()].map(packSoftware),
  };
}

function parsePass(digest: string, where: string, place: string, readPass: ReadFile): readonly Given[] {
  if (digest === NOTHING) return [];
  const bytes = readPass(digest);
  if (sha256(bytes) !== digest)
    throw invalid(
      where,
      `has another digest of its ${place} than its observations give: body ${digest} has other bytes than its name says`,
    );
  const before = read.get(digest)?.deref();
  if (before !== undefined) return before;
  const whole = `${where}, ${place},`;
  const given = checked<readonly Given[]>(parsed(bytes.toString('utf8'), whole), ofPassFile, whole);
  read.set(digest, new WeakRef(given));
  return given;
}

function parseSoftware(digest: string, where: string, readFile: ReadFile): Software {
  const bytes = readFile(digest);
  if (sha256(bytes) !== digest)
    throw invalid(where, `names a list of software whose body ${digest} has other bytes than its name says`);
  return unpackSoftware(bytes, digest);
}

/**
 * What files of passes hold, by their digest. Two records of the same bits name the same files: the second one's bytes
 * are digested, and need not be read again. Nobody may change what was read.
 */
const read = new Map<string, WeakRef<readonly Given[]>>();

/** Of a pass that observed nothing. */
const NOTHING = sha256(packPass([]));

const ofRecord = compiledOnce(() => validator(recordSchema));
const ofPassFile = compiledOnce(() => validator(passSchema));

function compiledOnce(compile: () => Validate): Validate {
  let validate: Validate | undefined;
  return (value) => {
    validate ??= compile();
    return validate(value);
  };
}

function parsed(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(where, 'is no JSON', cause);
  }
}

/** @throws UserError `record-invalid` unless the published schema, which is made of the type's, finds nothing wrong */
function checked<T>(value: unknown, validate: Validate, where: string): T {
  const problem = problemOf(value, validate);
  if (problem !== undefined) throw invalid(where, `is not as its schema demands: ${problem}`);
  return value as T;
}

function problemOf(value: unknown, validate: Validate): string | undefined {
  try {
    return validate(value);
  } catch (error) {
    // Whatever reads a record later goes down with fewer steps a level, so that nothing ends there which passes here.
    if (error instanceof RangeError) return 'it is nested too deeply';
    throw error;
  }
}

/** One clear refusal instead of a schema's hundred. */
function refuseOlder(value: unknown, where: string): void {
  const told = typeof value === 'object' && value !== null && 'schema' in value ? value.schema : undefined;
  if (
    typeof told !== 'string' ||
    told === RECORD_SCHEMA ||
    !/^deterministic-ml\/record\/v\d{1,3}$/.test(told)
  )
    return;
  throw new UserError(
    'record-invalid',
    `${where} is a \`${told}\`, and this version reads \`${RECORD_SCHEMA}\`: records of two schemas cannot be compared.`,
    'Make the record again with this version; refresh a baseline, with a reason.',
  );
}

/** What a schema cannot say of `record.json` alone. */
function contradictionAbove(head: RecordFile): string | undefined {
  const prompts = new Set(head.suite.prompts.map(({ id }) => id));
  const texts = new Set(head.suite.texts.map(({ id }) => id));
  if (prompts.size !== head.suite.prompts.length) return 'names a prompt twice';
  if (texts.size !== head.suite.texts.length) return 'names a text twice';
  const both = [...texts].find((id) => prompts.has(id));
  if (both !== undefined) return `has a prompt and a text that are both called \`${both}\``;

  const known = new Set<string>();
  for (const { prompt } of head.known) {
    if (known.has(prompt)) return `has known tokens of \`${prompt}\` twice`;
    if (!prompts.has(prompt)) return `has known tokens of \`${prompt}\`, which its suite does not ask`;
    known.add(prompt);
  }

  const passes = new Set<string>();
  const lifetimes = new Set<string>();
  for (const lifetime of head.lifetimes) {
    if (lifetimes.has(lifetime.lifetime)) return `has two lifetimes ${lifetime.lifetime}`;
    lifetimes.add(lifetime.lifetime);
    for (const pass of lifetime.passes) {
      const key = `${lifetime.lifetime}/${pass.pass}`;
      if (passes.has(key)) return `has two passes ${key}`;
      passes.add(key);
      const problem = ofPass(pass);
      if (problem !== undefined) return `has a pass ${key} that ${problem}`;
    }
  }
  const start = contradictoryStart(head.lifetimes);
  if (start !== undefined) return start;
  const wrong = wrongDigest(head);
  return wrong === undefined ? undefined : `has another digest of its ${wrong} than its passes give`;
}

/** A process that imported an engine for itself forks nothing. */
function contradictoryStart(lifetimes: RecordFile['lifetimes']): string | undefined {
  const starts = lifetimes.flatMap(({ start }) => start ?? []);
  const twice = starts.find(
    ({ how, process }, at) =>
      how === 'cold' && starts.some((other, index) => index !== at && other.process === process),
  );
  return twice && `has two lifetimes of process ${twice.process}, which one of them had for itself`;
}

/** What a schema cannot say of the whole. Undefined when nothing contradicts anything. */
function contradictionBelow({ suite, lifetimes, observations, health }: RunRecord): string | undefined {
  const prompts = new Map(suite.prompts.map(({ id, input }) => [id, input]));
  const texts = new Map(suite.texts.map(({ id, input }) => [id, input]));
  /** By kind, what each prompt was asked first. */
  const asked = new Map<string, Map<string, string>>(PASS_KINDS.map((kind) => [kind, new Map()]));
  let next = 0;
  for (const { lifetime, passes } of lifetimes)
    for (const pass of passes) {
      const key = `${lifetime}/${pass.pass}`;
      const groups = pass.groups.flat();
      const [ids, seen] = [new Set(groups), new Set<string>()];
      const inputs = asked.get(pass.kind);
      // They come pass by pass, as they were read.
      for (; observations[next]?.pass === pass.pass && observations[next]?.lifetime === lifetime; next++) {
        const one = observations[next] as Observation;
        const { prompt, input } = one;
        if (seen.has(prompt)) return `has two observations of ${key}/${prompt}`;
        seen.add(prompt);
        const problem = ofObservation(one, pass, prompts, texts);
        if (problem !== undefined) return `has an observation of ${key}/${prompt} ${problem}`;
        if (!ids.has(prompt)) return `has an observation of ${key}/${prompt} that the pass did not ask for`;
        if ((inputs?.get(prompt) ?? input) !== input)
          return `has observations of \`${prompt}\` in ${pass.kind} passes that were asked otherwise`;
        inputs?.set(prompt, input);
      }
      if (pass.unavailable !== null) continue;
      // Strangers, whose names the suite does not know, are not observed.
      const lacking = groups.find((id) => !seen.has(id) && (prompts.has(id) || texts.has(id)));
      if (lacking !== undefined) return `has no observation of ${key}/${lacking}`;
    }
  return healthOf({ health })?.state !== 'unhealthy' && observations.length === 0
    ? 'has no observation at all'
    : undefined;
}

function ofPass({ groups, witness }: Pass): string | undefined {
  const ids = groups.flat();
  if (new Set(ids).size !== ids.length) return 'asks one prompt twice';
  const requests = witness.requests?.map(({ id }) => id) ?? [];
  if (new Set(requests).size !== requests.length) return 'tells of one request twice';
  return undefined;
}

type Inputs = ReadonlyMap<string, string>;

function ofObservation(
  observation: Observation,
  { kind, unavailable }: Pass,
  prompts: Inputs,
  texts: Inputs,
): string | undefined {
  const { prompt, input, finishReason, channels } = observation;
  const has = (name: string) => channelOf(observation, name) !== undefined;
  // The first of a name is found: of two, the second is not itself.
  for (const channel of channels)
    if (channelOf(observation, channel.name) !== channel) return 'with a channel twice';
  if (unavailable !== null) return 'in a pass that could not be done';
  if (kind === 'generate' && prompts.get(prompt) !== input) return 'with another input than its suite';
  if (kind === 'force' && !prompts.has(prompt)) return 'that its suite does not ask';
  if (!prompts.has(prompt) && texts.get(prompt) !== input) return 'with another input than its suite';
  const given = kind !== 'generate';
  if (given !== (finishReason === 'given')) return `that ended by \`${finishReason}\` in a ${kind} pass`;
  if (has('text') && has('text-digest')) return 'with a text and with its digest alone';
  if (given && (has('text') || has('text-digest'))) return `with a text in a ${kind} pass`;
  if (kind === 'trace' && has('tokens')) return 'with tokens in a pass that only traces';
  if (kind === 'trace' && countOf(observation, 'modules') === 0) return 'without a single module';
  if (countOf(observation, 'tokens') > 0 && has('logprobs') && countOf(observation, 'top-k') === 0)
    return 'without the best log-probabilities of its steps';
  return undefined;
}

function invalid(where: string, why: string, cause?: unknown): UserError {
  return new UserError(
    'record-invalid',
    `${where} ${why}.`.slice(0, 4000),
    'The record is damaged or of another version: make it again.',
    { cause },
  );
}

import passSchema from '../../schema/pass.json' with { type: 'json' };
import recordSchema from '../../schema/record.json' with { type: 'json' };
import { UserError } from '../errors.ts';
import type { Software } from '../fingerprint/software.ts';
import { sha256 } from './digest.ts';
import { healthOf } from './health.ts';
import { PASS_KINDS, RECORD_SCHEMA } from './names.ts';
import type { ChannelDigest, Given, Observation, Pass, PassKind, RecordFile, RunRecord } from './schema.ts';
import { packSoftware, unpackSoftware } from './software.ts';
import { packPass, wrongDigest } from './tree.ts';
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
  const questions: Questions = {
    prompts: new Map(head.suite.prompts.map(({ id, input }) => [id, input])),
    texts: new Map(head.suite.texts.map(({ id, input }) => [id, input])),
    asked: new Map(PASS_KINDS.filter((kind) => kind !== 'generate').map((kind) => [kind, new Map()])),
  };
  const problem = contradiction(head, questions);
  if (problem !== undefined) throw invalid(where, problem);
  const observations = head.lifetimes.flatMap(({ lifetime, passes }) =>
    passes.flatMap((pass) => {
      const given = parsePass(lifetime, pass, where, readPass);
      return inPass(lifetime, pass, given, questions, where);
    }),
  );
  if (observations.length === 0 && healthOf(head)?.state !== 'unhealthy')
    throw invalid(where, 'has no observation at all');
  const software = new Map(
    head.lifetimes.flatMap((one) =>
      one.software === undefined
        ? []
        : [[one.software, parseSoftware(one.software, where, readPass)] as const],
    ),
  );
  return { ...head, observations, software };
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

function parsePass(
  lifetime: string,
  { pass, kind, digest }: Pass,
  where: string,
  readPass: ReadFile,
): readonly Given[] {
  if (digest === NOTHING) return [];
  const place = `${lifetime}/${pass}`;
  const bytes = readPass(digest);
  if (sha256(bytes) !== digest)
    throw invalid(
      where,
      `has another digest of its pass ${place} than its observations give: body ${digest} has other bytes than its name says`,
    );
  const name = `${kind} ${digest}`;
  const before = read.get(name)?.deref();
  if (before !== undefined) return before;
  const whole = `${where}, pass ${place},`;
  const given = checked<readonly Given[]>(parsed(bytes.toString('utf8'), whole), ofPassFile, whole);
  for (const one of given) {
    const problem = ofGiven(one, kind);
    if (problem !== undefined)
      throw invalid(where, `has an observation of ${place}/${one.prompt} ${problem}`);
  }
  read.set(name, new WeakRef(given));
  return given;
}

function parseSoftware(digest: string, where: string, readFile: ReadFile): Software {
  const bytes = readFile(digest);
  if (sha256(bytes) !== digest)
    throw invalid(where, `names a list of software whose body ${digest} has other bytes than its name says`);
  return unpackSoftware(bytes, digest);
}

/**
 * What files of passes hold, by the kind of the pass and their digest. Two records of the same bits name the same files:
 * the second one's bytes are digested, and need not be read again. Nobody may change what was read.
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

/** What a record's passes may have asked, as the digest of its input by prompt. */
interface Questions {
  readonly prompts: ReadonlyMap<string, string>;
  readonly texts: ReadonlyMap<string, string>;
  /** By kind, what each was asked first, where the suite does not tell: known tokens. */
  readonly asked: ReadonlyMap<PassKind, Map<string, string>>;
}

/** What a schema cannot say of `record.json`. Undefined when nothing contradicts anything. */
function contradiction(head: RecordFile, { prompts, texts }: Questions): string | undefined {
  if (prompts.size !== head.suite.prompts.length) return 'names a prompt twice';
  if (texts.size !== head.suite.texts.length) return 'names a text twice';
  const both = [...texts.keys()].find((id) => prompts.has(id));
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
      const requests = pass.witness.requests?.map(({ id }) => id) ?? [];
      if (new Set(requests).size !== requests.length)
        return `has a pass ${key} that tells of one request twice`;
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

/**
 * What a pass gave, in the order in which it asked: its file has it by the names of the prompts.
 *
 * @throws UserError `record-invalid` unless it gave what it was asked, all of it, and nothing else
 */
function inPass(
  lifetime: string,
  { pass, kind, groups, unavailable }: Pass,
  given: readonly Given[],
  { prompts, texts, asked }: Questions,
  where: string,
): Observation[] {
  const ids = groups.flat();
  const places = new Map(ids.map((id, place) => [id, place]));
  if (places.size !== ids.length)
    throw invalid(where, `has a pass ${lifetime}/${pass} that asks one prompt twice`);
  const observations = ids.map((): Observation | undefined => undefined);
  const inputs = asked.get(kind);
  for (const one of given) {
    const { prompt, input } = one;
    const place = places.get(prompt);
    const problem =
      unavailable === null ? ofInput(one, kind, prompts, texts) : 'in a pass that could not be done';
    if (problem !== undefined || place === undefined)
      throw invalid(
        where,
        `has an observation of ${lifetime}/${pass}/${prompt} ${problem ?? 'that the pass did not ask for'}`,
      );
    if (observations[place] !== undefined)
      throw invalid(where, `has two observations of ${lifetime}/${pass}/${prompt}`);
    if ((inputs?.get(prompt) ?? input) !== input)
      throw invalid(where, `has observations of \`${prompt}\` in ${kind} passes that were asked otherwise`);
    inputs?.set(prompt, input);
    observations[place] = { ...one, lifetime, pass };
  }
  // Strangers, whose names the suite does not know, are not observed.
  const lacking = ids.find((id, at) => observations[at] === undefined && (prompts.has(id) || texts.has(id)));
  if (unavailable === null && lacking !== undefined)
    throw invalid(where, `has no observation of ${lifetime}/${pass}/${lacking}`);
  return observations.filter((one) => one !== undefined);
}

/** Undefined where a pass asked what its suite asks. */
function ofInput(
  { prompt, input }: Given,
  kind: PassKind,
  prompts: Questions['prompts'],
  texts: Questions['texts'],
): string | undefined {
  const own = prompts.get(prompt);
  if (kind === 'generate') return own === input ? undefined : 'with another input than its suite';
  if (own !== undefined) return undefined;
  if (kind === 'force') return 'that its suite does not ask';
  return texts.get(prompt) === input ? undefined : 'with another input than its suite';
}

/** What a schema cannot say of an observation. */
function ofGiven({ finishReason, channels }: Given, kind: PassKind): string | undefined {
  const counts = new Map<string, number>();
  // Indexed: of thousands of iterators, each makes an object a step, before the engine has compiled anything.
  for (let at = 0; at < channels.length; at++) {
    const { name, count } = channels[at] as ChannelDigest;
    counts.set(name, count);
  }
  if (counts.size !== channels.length) return 'with a channel twice';
  const given = kind !== 'generate';
  if (given !== (finishReason === 'given')) return `that ended by \`${finishReason}\` in a ${kind} pass`;
  if (counts.has('text') && counts.has('text-digest')) return 'with a text and with its digest alone';
  if (given && (counts.has('text') || counts.has('text-digest'))) return `with a text in a ${kind} pass`;
  if (kind === 'trace' && counts.has('tokens')) return 'with tokens in a pass that only traces';
  if (kind === 'trace' && !counts.get('modules')) return 'without a single module';
  if (counts.get('tokens') && counts.has('logprobs') && !counts.get('top-k'))
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

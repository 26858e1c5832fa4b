import { missingFoundation } from '../engine/engines/index.ts';
import type { EventOf } from '../engine/protocol.ts';
import type { Session } from '../engine/session.ts';
import { cancelled, UserError } from '../errors.ts';
import { hardwareClass } from '../fingerprint/hardware-class.ts';
import type { Fingerprint } from '../fingerprint/schema.ts';
import type { Software } from '../fingerprint/software.ts';
import type { HealthReading, HealthView, RecordedHealth } from '../health/schema.ts';
import type { NewRecord } from '../job/tools.ts';
import { packVocabulary } from '../record/body.ts';
import { type Channel, stepsOf } from '../record/channels.ts';
import type { Devices } from '../record/devices.ts';
import { sha256 } from '../record/digest.ts';
import { healthOf } from '../record/health.ts';
import { RECORD_SCHEMA } from '../record/names.ts';
import type { Health, Lifetime, Observation, Phases, RunRecord } from '../record/schema.ts';
import type { OpenedRecord, Side } from '../record/side.ts';
import { packSoftware } from '../record/software.ts';
import { lifetimeDigest, recordDigest } from '../record/tree.ts';
import { littleEndian } from '../record/words.ts';
import { Sampling } from '../suite/schema.ts';
import { VERSION } from '../version.ts';
import type { CachesTold } from './caches.ts';
import { runPass } from './pass.ts';
import { FROZEN_CLOCK, type Plan, type PlannedPass } from './plan.ts';
import { askedOf, base64, type KnownTokens, knownInput, readyPass } from './requests.ts';
import type { Started } from './starts.ts';

/** How a lifetime is added. */
interface Adding {
  readonly signal?: AbortSignal;
  readonly devices?: Devices;
  readonly stays?: boolean;
}

/** A record while it grows, lifetime by lifetime. Disposing without `commit` leaves nothing behind. */
export class Recording implements AsyncDisposable {
  readonly #plan: Plan;
  readonly #fingerprint: Fingerprint;
  readonly #writer: NewRecord;
  readonly #known: Map<string, Uint32Array>;
  /** Prompts whose tokens are not known when the run begins. */
  readonly #unknown: ReadonlySet<string>;
  /** Settled once no lifetime has to wait for tokens that the first one generates. */
  readonly #learned = Promise.withResolvers<void>();
  /** Of lifetimes: side by side they begin and end in another order. */
  readonly #names: string[] = [];
  readonly #createdAt = new Date().toISOString();
  readonly #readings: RecordedHealth[] = [];
  readonly #lifetimes: Lifetime[] = [];
  readonly #observations: Observation[] = [];
  readonly #software = new Map<string, Software>();
  readonly #vocabulary = new Map<number, string>();
  readonly #unnamed = new Set<number>();

  /** @param known tokens of the baseline by prompt; of a prompt that has none, the first that are generated */
  constructor(plan: Plan, fingerprint: Fingerprint, known: KnownTokens, writer: NewRecord) {
    this.#plan = plan;
    this.#fingerprint = fingerprint;
    this.#writer = writer;
    this.#known = new Map(known);
    this.#unknown = new Set(plan.prompts.flatMap(({ id }) => (known.has(id) ? [] : [id])));
    if (this.#unknown.size === 0) this.#learned.resolve();
  }

  get lifetimes(): number {
    return this.#lifetimes.length;
  }

  /** What the health of the GPUs comes to until now; undefined where nobody looked. */
  get health(): HealthView | undefined {
    return healthOf({ health: this.#health() });
  }

  /** To be called before the engine of this lifetime is loaded, and after. */
  note(lifetime: string, reading: HealthReading): void {
    // A server does not tell of its GPUs: nobody looked.
    if (this.#plan.endpoint !== undefined) return;
    this.#readings.push({ lifetime, ...reading });
  }

  /** Lifetimes that are to come, in the record's order. */
  expect(names: readonly string[]): void {
    this.#names.push(...names);
  }

  /**
   * Loads the engine, runs the passes and ends the engine. The first lifetime learns what all others are measured on: they
   * wait for it where they run beside it.
   *
   * @param signal ends the waiting
   * @param stays the engine is left as it is, with its model, and not ended
   * @returns what the engine said as it had loaded
   */
  async add(
    { session, start, took, loaded: known }: Pick<Started, 'session' | 'start' | 'took' | 'loaded'>,
    lifetime: string,
    passes: readonly PlannedPass[],
    args: Plan['args'],
    { signal, devices, stays = false }: Adding = {},
  ): Promise<EventOf<'lifetime'>> {
    const { defaults, perturbation, program, serve } = this.#plan;
    if (!this.#names.includes(lifetime)) this.#names.push(lifetime);
    const isFirst = lifetime === this.#names[0];
    // Every lifetime asks the same.
    const prompts = isFirst ? askedOf(this.#plan) : [];
    const clock = stopwatch();
    if (known === undefined)
      session.send({
        ...{ command: 'load', args, defaults, perturbation, serve, prompts, clock: FROZEN_CLOCK },
        ...(isFirst && this.#plan.probes && { probes: true }),
        ...(program && { program: program.file }),
      });
    const told = known ?? (await session.expect('lifetime'));
    const { seconds, settings, software, probes, perturbed, importSeconds = 0, warmUpSeconds } = told;
    const loaded = clock();
    refuseWithout(missingFoundation(this.#plan.engine, settings, this.#plan.environment));
    const listed = software === undefined ? {} : { software: this.#list(software) };
    const done: Lifetime['passes'] = [];
    for (const planned of passes) {
      if (!isFirst && planned.kind !== 'generate') await this.#knownTokens(signal);
      const ready = readyPass(this.#plan, lifetime, planned, this.#known, this.#unknown);
      if (ready === undefined) continue;
      const measured = await runPass(session, ready, (channels) => this.#addBody(channels));
      done.push(measured.pass);
      this.#observations.push(...measured.observations);
      if (isFirst) await this.#learnTokens(planned, measured.observations);
    }
    // Whatever it was asked, nothing more is learned.
    if (isFirst) this.#learned.resolve();
    await this.#learnTexts(session);
    const passed = clock();
    const { health } = await (stays ? session.rest() : session.end());
    this.note(lifetime, health);
    // What of the import went by before the command came, nobody waited for.
    const importing = Math.min(importSeconds, loaded);
    const phases: Phases = {
      ...{ open: took.open, import: took.import + importing, load: loaded - importing },
      ...(warmUpSeconds == null || known !== undefined ? {} : { warmUp: warmUpSeconds }),
      ...{ passes: passed, end: clock() },
    };
    const digest = lifetimeDigest(done);
    this.#lifetimes.push({
      ...{ lifetime, start, phases, loadSeconds: seconds, settings, perturbed, passes: done, digest },
      ...(devices === undefined ? {} : { devices }),
      ...(probes && { probes }),
      ...listed,
    });
    return told;
  }

  /** Of the lifetime that was added last. */
  addCaches({ caches, given }: CachesTold): void {
    const last = this.#lifetimes.pop();
    if (last === undefined) return;
    const software = { ...this.#software.get(last.software ?? ''), caches: given };
    this.#lifetimes.push({ ...last, caches, software: this.#list(software) });
  }

  /** What there is until now. */
  side(): Side {
    return { ...this.#writer.side(this.#record()), readVocabulary: async () => this.#vocabulary };
  }

  /** Leaves a record that is whole. */
  async commit(): Promise<OpenedRecord> {
    await this.#writer.addVocabulary(this.#vocabulary);
    for (const tokens of this.#known.values()) await this.#writer.addTokens(littleEndian(tokens));
    return await this.#writer.commit(this.#record());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer[Symbol.asyncDispose]();
  }

  #list(software: Software): string {
    const digest = sha256(packSoftware(software));
    this.#software.set(digest, software);
    return digest;
  }

  async #addBody(channels: readonly Channel[]): Promise<string> {
    const { tokens, topIds } = stepsOf(channels);
    for (const ids of [tokens, topIds])
      for (const id of ids) if (!this.#vocabulary.has(id)) this.#unnamed.add(id);
    return await this.#writer.addBody(channels);
  }

  /** The first tokens of a prompt that the baseline does not know are those that everything else is measured on. */
  async #learnTokens(
    { kind, arrangement }: PlannedPass,
    observations: readonly Observation[],
  ): Promise<void> {
    if (kind !== 'generate' || arrangement !== 'alone') return;
    const { readBody } = this.side();
    for (const { prompt, body } of observations)
      if (!this.#known.has(prompt)) this.#known.set(prompt, stepsOf(await readBody(body)).tokens);
    this.#learned.resolve();
  }

  /** @throws UserError `cancelled` once nobody will learn them any more */
  async #knownTokens(signal: AbortSignal | undefined): Promise<void> {
    const ended = Promise.withResolvers<never>();
    const end = () => ended.reject(cancelled());
    if (signal?.aborted) end();
    signal?.addEventListener('abort', end, { once: true });
    try {
      await Promise.race([this.#learned.promise, ended.promise]);
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  async #learnTexts(session: Session): Promise<void> {
    if (this.#unnamed.size === 0) return;
    const asked = new Set(this.#unnamed);
    // Another lifetime beside this one asks for its own.
    this.#unnamed.clear();
    session.send({ command: 'vocabulary', ids: base64(Uint32Array.from(asked)) });
    const { texts } = await session.expect('vocabulary');
    // Of others nobody asked: they would only fill the record.
    for (const [id, text] of Object.entries(texts))
      if (asked.has(Number(id))) this.#vocabulary.set(Number(id), text);
  }

  /** What the model said where the suite did not. */
  #effective(sampling: Sampling, unsaid: readonly string[] = []): Sampling {
    const [first] = this.#inOrder(this.#lifetimes);
    const told = first?.settings.effective ?? {};
    let whole = sampling;
    for (const name of unsaid) {
      // A model may ask for what no suite can: the settings have it as it is.
      const next = Sampling.safeParse({ ...whole, [name]: told[`sampling.${name}`] });
      if (next.success && told[`sampling.${name}`] !== undefined) whole = next.data;
    }
    return whole;
  }

  #health(): Health {
    return this.#readings.length === 0
      ? { state: 'not-told', reasons: [] }
      : { state: 'told', readings: [...this.#readings] };
  }

  /** Stable: what one lifetime gave stays in its order. */
  #inOrder<T extends { readonly lifetime: string }>(all: readonly T[]): T[] {
    const places = new Map(this.#names.map((name, place) => [name, place]));
    return all.toSorted((a, b) => (places.get(a.lifetime) ?? 0) - (places.get(b.lifetime) ?? 0));
  }

  #record(): RunRecord {
    const { program, suite, prompts, texts } = this.#plan;
    const lifetimes = this.#inOrder(this.#lifetimes);
    return {
      schema: RECORD_SCHEMA,
      tool: VERSION,
      createdAt: this.#createdAt,
      suite: {
        ...suite,
        prompts: prompts.map(({ id, digest, sampling, unsaid, leaving }) => ({
          ...{ id, input: digest, sampling: program ? null : this.#effective(sampling, unsaid) },
          ...(leaving && { leaving }),
        })),
        texts: texts.map(({ id, content, leaving }) => ({
          ...{ id, input: knownInput('score', content, null) },
          ...(leaving && { leaving }),
        })),
      },
      known: prompts.flatMap(({ id }) => {
        const tokens = this.#known.get(id);
        return tokens === undefined
          ? []
          : [{ prompt: id, count: tokens.length, sha256: sha256(littleEndian(tokens)) }];
      }),
      fingerprint: this.#fingerprint,
      hardwareClass: hardwareClass(this.#fingerprint.ambient),
      source: 'engine',
      health: this.#health(),
      lifetimes,
      observations: this.#inOrder(this.#observations),
      software: new Map(
        lifetimes.flatMap(({ software: name = '' }) => {
          const listed = this.#software.get(name);
          return listed === undefined ? [] : [[name, listed]];
        }),
      ),
      digest: recordDigest(lifetimes),
      vocabulary: sha256(packVocabulary(this.#vocabulary)),
    };
  }
}

/** Seconds since it was last looked at. */
function stopwatch(): () => number {
  let last = performance.now();
  return () => {
    const now = performance.now();
    const seconds = (now - last) / 1000;
    last = now;
    return seconds;
  };
}

/** @throws UserError `engine-not-as-asked` */
function refuseWithout(foundation: string | undefined): void {
  if (foundation === undefined) return;
  throw new UserError(
    'engine-not-as-asked',
    `\`${foundation}\` was asked for, and the running engine says that it is not in force.`,
    'Take it out of the suite, or use a version and a device of the engine that have it: its log may say why it has not.',
  );
}

import { UserError } from '../errors.ts';
import type { Fingerprint, HarnessFingerprint } from '../fingerprint/schema.ts';
import { type Body, describeBody, float32, uint32 } from '../record/body.ts';
import type { Lifetime, Observation } from '../record/schema.ts';
import type { PromptInput, Sampling } from '../suite/schema.ts';
import type { ObservationEvent } from './protocol.ts';
import type { Runtime } from './runtime.ts';
import type { Session } from './session.ts';

/** What a lifetime is to do; `Plan` in plan.ts holds one and more. */
export interface LifetimeRequest {
  readonly lifetime: string;
  readonly args: Readonly<Record<string, unknown>>;
  readonly defaults: readonly string[];
  readonly passes: readonly { readonly pass: string; readonly groups: readonly (readonly string[])[] }[];
  readonly prompts: readonly { readonly input: PromptInput; readonly digest: string }[];
  readonly sampling: Sampling;
  readonly topK: number;
  readonly clock: number;
}

/** Where observations go as they come in. */
export interface Sink {
  addBody(body: Body): Promise<string>;
}

/** Loads the engine and runs its passes; the bits go to `sink`, the rest is returned. */
export async function runLifetime(
  session: Session,
  request: LifetimeRequest,
  sink: Sink,
): Promise<{ lifetime: Lifetime; observations: Observation[] }> {
  const { lifetime, args, defaults, passes, prompts, sampling, topK, clock } = request;
  session.send({ command: 'load', args, defaults });
  const loaded = await session.expect('lifetime');
  const observations: Observation[] = [];
  const digests = new Map(prompts.map(({ input, digest }) => [input.id, digest]));
  const done: Lifetime['passes'] = [];
  for (const { pass, groups } of passes) {
    session.send({
      command: 'pass',
      pass,
      kind: 'generate',
      prompts: prompts.map(({ input }) => input),
      groups,
      sampling,
      topK,
      clock,
    });
    const {
      witness,
      seconds,
      sampling: effective,
    } = await session.expect('pass', async (event) => {
      observations.push(await observe(event, lifetime, digests, sink));
    });
    const missing = prompts.filter(
      ({ input }) => !observations.some((o) => o.pass === pass && o.prompt === input.id),
    );
    if (missing.length > 0)
      throw new UserError(
        'protocol-violation',
        `${pass} ended without an observation of ${missing.map(({ input }) => `\`${input.id}\``).join(', ')}.`,
        'Nothing of this lifetime is used. If it happens again, report it with the engine log.',
      );
    done.push({
      pass,
      kind: 'generate',
      groups: groups.map((group) => [...group]),
      seconds,
      witness,
      sampling: effective,
    });
  }
  await session.end();
  return {
    lifetime: { lifetime, loadSeconds: loaded.seconds, settings: loaded.settings, passes: done },
    observations,
  };
}

async function observe(
  event: ObservationEvent,
  lifetime: string,
  digests: ReadonlyMap<string, string>,
  sink: Sink,
): Promise<Observation> {
  const bytes = (base64: string) => Buffer.from(base64, 'base64');
  const body: Body = {
    promptTokens: uint32(bytes(event.promptTokens)),
    tokens: uint32(bytes(event.tokens)),
    logprobs: float32(bytes(event.logprobs)),
    k: event.topK,
    topIds: uint32(bytes(event.topIds)),
    topLogprobs: float32(bytes(event.topLogprobs)),
    text: event.text,
  };
  return {
    lifetime,
    pass: event.pass,
    prompt: event.prompt,
    input: digests.get(event.prompt) ?? '',
    ...describeBody(body),
    finishReason: event.finishReason,
    body: await sink.addBody(body),
  };
}

/** The two halves from what the harness saw and what only the host knows. */
export function completeFingerprint(
  seen: HarnessFingerprint,
  runtime: Pick<Runtime, 'kind' | 'image'>,
  model: { readonly label: string; readonly revision: string },
): Fingerprint {
  const { engine, libraries, files, environment, gpus, driver, cpu, memoryBytes, os, kernel } = seen;
  return {
    declared: { image: runtime.image, engine, libraries, model: { ...model, files }, environment },
    ambient: { gpus, driver, cpu, memoryBytes, os, kernel, runtime: runtime.kind },
  };
}

import type { Claim } from './compare/compare.ts';
import { relations } from './compare/relations/index.ts';
import type { LoadedSuite } from './disk/suite-file.ts';
import { type EngineSpec, engines } from './engine/engines.ts';
import { digestJson } from './record/digest.ts';
import type { PromptInput, RelationName, Sampling, Suite } from './suite/schema.ts';

/** Top log-probabilities kept at each step. */
export const TOP_K = 5;

/** 2024-01-01T00:00:00Z: the "now" that chat templates see, so that a template with a date does not drift daily. */
export const FROZEN_CLOCK = 1_704_067_200;

/** Everything that one run does, decided before it starts. */
export interface Plan {
  readonly suite: { readonly name: string; readonly digest: string };
  readonly engine: EngineSpec;
  /** Deterministic defaults overlaid with the suite's arguments. */
  readonly args: Readonly<Record<string, unknown>>;
  /** Names in `args` that come from our defaults. */
  readonly defaults: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly sampling: Sampling;
  readonly prompts: readonly PlannedPrompt[];
  /** One entry a lifetime: its passes in order. */
  readonly lifetimes: readonly { readonly lifetime: string; readonly passes: readonly PlannedPass[] }[];
  readonly claims: readonly Claim[];
}

export interface PlannedPrompt {
  readonly input: PromptInput;
  /** What decides comparability: the prompt, its sampling and the log-probability mode. */
  readonly digest: string;
}

export interface PlannedPass {
  readonly pass: string;
  /** Prompts that are submitted together, in this order. */
  readonly groups: readonly (readonly string[])[];
}

/** @param required relations that must hold whatever the suite asks for */
export function makePlan({ suite, prompts }: LoadedSuite, required: readonly RelationName[] = []): Plan {
  const engine = engines[suite.engine.name];
  const claims = claimsOf(suite, required);
  const passes = Math.max(...claims.map(({ relation }) => relations[relation].passes));
  const together = [prompts.map(({ id }) => id)];
  return {
    suite: { name: suite.name, digest: digestJson({ suite, prompts }) },
    engine,
    args: { ...engine.args, ...suite.engine.args },
    defaults: Object.keys(engine.args).filter((name) => !(name in suite.engine.args)),
    environment: { ...engine.environment, ...suite.engine.env },
    sampling: suite.sampling,
    prompts: prompts.map((input) => ({
      input,
      digest: digestJson({
        prompt: content(input),
        sampling: suite.sampling,
        logprobs: 'raw',
        clock: FROZEN_CLOCK,
      }),
    })),
    lifetimes: [
      {
        lifetime: 'lifetime-1',
        passes: Array.from({ length: passes }, (_, i) => ({ pass: `generate-${i + 1}`, groups: together })),
      },
    ],
    claims,
  };
}

function claimsOf(suite: Suite, required: readonly RelationName[]): Claim[] {
  const claims = new Map<RelationName, Claim>();
  for (const relation of required)
    claims.set(relation, { relation, requirement: relations[relation].requires });
  for (const entry of suite.relations) {
    const relation = typeof entry === 'string' ? entry : entry.name;
    const requirement = typeof entry === 'string' ? relations[relation].requires : entry.require;
    // Looked at but held to nothing, it could not stop an engine that does not repeat from becoming a baseline.
    if (requirement === 'measure' && required.includes(relation)) continue;
    claims.set(relation, { relation, requirement });
  }
  return [...claims.values()];
}

/** The id is a label: renaming a prompt changes no numbers. */
function content(input: PromptInput): unknown {
  return 'text' in input ? { text: input.text } : { messages: input.messages };
}

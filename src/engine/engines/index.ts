import type { Pass } from '../../record/schema.ts';
import { kernels } from './kernels.ts';
import { openai } from './openai.ts';
import { script } from './script.ts';
import type { EngineSpec } from './spec.ts';
import { transformers } from './transformers.ts';
import { vllm } from './vllm.ts';

/** Every engine that a suite can name. */
export const engines: readonly EngineSpec[] = [
  // In the order in which a suite's schema lists them.
  vllm,
  transformers,
  kernels,
  openai,
  script,
];

/** The one of a name that the suite's schema let pass. */
export function engineNamed(name: string): EngineSpec {
  const found = engines.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no engine is called ${name}`);
  return found;
}

/** The deterministic arguments of an engine that is to do these passes. */
export function ownArguments(
  { args, prefixCaching }: Pick<EngineSpec, 'args' | 'prefixCaching'>,
  passes: readonly Pick<Pass, 'arrangement'>[],
): EngineSpec['args'] {
  return passes.some(({ arrangement }) => arrangement === 'warm') ? { ...args, ...prefixCaching } : args;
}

/** The first thing that a verdict stands on, was asked for, and is not in force. */
export function missingFoundation(
  { foundations }: Pick<EngineSpec, 'foundations'>,
  { requested, effective }: Readonly<Record<'requested' | 'effective', Readonly<Record<string, unknown>>>>,
  environment: Readonly<Record<string, string>>,
): string | undefined {
  return foundations.find((one) => one.isAsked(requested, environment) && one.isInForce(effective) === false)
    ?.name;
}

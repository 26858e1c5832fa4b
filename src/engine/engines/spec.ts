import type { ENGINES } from '../../suite/schema.ts';
import { vllm } from './vllm.ts';

/** What the host knows about an engine; its other half is a module of the same name in docker/harness. */
export interface EngineSpec {
  readonly name: (typeof ENGINES)[number];
  /** Arguments that make sampling repeatable. The suite's own win, and the record keeps both. */
  readonly args: Readonly<Record<string, string | number | boolean>>;
  /** Arguments without which its modules cannot be traced. */
  readonly tracing: Readonly<Record<string, string | number | boolean>>;
  /** Environment set before the engine's interpreter starts. The suite's own wins. */
  readonly environment: Readonly<Record<string, string>>;
}

export const engines: Readonly<Record<EngineSpec['name'], EngineSpec>> = { vllm };

import type { BaselineStore } from './baseline/store.ts';
import type { LoadedSuite } from './disk/suite-file.ts';
import type { Runtime } from './engine/runtime.ts';
import type { Tools } from './run.ts';
import type { Settings } from './settings.ts';

export function openStore(_loaded: LoadedSuite, _settings: Settings, _tools: Tools): BaselineStore {
  throw new Error('later');
}
export async function openRuntime(
  _loaded: LoadedSuite,
  _settings: Settings,
  _tools: Tools,
): Promise<Runtime> {
  throw new Error('later');
}
export async function cleanUp(_environment: unknown, _log: (line: string) => void): Promise<void> {}

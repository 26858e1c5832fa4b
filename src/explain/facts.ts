import type { EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import type { Software } from '../fingerprint/software.ts';
import { digestJson } from '../record/digest.ts';
import { smsOf } from './cards.ts';

/** For a reader, whichever file it comes from. */
type Frozen<T> = T extends readonly (infer U)[]
  ? readonly Frozen<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

/** Values that mean that nobody told. */
const UNKNOWN: ReadonlySet<unknown> = new Set(['unknown', undefined, null, '']);
/** Of one case; an image lists some hundred packages. */
const MAX_FACTS = 20_000;

/**
 * An environment as fields that can be compared one by one, in a reader's words. Cards of one machine are one value. What
 * is unknown is left out: it is no value.
 */
export function factsOf(
  { declared, ambient }: Frozen<Fingerprint>,
  settings: Frozen<Pick<EngineSettings, 'requested' | 'effective'>> | undefined,
  software: Software | undefined,
): Map<string, string> {
  const facts = new Map<string, string>();
  const tell = (field: string, value: unknown) => {
    if (UNKNOWN.has(value) || facts.size >= MAX_FACTS) return;
    facts.set(field, typeof value === 'string' ? value : JSON.stringify(value));
  };
  tellGpus(ambient, tell);
  tell('driver', ambient.driver);
  tell('CPU vendor', ambient.cpu.vendor);
  tell('CPU model', ambient.cpu.model);
  tell('CPU level', ambient.cpu.level);
  tell('CPU capability', ambient.cpu.capability);
  tell('CPU cores', ambient.cpu.cores);
  tell('memory', ambient.memoryBytes);
  tell('OS', ambient.os);
  tell('kernel', ambient.kernel);
  tell('runtime', ambient.runtime);
  tell('image', declared.image.digest === 'unknown' ? declared.image.reference : declared.image.digest);
  tell('engine', declared.engine.name);
  tell('engine version', declared.engine.version);
  tell('model', declared.model.label);
  tell('model revision', declared.model.revision);
  if (declared.model.files.length > 0) tell('model files', digestJson(declared.model.files).slice(0, 16));
  for (const { path, sha256 } of declared.program ?? []) tell(`program ${path}`, sha256.slice(0, 16));
  for (const [name, version] of Object.entries(declared.libraries)) tell(`library ${name}`, version);
  for (const [name, value] of Object.entries(declared.environment)) tell(`variable ${name}`, value);
  for (const [name, value] of Object.entries(settings?.requested ?? {})) tell(`argument ${name}`, value);
  for (const [name, value] of Object.entries(settings?.effective ?? {})) {
    // What was asked for, once more, says nothing.
    const asked = settings?.requested[name];
    if (JSON.stringify(asked) !== JSON.stringify(value)) tell(`in force ${name}`, value);
  }
  for (const [part, list] of Object.entries(software ?? {}))
    for (const [name, version] of Object.entries(list))
      if (declared.libraries[name] !== version) tell(`${PARTS[part] ?? part} ${name}`, version);
  return facts;
}

const PARTS: Readonly<Record<string, string>> = { objects: 'object' };

function tellGpus(
  { gpus, topology, driver }: Frozen<Fingerprint>['ambient'],
  tell: (field: string, value: unknown) => void,
) {
  // None is listed, and of a driver nobody told: nobody looked.
  if (gpus.length === 0 && driver === 'unknown') return;
  tell('GPU count', gpus.length);
  if (gpus.length === 0) return;
  const each = (field: string, values: readonly unknown[]) => {
    if (values.some((value) => UNKNOWN.has(value))) return;
    const all = [...new Set(values)];
    tell(field, all.length === 1 ? all[0] : values.join(' + '));
  };
  each(
    'SM count',
    gpus.map(({ smCount, name }) => (smCount === 'unknown' ? smsOf(name) : smCount)),
  );
  each(
    'GPU name',
    gpus.map(({ name }) => name),
  );
  each(
    'compute capability',
    gpus.map(({ computeCapability }) => computeCapability),
  );
  each(
    'GPU memory',
    gpus.map(({ memoryBytes }) =>
      memoryBytes === 'unknown' ? memoryBytes : `${Math.round(memoryBytes / 1024 ** 2)} MiB`,
    ),
  );
  each(
    'GPU vendor',
    gpus.map(({ vendor }) => vendor),
  );
  each(
    'GPU BIOS',
    gpus.map(({ vbios }) => vbios),
  );
  each(
    'MIG slice',
    gpus.map(({ mig }) => mig),
  );
  each(
    'GPU identity',
    gpus.map(({ uuidHash }) => uuidHash),
  );
  tell('GPU links', topology);
}

/** What `factsOf` worked out, instead of being told. */
export const notesOf = ({ ambient: { gpus } }: Frozen<Fingerprint>): string[] =>
  gpus.some(({ smCount, name }) => smCount === 'unknown' && smsOf(name) !== undefined)
    ? ['the SM count follows from the GPU’s name, as NVIDIA publishes it, and was not read on the machine']
    : [];

/** Kinds of fields of which an environment tells all: what it does not name is not there. */
export function wholeOf(source: 'engine' | 'imported', software: Software | undefined): Set<string> {
  const parts = Object.keys(software ?? {}).map((part) => PARTS[part] ?? part);
  // Another program tells what it likes.
  return new Set([...parts, ...(source === 'engine' ? ['argument', 'variable'] : [])]);
}

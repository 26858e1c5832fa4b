import type { Ambient, EngineSettings, Fingerprint } from '../fingerprint/schema.ts';
import type { ImportedEnvironment } from './source.ts';

const UNKNOWN = 'unknown';

/** An environment of which nothing is told. No GPU is listed, and an unknown driver says that nobody looked. */
export const UNKNOWN_AMBIENT: Ambient = {
  gpus: [],
  driver: UNKNOWN,
  cpu: { vendor: UNKNOWN, model: UNKNOWN, level: UNKNOWN, capability: UNKNOWN, cores: UNKNOWN },
  memoryBytes: UNKNOWN,
  os: UNKNOWN,
  kernel: UNKNOWN,
  runtime: 'process',
};

export const UNKNOWN_FINGERPRINT: Fingerprint = {
  declared: {
    image: { reference: UNKNOWN, digest: UNKNOWN, certainty: 'unknown' },
    engine: { name: UNKNOWN, version: UNKNOWN },
    libraries: {},
    model: { label: UNKNOWN, revision: UNKNOWN, files: [] },
    environment: {},
  },
  ambient: UNKNOWN_AMBIENT,
};

export const NO_SETTINGS: EngineSettings = { requested: {}, dropped: [], effective: {} };

export const UNKNOWN_ENVIRONMENT: ImportedEnvironment = {
  fingerprint: UNKNOWN_FINGERPRINT,
  settings: NO_SETTINGS,
  software: undefined,
};

/** One environment with what only the other tells: what a run says of itself counts more than what lies beside it. */
export function completed(own: ImportedEnvironment, other: ImportedEnvironment): ImportedEnvironment {
  const [{ declared, ambient }, beside] = [own.fingerprint, other.fingerprint];
  const either = (a: string, b: string) => (a === UNKNOWN ? b : a);
  const number = (a: number | 'unknown', b: number | 'unknown') => (a === UNKNOWN ? b : a);
  const { image, engine, model } = beside.declared;
  return {
    fingerprint: {
      declared: {
        image: declared.image.reference === UNKNOWN ? image : declared.image,
        engine: {
          name: either(declared.engine.name, engine.name),
          version: either(declared.engine.version, engine.version),
        },
        libraries: { ...beside.declared.libraries, ...declared.libraries },
        model: declared.model.label === UNKNOWN ? model : declared.model,
        environment: { ...beside.declared.environment, ...declared.environment },
      },
      ambient: {
        ...ambient,
        ...gpusOf(ambient, beside.ambient),
        driver: either(ambient.driver, beside.ambient.driver),
        cpu: {
          vendor: either(ambient.cpu.vendor, beside.ambient.cpu.vendor),
          model: either(ambient.cpu.model, beside.ambient.cpu.model),
          level: either(ambient.cpu.level, beside.ambient.cpu.level),
          capability: either(ambient.cpu.capability, beside.ambient.cpu.capability),
          cores: number(ambient.cpu.cores, beside.ambient.cpu.cores),
        },
        memoryBytes: number(ambient.memoryBytes, beside.ambient.memoryBytes),
        os: either(ambient.os, beside.ambient.os),
        kernel: either(ambient.kernel, beside.ambient.kernel),
      },
    },
    settings: {
      requested: { ...other.settings.requested, ...own.settings.requested },
      dropped: [],
      effective: { ...other.settings.effective, ...own.settings.effective },
    },
    software:
      own.software === undefined && other.software === undefined
        ? undefined
        : { ...other.software, ...own.software },
  };
}

/** Cards of one list, and of as many in the other what the first does not say. */
function gpusOf(own: Ambient, beside: Ambient): Partial<Ambient> {
  const gpus =
    own.gpus.length === 0
      ? beside.gpus
      : own.gpus.length !== beside.gpus.length
        ? own.gpus
        : own.gpus.map((gpu, at) => {
            const other = beside.gpus[at];
            if (other === undefined) return gpu;
            const told = Object.fromEntries(Object.entries(gpu).filter(([, value]) => value !== UNKNOWN));
            return { ...gpu, ...other, ...told };
          });
  const topology = own.topology ?? beside.topology;
  return { gpus, ...(topology === undefined ? {} : { topology }) };
}

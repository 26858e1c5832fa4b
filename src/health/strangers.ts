import type { HealthReading } from './schema.ts';

/** A process that computes on a GPU of this machine, as the machine itself tells it. */
export interface Stranger {
  /** Hash of the card's UUID, as in the fingerprint. */
  readonly card: string;
  readonly pid: number;
  readonly name: string;
  /** Of the GPU's memory. */
  readonly mib: number | null;
}

const MAX_PROCESSES = 32;

/**
 * What an engine's own container tells of the cards that it uses, with what this machine told just before it was started: the
 * numbers of other containers' processes are hidden in there. On a card in slices another slice's are nobody's business.
 */
export function withStrangers(reading: HealthReading, strangers: readonly Stranger[]): HealthReading {
  if (reading.at !== 'before' || strangers.length === 0) return reading;
  return {
    ...reading,
    gpus: reading.gpus.map((gpu) => {
      const known = new Set(gpu.processes.map(({ pid }) => pid));
      const others = strangers
        .filter(({ card, pid }) => card === gpu.uuidHash && !known.has(pid) && !isSliced(gpu))
        .map(({ pid, name, mib }) => ({ pid, name, mib, whose: 'other' as const }));
      return { ...gpu, processes: [...gpu.processes, ...others].slice(0, MAX_PROCESSES) };
    }),
  };
}

const isSliced = ({ migMode }: HealthReading['gpus'][number]) => /^enabled$/i.test(migMode ?? '');

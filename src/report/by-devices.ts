import { byDevices, type Ran } from '../compare/by-devices.ts';
import type { RunRecord } from '../record/schema.ts';
import type { Notice } from './schema.ts';

/** Where lifetimes ran side by side: which of the cards gives other bits than its twins. */
export function disagreeing(record: Pick<RunRecord, 'lifetimes' | 'observations'>): Notice[] {
  const found = byDevices(record);
  switch (found?.kind) {
    case undefined:
      return [];
    case 'one-disagrees':
      return [
        {
          level: 'warning',
          title: `Suspect ${found.suspect.name}`,
          message: `${ran([found.suspect])} gave other bits than ${ran(found.others)}, which all gave the same${found.agreeing.length === 0 ? '' : `, as did ${joined(found.agreeing)} on it`}. ${testIt(found.suspect)}`,
        },
      ];
    case 'each-its-own':
      return [
        {
          level: 'warning',
          title: 'Other devices, other bits',
          message: `${found.all.map((one) => ran([one])).join(' gave other bits than ')}, and each repeats itself. One of them may be faulty, or what is computed depends on which it is: a third tells.`,
        },
      ];
  }
}

/** A class says how many GPUs there are: of those that nothing computes on it says too much. */
export function idleGpus({ fingerprint, lifetimes }: Pick<RunRecord, 'fingerprint' | 'lifetimes'>): Notice[] {
  const gpus = fingerprint.ambient.gpus.length;
  const ranks = lifetimes[0]?.settings.effective['ranks'];
  if (typeof ranks !== 'number' || ranks >= gpus) return [];
  return [
    {
      level: 'warning',
      title: 'GPUs that nothing computes on',
      message: `The engine computes in ${ranks === 1 ? 'one process' : `${ranks} processes`}, and the suite gives it ${gpus} GPUs (\`runtime.gpus\`), by which its baselines are kept. Ask for as many as its arguments use, or let it use them all.`,
    },
  ];
}

/** `lifetime-2 on GPU 1`, `lifetime-1 on GPU 0 and lifetime-3 on GPU 2`. */
const ran = (places: readonly Ran[]) =>
  joined(places.map(({ name, lifetimes }) => `${joined(lifetimes)} on ${name}`));

const joined = (words: readonly string[]) =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;

const testIt = ({ name }: Ran) =>
  name.startsWith('GPU')
    ? 'Let it compute alone (`gpu-devices`): if it gives others again, take it out of service and have it tested (`dcgmi diag -r 3`).'
    : 'Let them compute alone (`cpu-sets`): if they give others again, take the machine out of service and have it tested.';

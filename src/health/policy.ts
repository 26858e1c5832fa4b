import { some } from '../counted.ts';
import { LEVELS } from './names.ts';
import type { GpuHealth, HealthReading, HealthView, RecordedHealth, Sign } from './schema.ts';

/*
 * What the signs of a GPU mean: the only place that decides it. Pure, so that `verify` decides it anew from the record.
 */

/** What one reading shows of a sign. `reason` goes on after the GPU's name. */
interface Seen {
  readonly gpu: GpuHealth | null;
  readonly reason: string;
}

/** @param first each card as it was seen first in the run, which later readings are held against */
type Look = (reading: HealthReading, first: HealthReading) => readonly Seen[];

export interface Row {
  readonly sign: string;
  /** `unhealthy`: the run counts for nothing. `warning`: no baseline is made of it. `note`: it is told. `fact`: kept. */
  readonly level: Sign['level'];
  /** What is looked for, in words for the docs. */
  readonly what: string;
  readonly remedy: string;
  readonly look: Look;
}

const each =
  (reason: (gpu: GpuHealth, reading: HealthReading, first: HealthReading) => string | false): Look =>
  (reading, first) =>
    reading.gpus.flatMap((gpu) => {
      const why = reason(gpu, reading, first);
      return why === false ? [] : [{ gpu, reason: why }];
    });

/** In a container each card is GPU 0: engine starts side by side have others. */
const cardOf = ({ uuidHash, pci, index }: GpuHealth) => uuidHash ?? pci ?? String(index);

const gpuOf = ({ gpus }: HealthReading, index: number) => gpus.find((gpu) => gpu.index === index) ?? null;

const RESET = 'Stop what uses it and reset it (`nvidia-smi --gpu-reset`), or reboot the runner.';
const REPLACE = 'Take the runner out of service and have the GPU tested: this does not mend itself.';

/** Errors of the program that ran, not of the GPU (NVIDIA's list of Xids): the run failed of them by itself. */
const APPLICATION_XIDS: readonly number[] = [13, 31, 43, 45, 68, 109];

/** What a driver takes for itself, and a desktop, is less; an engine takes more. */
const MAX_IDLE_MIB = 2048;

const isSet = (value: string | null) => value !== null && value.toLowerCase() !== 'none';

export const POLICY: readonly Row[] = [
  {
    sign: 'lost',
    level: 'unhealthy',
    what: 'the GPU has fallen off the bus (`GPU is lost`, exit code 15)',
    remedy:
      'Reboot the runner. If it comes again, take it out of service: power, riser and card are suspects.',
    look: each((gpu) => gpu.lost && 'has fallen off the bus'),
  },
  {
    sign: 'recovery-action',
    level: 'unhealthy',
    what: 'the driver asks for a recovery action, or says `GPU requires reset`',
    remedy: RESET,
    look: each((gpu) =>
      gpu.needsReset
        ? 'must be reset, says its driver'
        : isSet(gpu.recoveryAction) && `waits for a recovery action: ${gpu.recoveryAction}`,
    ),
  },
  {
    sign: 'uncorrected-ecc',
    level: 'unhealthy',
    what: 'memory errors that could not be corrected since the driver was loaded, before the run or during it',
    remedy: RESET,
    look: each(
      ({ eccUncorrected: errors }) =>
        (errors ?? 0) > 0 &&
        `had ${errors} memory ${errors === 1 ? 'error' : 'errors'} that could not be corrected`,
    ),
  },
  {
    sign: 'row-remap-failure',
    level: 'unhealthy',
    what: 'a bad row of memory could not be replaced by a spare one',
    remedy: REPLACE,
    look: each((gpu) => gpu.remapFailure === true && 'could not replace a bad row of its memory'),
  },
  {
    sign: 'unrepairable-memory',
    level: 'unhealthy',
    what: 'memory that cannot be repaired',
    remedy: REPLACE,
    look: each((gpu) => gpu.unrepairable === true && 'has memory that cannot be repaired'),
  },
  {
    sign: 'sram-threshold',
    level: 'unhealthy',
    what: 'more uncorrected SRAM errors than the vendor allows in a card’s life',
    remedy: REPLACE,
    look: each(
      (gpu) => gpu.sramThresholdExceeded === true && 'has had more SRAM errors than its vendor allows',
    ),
  },
  {
    sign: 'inforom',
    level: 'unhealthy',
    what: 'the checksum of the infoROM is wrong, or nvidia-smi ends with exit code 14',
    remedy: REPLACE,
    look: (reading) => {
      const bad = reading.gpus.filter(({ infoRom }) => infoRom !== null && !/^valid$/i.test(infoRom));
      const reason = 'has a corrupt infoROM: its counters of errors cannot be believed';
      return bad.length === 0 && reading.exit === 14
        ? [{ gpu: null, reason: `A GPU ${reason}` }]
        : bad.map((gpu) => ({ gpu, reason }));
    },
  },
  {
    sign: 'ecc-mode-pending',
    level: 'unhealthy',
    what: 'ECC is to be switched at the next reset',
    remedy: RESET,
    look: each(
      ({ eccMode, eccPending }) =>
        eccMode !== null &&
        eccPending !== null &&
        eccMode !== eccPending &&
        `has ECC ${eccMode}, and ${eccPending} is pending: the next reset changes it`,
    ),
  },
  {
    sign: 'mig-pending',
    level: 'unhealthy',
    what: 'MIG is to be switched at the next reset',
    remedy: RESET,
    look: each(
      ({ migMode, migPending }) =>
        migMode !== null &&
        migPending !== null &&
        migMode !== migPending &&
        `has MIG ${migMode}, and ${migPending} is pending: the next reset changes it`,
    ),
  },
  {
    sign: 'compute-prohibited',
    level: 'unhealthy',
    what: 'compute mode `Prohibited`',
    remedy: 'Allow it: `nvidia-smi --compute-mode=DEFAULT`.',
    look: each(
      (gpu) =>
        /^prohibited$/i.test(gpu.computeMode ?? '') && 'lets nothing compute (compute mode Prohibited)',
    ),
  },
  {
    sign: 'foreign-process',
    level: 'unhealthy',
    what: 'another process computes on the GPU, before the run or after it',
    remedy:
      'End it, or give this job a GPU of its own: who shares one is slower, and may be given other kernels.',
    look: each(({ processes }) => {
      const others = processes.filter(({ whose }) => whose === 'other');
      const named = others.map(
        ({ pid, name, mib }) => `${name} (process ${pid}${mib === null ? '' : `, ${mib} MiB`})`,
      );
      return others.length > 0 && `is used by ${listed(named)}`;
    }),
  },
  {
    sign: 'self-test',
    level: 'unhealthy',
    what: 'one product and its sums, repeated for a second, gave other bits',
    remedy: REPLACE,
    look: (reading) =>
      (reading.selfTest?.gpus ?? [])
        .filter(({ distinct }) => distinct > 1)
        .map(({ gpu, distinct }) => ({
          gpu: gpuOf(reading, gpu),
          reason: `${gpuOf(reading, gpu) === null ? `GPU ${gpu} ` : ''}does not repeat itself: ${distinct} different results in ${reading.selfTest?.rounds ?? 0} rounds of one product and its sums`,
        })),
  },
  {
    sign: 'xid',
    level: 'unhealthy',
    what: `an Xid in the kernel’s log during the run, but for those of programs (${APPLICATION_XIDS.join(', ')})`,
    remedy: 'See `dmesg` for its text and NVIDIA’s list of Xids for what it asks; a reset at least.',
    look: xids(true),
  },
  {
    sign: 'earlier-xid',
    level: 'warning',
    what: 'such an Xid in the kernel’s log from before the run',
    remedy: 'See `dmesg`; once the GPU was reset, a reboot clears the log.',
    look: xids(false),
  },
  {
    sign: 'row-remap-pending',
    level: 'warning',
    what: 'a bad row of memory is replaced at the next reset',
    remedy: RESET,
    look: each((gpu) => gpu.remapPending === true && 'replaces a bad row of its memory at the next reset'),
  },
  {
    sign: 'page-retirement-pending',
    level: 'warning',
    what: 'a bad page of memory is retired at the next reset',
    remedy: RESET,
    look: each((gpu) => gpu.retiredPending === true && 'retires a bad page of its memory at the next reset'),
  },
  {
    sign: 'repair-pending',
    level: 'warning',
    what: 'a channel of memory or a group of SMs is repaired at the next reset',
    remedy: RESET,
    look: each((gpu) => gpu.repairPending === true && 'is repaired at the next reset'),
  },
  {
    sign: 'hardware-slowdown',
    level: 'warning',
    what: 'the hardware slows its clocks (`hw_slowdown`)',
    remedy: 'Look at its cooling and power: `nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER`.',
    look: each((gpu) => gpu.throttle.includes('hw_slowdown') && `is slowed by its hardware${warmth(gpu)}`),
  },
  {
    sign: 'power-brake',
    level: 'warning',
    what: 'the machine’s power supply slows it (`hw_power_brake_slowdown`)',
    remedy: 'Look at the power supply of the runner.',
    look: each(
      (gpu) => gpu.throttle.includes('hw_power_brake_slowdown') && 'is slowed by the machine’s power supply',
    ),
  },
  {
    sign: 'thermal-slowdown',
    level: 'note',
    what: 'heat slows its clocks',
    remedy: 'Look at its cooling. Clocks change no bits by themselves; autotuning may.',
    look: each(
      (gpu) =>
        gpu.throttle.some((one) => /^[hs]w_thermal_slowdown$/.test(one)) && `is slowed by heat${warmth(gpu)}`,
    ),
  },
  {
    sign: 'power-cap',
    level: 'fact',
    what: 'its power limit slows its clocks',
    remedy: 'Nothing to do: clocks change no bits by themselves; autotuning may.',
    look: each((gpu) => gpu.throttle.includes('sw_power_cap') && 'runs at its power limit'),
  },
  {
    sign: 'corrected-ecc',
    level: 'note',
    what: 'corrected memory errors that rise during the run',
    remedy: 'Nothing to do as long as they are few: they were corrected.',
    look: each((gpu, _, first) => {
      const before = first.gpus.find((one) => cardOf(one) === cardOf(gpu))?.eccCorrected ?? null;
      const more = before === null || gpu.eccCorrected === null ? 0 : gpu.eccCorrected - before;
      return more > 0 && `corrected ${more} memory ${more === 1 ? 'error' : 'errors'} during the run`;
    }),
  },
  {
    sign: 'past-ecc',
    level: 'fact',
    what: 'uncorrected memory errors in the card’s life, none since the driver was loaded',
    remedy: 'Nothing to do while none are added.',
    look: each(
      ({ eccUncorrected, eccUncorrectedEver: ever }) =>
        eccUncorrected === 0 &&
        (ever ?? 0) > 0 &&
        `had ${ever} memory ${ever === 1 ? 'error' : 'errors'} that could not be corrected, before its driver was loaded`,
    ),
  },
  {
    sign: 'partly-told',
    level: 'fact',
    what: 'signs that this GPU or driver does not tell, such as ECC of a GeForce, a MIG slice or a vGPU',
    remedy: 'Nothing to do: what it does not tell was not looked at.',
    look: each((gpu) => {
      const untold = untoldOf(gpu);
      return !gpu.lost && !isMute(gpu) && untold.length > 0 && `does not tell ${untold.join(', ')}`;
    }),
  },
  {
    sign: 'not-understood',
    level: 'note',
    what: 'values in words that are not known here, such as another language’s',
    remedy: 'See `nvidia-smi -q`: what is not understood was not looked at.',
    look: each(
      ({ lost, strange }) =>
        !lost && strange.length > 0 && `tells ${strange.join(', ')} in words that are not known here`,
    ),
  },
  {
    sign: 'self-test-not-done',
    level: 'note',
    what: 'the self-test could not be done',
    remedy: 'See why: a GPU without free memory cannot be tested.',
    look: ({ selfTest }) =>
      typeof selfTest?.why === 'string'
        ? [{ gpu: null, reason: `Whether the GPUs repeat themselves could not be tested: ${selfTest.why}` }]
        : [],
  },
  {
    sign: 'exit-code',
    level: 'note',
    what: 'a whole answer, and an exit code that is none of 0, 14 and 15',
    remedy: 'See `nvidia-smi -q` on the runner, and what its manual says of the code.',
    look: ({ state, why }) =>
      state === 'read' && why !== null ? [{ gpu: null, reason: `Its answer is whole, but ${why}` }] : [],
  },
  {
    sign: 'memory-in-use',
    level: 'note',
    what: `more than ${MAX_IDLE_MIB} MiB of its memory in use before the run, and no process is shown: another container’s, or the system’s own where it uses a card’s memory`,
    remedy:
      'Look on the runner itself who uses it (`nvidia-smi`): another container’s process is not shown in this one. Give this job a GPU of its own.',
    look: (reading) =>
      reading.at !== 'before'
        ? []
        : reading.gpus
            .filter(({ unnamedMib }) => (unnamedMib ?? 0) > MAX_IDLE_MIB)
            .map((gpu) => ({
              gpu,
              reason: `has ${gpu.unnamedMib} MiB of its memory in use before the run, and shows no process`,
            })),
  },
  {
    sign: 'unclear-process',
    level: 'note',
    what: 'after the run, in a container, a process that may be the engine itself',
    remedy: 'Nothing to do if this job has the GPU for itself.',
    look: each(({ processes }) => {
      const unclear = processes.filter(({ whose }) => whose === 'unclear');
      return (
        unclear.length > 0 &&
        `is used by ${listed(unclear.map(({ name }) => name))}, which may be the engine: from inside of a container nobody can tell`
      );
    }),
  },
  {
    sign: 'unreadable',
    level: 'note',
    what: 'the GPUs cannot be asked: no nvidia-smi, no answer in time, exit codes 3 to 13, an answer cut short',
    remedy: 'See `nvidia-smi -q` on the runner; in a container, the NVIDIA runtime brings it.',
    look: (reading) => [
      ...(reading.state === 'unreadable'
        ? [{ gpu: null, reason: `Nobody knows how the GPUs are: ${reading.why ?? 'they tell nothing'}` }]
        : []),
      ...reading.gpus.filter(isMute).map((gpu) => ({ gpu, reason: 'tells nothing of its health' })),
    ],
  },
];

function xids(during: boolean): Look {
  return (reading) => {
    const found = (reading.xids ?? []).filter(
      (one) => one.during === during && !APPLICATION_XIDS.includes(one.xid),
    );
    return [...Map.groupBy(found, ({ gpu }) => gpu)].map(([gpu, of]) => ({
      gpu: gpuOf(reading, gpu),
      reason: `had Xid ${of.map(({ xid }) => xid).join(', ')} ${during ? 'during the run' : 'before the run'}`,
    }));
  };
}

const warmth = ({ temperature }: GpuHealth) => (temperature === null ? '' : ` at ${temperature} °C`);

const MAX_LISTED = 5;
const listed = (names: readonly string[]) => some(names, MAX_LISTED);

function untoldOf({ recoveryAction, eccUncorrected, remapFailure, retiredPending }: GpuHealth): string[] {
  return [
    ...(recoveryAction === null ? ['its recovery action'] : []),
    ...(eccUncorrected === null ? ['memory errors'] : []),
    // A card has one of the two ways to deal with bad memory.
    ...(remapFailure === null && retiredPending === null ? ['replaced memory'] : []),
  ];
}

/** Whether it tells not a single sign of a fault. */
const isMute = ({
  lost,
  needsReset,
  recoveryAction,
  eccUncorrected,
  remapFailure,
  retiredPending,
}: GpuHealth) =>
  !lost &&
  !needsReset &&
  recoveryAction === null &&
  eccUncorrected === null &&
  remapFailure === null &&
  retiredPending === null;

/** What the readings of a run come to. Each sign is told once a GPU, as it was seen first. */
export function assess(readings: readonly RecordedHealth[]): HealthView {
  const signs = new Map<string, Sign>();
  const cards = new Map<string, GpuHealth>();
  for (const gpu of readings.flatMap(({ gpus }) => gpus))
    if (!cards.has(cardOf(gpu))) cards.set(cardOf(gpu), gpu);
  for (const reading of readings) {
    const first = { ...reading, gpus: [...cards.values()] };
    for (const { sign, level, remedy, look } of POLICY)
      for (const { gpu, reason } of look(reading, first)) {
        const key = `${sign} ${gpu === null ? '' : cardOf(gpu)}`;
        if (signs.has(key)) continue;
        signs.set(key, {
          ...{ sign, level, remedy },
          gpu: gpu === null ? null : nameOf(gpu, cards.values()),
          reason: reason.slice(0, 2048),
          seen: `${reading.at} ${reading.lifetime}`,
        });
      }
  }
  const found = [...signs.values()].sort((a, b) => LEVELS.indexOf(a.level) - LEVELS.indexOf(b.level));
  return { state: stateOf(readings, found), signs: found };
}

/** With its place in the machine where another card of the run has the same number. */
function nameOf(gpu: GpuHealth, cards: Iterable<GpuHealth>): string {
  const alike = [...cards].filter(({ index }) => index === gpu.index).length;
  return `GPU ${gpu.index} (${gpu.name}${alike > 1 ? `, ${gpu.pci ?? gpu.uuidHash ?? 'unknown'}` : ''})`;
}

function stateOf(readings: readonly HealthReading[], signs: readonly Sign[]): HealthView['state'] {
  if (signs.some(({ level }) => level === 'unhealthy')) return 'unhealthy';
  if (signs.some(({ level }) => level === 'warning')) return 'warning';
  if (signs.some(({ sign }) => sign === 'unreadable')) return 'unreadable';
  return readings.some(({ state }) => state === 'read') ? 'healthy' : 'no-gpu';
}

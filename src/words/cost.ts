import { counted } from '../counted.ts';
import type { Report } from '../report/schema.ts';

/** A table of it: what each engine start took, in seconds. */
export const COST_HEADS = [
  'engine start',
  'open',
  'import',
  'load',
  'of it warm-up',
  'passes',
  'end',
] as const;

export function costRows({ starts = [] }: Report['work']): string[][] {
  return starts.map(
    ({ lifetime, how, on, phases: { open, import: imported, load, warmUp, passes, end } }) => [
      `${lifetime}, ${how}${on === undefined ? '' : `, on ${on}`}`,
      ...[open, imported, load].map(seconds),
      warmUp === undefined ? 'not told' : seconds(warmUp),
      ...[passes, end].map(seconds),
    ],
  );
}

/** One line; empty where nothing is known. */
export function costLine({ starts = [] }: Report['work']): string {
  if (starts.length === 0) return '';
  const sum = (name: 'open' | 'import' | 'load' | 'passes' | 'end') =>
    starts.reduce((all, { phases }) => all + phases[name], 0);
  const [warm, kept] = (['warm', 'kept'] as const).map(
    (how) => starts.filter((one) => one.how === how).length,
  );
  const parts = (['open', 'import', 'load', 'passes', 'end'] as const).map(
    (name) => `${name} ${seconds(sum(name))} s`,
  );
  const told = [
    counted(starts.length, 'engine start'),
    ...(warm === 0 ? [] : [`${warm} of them warm`]),
    ...(kept === 0 ? [] : [`${kept} of them kept from the run before`]),
  ];
  return `What this cost: ${told.join(', ')}: ${parts.join(', ')}`;
}

const seconds = (value: number) => value.toFixed(1);

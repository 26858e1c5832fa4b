import { splitWords } from './serve.ts';

/** A command of the runner's that takes an engine elsewhere, and what there is to start. */
export interface Launch {
  /** The far side's command is put to its end. */
  readonly argv: readonly string[];
  /** On PATH there, or a path. */
  readonly python: string;
  /** Folder of the model there; undefined where the suite's own path is the same there, or there is none. */
  readonly model: string | undefined;
}

type Read = { readonly ok: readonly string[] } | { readonly problem: string };

/**
 * What OpenSSH's client is always given, before whatever else it is told: of each option it takes the first. Nobody is there to
 * be asked, a host counts by its known key alone, and a line that is dead is noticed within a minute.
 */
const OF_SSH = {
  BatchMode: 'yes',
  StrictHostKeyChecking: 'yes',
  ServerAliveInterval: '15',
  ServerAliveCountMax: '4',
} as const;

/** As words of its command line. */
export const SSH_OPTIONS: readonly string[] = Object.entries(OF_SSH).flatMap(([name, value]) => [
  '-o',
  `${name}=${value}`,
]);

const HELD: ReadonlyMap<string, readonly [name: string, why: string]> = new Map([
  [
    'stricthostkeychecking',
    ['StrictHostKeyChecking', 'without it anybody can stand in for the far side, and say what it computed'],
  ],
  ['batchmode', ['BatchMode', 'nobody is there to type a password']],
]);

/**
 * Cuts a launcher into the words of a command, as a shell would, without one.
 *
 * @returns the command that is started, to whose end the far side's is put; or why it is none
 */
export function readLauncher(source: string): Read {
  const split = splitWords(source);
  if ('problem' in split) return split;
  const [program, ...rest] = split.ok;
  if (program === undefined || program === '') return { problem: 'it is empty' };
  if (program.startsWith('-')) return { problem: `\`${program}\` is no program` };
  if (program.slice(program.lastIndexOf('/') + 1) !== 'ssh') return split;
  for (const [name, value] of optionsOf(rest)) {
    const held = HELD.get(name.toLowerCase());
    if (held !== undefined && value.toLowerCase() !== 'yes')
      return { problem: `\`${held[0]}=${value}\` is refused: ${held[1]}` };
  }
  return {
    ok: [program, ...SSH_OPTIONS, ...rest],
  };
}

/** Of `-o Name=value`, `-oName=value` and `-o "Name value"`. */
function optionsOf(words: readonly string[]): (readonly [name: string, value: string])[] {
  return words.flatMap((word, at) => {
    const option = word === '-o' ? words[at + 1] : word.startsWith('-o') ? word.slice(2) : undefined;
    const [, name, value] = /^\s*(\w+)(?:\s*=\s*|\s+)"?([^"]*)"?$/.exec(option ?? '') ?? [];
    return name === undefined || value === undefined ? [] : [[name, value.trim()] as const];
  });
}

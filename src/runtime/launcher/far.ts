import {
  cachesBelow,
  ENGINE_ENVIRONMENT,
  INHERITED,
  INHERITED_PREFIXES,
  ownFolder,
  SECRET,
  socketsIn,
} from '../environment.ts';
import { quoted } from '../quoted.ts';

/** What docker/harness/far.py is told. */
export interface Far {
  /** Before all that it says to this side: nobody else knows it. */
  readonly mark: string;
  readonly gpus: 'none' | number;
  /** UUIDs or indices there; empty: those that a scheduler gave, else the first ones. */
  readonly devices: readonly string[];
  /** A program of ours that reaches the network, and no engine: it has the home of whoever the launcher comes as. */
  readonly isEngine: boolean;
}

/** What a program that reaches the network is told there. */
const NETWORK = [
  ...['http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'].flatMap((name) => [name, name.toUpperCase()]),
  ...['SSL_CERT_FILE', 'SSL_CERT_DIR', 'XDG_CACHE_HOME'],
];

/** How a program ended there, by the word of what kept it. */
export interface Ended {
  readonly code: number;
  /** e.g. `SIGKILL`; null where none ended it. */
  readonly signal: string | null;
}

/**
 * The lines for `sh` that start a program on the far side. They come over stdin, since the words behind a launcher are read
 * once, twice or never by a shell on their way, and a bare `sh` is the same by all of them.
 *
 * @param python its name on PATH there, or a path
 * @param keeper text of docker/harness/far.py
 * @param program of the Python that it starts
 */
export function farScript(
  { mark, gpus, devices, isEngine }: Far,
  python: string,
  keeper: string,
  program: string,
): string {
  const settings = {
    ...{ mark, gpus, devices },
    names: isEngine ? [...INHERITED] : [...INHERITED, ...NETWORK],
    prefixes: INHERITED_PREFIXES,
    secret: SECRET.source,
    // Paths below the folder that is made there.
    below: isEngine ? { ...cachesBelow(''), ...ownFolder(''), ...socketsIn(''), HOME: '' } : {},
    environment: isEngine ? ENGINE_ENVIRONMENT : {},
  };
  const name = quoted(python);
  return [
    `command -v ${name} >/dev/null 2>&1 || { printf '\\n%s\\n' ${quoted(`${mark} ended 127 -`)} >&2; exit 127; }`,
    `exec ${name} -c ${[keeper, JSON.stringify(settings), program].map(quoted).join(' ')}`,
    '',
  ].join('\n');
}

/** What a line of the far side's stderr says to this side; undefined for one that it does not. */
export function heard(line: string, mark: string): 'begun' | Ended | undefined {
  if (!line.startsWith(`${mark} `)) return undefined;
  const said = line.slice(mark.length + 1).trim();
  if (said === 'begun') return said;
  const [, code, signal] = /^ended (\d{1,3}) (-|SIG\w{1,16})$/.exec(said) ?? [];
  return code === undefined || signal === undefined
    ? undefined
    : { code: Number(code), signal: signal === '-' ? null : signal };
}

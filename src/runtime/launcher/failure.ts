import type { Lost } from '../../engine/runtime.ts';

/** Why a launcher started nothing: by what OpenSSH, kubectl and Docker say, in this order. */
const SAID: readonly (Omit<Lost, 'message'> & { readonly says: RegExp; readonly what: string })[] = [
  {
    says: /host key verification failed|remote host identification has changed|no \S+ host key is known|host key .* (?:has changed|not known)|certificate signed by unknown authority|x509:/i,
    code: 'launcher-untrusted',
    what: 'The far side is not known to be who it says',
    hint: 'Put its key into the runner’s `known_hosts` (or its authority into the launcher’s configuration), by a way that nobody on the network can change: `ssh-keyscan` alone believes whoever answers.',
  },
  {
    says: /permission denied|too many authentication failures|unauthorized|forbidden|must be logged in|authentication required|access denied/i,
    code: 'launcher-refused',
    what: 'The far side did not let this runner in',
    hint: 'Nobody is there to type a password: give the runner’s user a key, an agent (SSH_AUTH_SOCK) or a token of the launcher’s own, and try the same command there by hand.',
  },
  {
    says: /could not resolve hostname|name or service not known|connection refused|connection timed out|operation timed out|no route to host|network is unreachable|connection (?:closed|reset) by|kex_exchange_identification|unable to connect|cannot connect to|i\/o timeout|no such host/i,
    code: 'launcher-unreachable',
    what: 'The far side cannot be reached',
    hint: 'Check its name and the network, and try the same command on the runner by hand.',
  },
];

/** Of one that ended before anything ran on the far side. @param said its last lines */
export function failureOf(launcher: string, how: string, said: readonly string[]): Lost {
  for (const line of said) {
    const known = SAID.find(({ says }) => says.test(line));
    if (known !== undefined)
      return { code: known.code, message: `${known.what}: \`${launcher}\` ended ${how}.`, hint: known.hint };
  }
  return {
    code: 'launcher-failed',
    message: `Nothing ran on the far side: \`${launcher}\` ended ${how} before.`,
    hint: 'The lines are the launcher’s own. It is given one word more, `sh`, whose stdin, stdout and stderr must be its own, without a terminal; try it on the runner by hand: `echo "echo hello" | LAUNCHER sh`.',
  };
}

/** Of one that ended while something ran there. */
export const cutOff = (launcher: string, how: string): Lost => ({
  code: 'launcher-lost',
  message: `The line to the far side broke in the middle of its work: \`${launcher}\` ended ${how}, and the far side had not said that it is done.`,
  hint: 'Run again: nothing of this engine start is used. What ran there ends by itself within some seconds after its stdin has ended; where the network takes that along, at its deadline (`timeout-minutes`).',
});

/** A launcher that is not there. */
export const missing = (launcher: string, code: string | undefined): Lost => ({
  code: 'launcher-missing',
  message:
    code === 'ENOENT'
      ? `There is no program called \`${launcher}\` on this runner.`
      : `The launcher \`${launcher}\` could not be started: ${code ?? 'unknown reason'}.`,
  hint: 'Install it on the runner, or give its absolute path in `launcher`.',
});

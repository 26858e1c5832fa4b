import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Environment } from '../options.ts';
import { configFolder } from './daemon.ts';

/** What Docker's API takes as `X-Registry-Auth`. */
export type Credentials =
  | { readonly serveraddress: string; readonly username: string; readonly password: string }
  | { readonly serveraddress: string; readonly identitytoken: string };

/** Under this key the Docker client keeps the credentials of Docker Hub. */
const DOCKER_HUB = 'https://index.docker.io/v1/';

const Config = z.object({
  auths: z
    .record(
      z.string(),
      z.object({
        auth: z.string().optional(),
        username: z.string().optional(),
        password: z.string().optional(),
        identitytoken: z.string().optional(),
      }),
    )
    .optional(),
  credHelpers: z.record(z.string(), z.string()).optional(),
  credsStore: z.string().optional(),
});
type Config = z.infer<typeof Config>;

const HelperAnswer = z.object({ Username: z.string(), Secret: z.string() });

/**
 * What `docker login` left for a registry, read as the Docker client reads it: a helper for this registry, else
 * the store of all, else the file itself. Undefined where there is nothing, or it cannot be had.
 */
export async function credentialsFor(
  registry: string,
  environment: Environment,
  log: (line: string) => void,
): Promise<Credentials | undefined> {
  const path = join(configFolder(environment), 'config.json');
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const config = parse(text);
  if (config === undefined) {
    log(`${path} is not the configuration of a Docker client: it is not used.`);
    return undefined;
  }
  const server = registry === 'docker.io' ? DOCKER_HUB : registry;
  const helper = config.credHelpers?.[server] ?? config.credHelpers?.[registry] ?? config.credsStore;
  const fromHelper = helper ? await askHelper(helper, server, environment, log) : undefined;
  return fromHelper ?? fromFile(config, server);
}

function parse(text: string): Config | undefined {
  try {
    return Config.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

function fromFile({ auths }: Config, server: string): Credentials | undefined {
  const host = hostOf(server);
  const entry = auths?.[server] ?? Object.entries(auths ?? {}).find(([key]) => hostOf(key) === host)?.[1];
  if (entry === undefined) return undefined;
  if (entry.identitytoken) return { serveraddress: server, identitytoken: entry.identitytoken };
  const pair = entry.auth ? Buffer.from(entry.auth, 'base64').toString('utf8') : '';
  const colon = pair.indexOf(':');
  const username = entry.username ?? pair.slice(0, Math.max(colon, 0));
  const password = entry.password ?? pair.slice(colon + 1);
  return username === '' ? undefined : { serveraddress: server, username, password };
}

/** Old clients wrote keys as URLs. */
const hostOf = (key: string) => key.replace(/^https?:\/\//, '').replace(/\/.*$/, '');

/**
 * What a helper needs to find its store, its cloud and the way there. It is a program of the machine's, and the job's
 * tokens and inputs are none of its business.
 */
const FOR_HELPERS =
  /^(?:PATH|HOME|USER|LOGNAME|LANG|LC_\w+|TMPDIR|XDG_\w+|DOCKER_CONFIG|DBUS_SESSION_BUS_ADDRESS|DISPLAY|GNUPGHOME|GPG_TTY|PASSWORD_STORE_\w+|AWS_\w+|GOOGLE_APPLICATION_CREDENTIALS|CLOUDSDK_\w+|AZURE_\w+|KUBERNETES_SERVICE_\w+|(?:https?|no|all)_proxy|(?:HTTPS?|NO|ALL)_PROXY)$/;

const forHelper = (environment: Environment) =>
  Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] => entry[1] !== undefined && FOR_HELPERS.test(entry[0]),
    ),
  );

async function askHelper(
  name: string,
  server: string,
  environment: Environment,
  log: (line: string) => void,
): Promise<Credentials | undefined> {
  const program = `docker-credential-${name}`;
  if (!/^[\w.-]+$/.test(name)) {
    log(`Docker's configuration names a credential helper \`${name}\` that is not a program's name.`);
    return undefined;
  }
  const { execa } = await import('execa');
  const answer = await execa(program, ['get'], {
    input: server,
    env: forHelper(environment),
    extendEnv: false,
    reject: false,
    timeout: 30_000,
  });
  if (answer.failed) {
    // "credentials not found in native keychain" is how a helper says that there are none.
    if (!/not found/.test(answer.stdout)) log(`${program} gave no credentials: ${answer.shortMessage}.`);
    return undefined;
  }
  try {
    const { Username, Secret } = HelperAnswer.parse(JSON.parse(answer.stdout));
    return Username === '<token>'
      ? { serveraddress: server, identitytoken: Secret }
      : { serveraddress: server, username: Username, password: Secret };
  } catch {
    log(`${program} gave an answer that is not understood.`);
    return undefined;
  }
}

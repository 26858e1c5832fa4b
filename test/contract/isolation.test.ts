import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { chooseRuntime, type RuntimeOptions } from '../../src/runtime/choose.ts';
import type { IsolationChoice } from '../../src/runtime/options.ts';
import { type Hunted, hunted, hunter } from '../support/hunting.ts';
import { processesWith, runtimeOptions, temporaryFolder, until } from '../support/runtimes.ts';

const CLIENT = fileURLToPath(new URL('../support/client.ts', import.meta.url));
const SECRET = ['runtime-token-', 'that-nothing-may-see'] as const;
const ROOT = process.getuid?.() === 0;
/** A runner's user, where this process is root and can be another one. */
const RUNNER = ROOT ? 4242 : undefined;

/** A runner's folders, with the secret wherever a job has one. */
async function job(owner: number | undefined) {
  const folder = await temporaryFolder();
  const at = (path: string) => join(folder.path, path);
  const files = [
    '_work/_temp/_runner_file_commands/set_output',
    '_work/_temp/_github_workflow/event.json',
    '_work/models/models/.git/config',
    '_work/models/models/other/.git/config',
    '_work/models/models/owner/third/.git/config',
    'home/.netrc',
    'home/.aws/credentials',
    '.credentials_rsaparams',
    'elsewhere/env',
  ].map(at);
  const sealed = ['_work/_actions/dist/post.js', '_work/models/models/script.sh'].map(at);
  for (const file of [...files, ...sealed]) {
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, SECRET.join(''));
  }
  const socket = createServer((one) => one.end()).listen(at('daemon.sock'));
  await once(socket, 'listening');
  await chmod(at('daemon.sock'), 0o777);
  await chmod(folder.path, 0o755);
  if (owner !== undefined)
    for (const path of ['', ...(await readdir(folder.path, { recursive: true }))])
      await chown(at(path), owner, owner);
  const temp = at('_work/_temp');
  const environment = {
    PATH: process.env['PATH'],
    HOME: at('home'),
    RUNNER_TEMP: temp,
    GITHUB_WORKSPACE: at('_work/models/models'),
    GITHUB_OUTPUT: files[0],
    GITHUB_EVENT_PATH: files[1],
    GITHUB_ENV: files.at(-1),
  };
  const wanted = {
    ...{ secret: SECRET, job: ['client', '.ts'] as const, sealed, sockets: [at('daemon.sock')] },
    hidden: [temp, ...files],
    covers: [temp, at('_work/models/models/.git')],
  };
  return {
    ...{ folder, at, temp, environment, wanted },
    async [Symbol.asyncDispose]() {
      socket.close();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** A host with the secret in its environment, run by what makes it another user's or its machine a lesser one. */
async function startHost(
  wrapper: readonly string[],
  environment: NodeJS.ProcessEnv,
  options: Partial<RuntimeOptions>,
  boot = 'print("up")',
) {
  const host = [
    process.execPath,
    CLIENT,
    JSON.stringify({ choice: 'process', environment, ...options }),
    boot,
  ];
  const [file = '', ...args] = [...wrapper, ...host];
  const env = { ...environment, ACTIONS_RUNTIME_TOKEN: SECRET.join('') };
  return await execa(file, args, { env, extendEnv: false, reject: false });
}

/** What an engine finds that a job of some user starts, whose environment holds the secret. */
async function hunt(owner: number | undefined, isolation: IsolationChoice): Promise<Hunted> {
  await using bench = await job(owner);
  const { environment, wanted } = bench;
  const boot = await hunter(wanted, 'HOST_PID');
  const options: Partial<RuntimeOptions> = {
    ...{ choice: 'process', isolation, environment },
    ...(owner === undefined ? {} : { user: { uid: owner, gid: owner } }),
  };
  const wrapper = [
    ...(owner === undefined
      ? []
      : ['setpriv', `--reuid=${owner}`, `--regid=${owner}`, '--clear-groups', '--']),
  ];
  const { stdout, stderr } = await startHost(wrapper, environment, options, boot);
  assert.equal(stderr, '');
  return hunted(stdout);
}

const USERS = [
  ['this user', undefined],
  ...(RUNNER === undefined ? [] : ([['a user without rights', RUNNER]] as const)),
] as const;

describe('an engine in a process that hunts for its job', () => {
  for (const [who, owner] of USERS) {
    test(`of ${who}: finds nothing, and has what it computes with`, async () => {
      const { found, kept } = await hunt(owner, 'required');
      assert.deepEqual(found, []);
      assert.deepEqual(kept, {
        cpus: availableParallelism(),
        affinity: Array.from({ length: availableParallelism() }, (_, cpu) => cpu),
        ...{ shm: true, tmp: true, devices: true, root: false },
      });
    });

    test(`of ${who}: finds what there is where nothing isolates it`, async () => {
      const { found } = await hunt(owner, 'none');
      for (const what of [
        /secret in environ/,
        /secret in memory/,
        /the job's process$/,
        /set_output$/,
        /\.git\/config$/,
        /rsaparams$/,
        /write .*post\.js$/,
        /open socket/,
      ])
        assert.ok(
          found.some((one) => what.test(one)),
          `${what} in ${found.join('\n')}`,
        );
    });
  }
});

describe('isolation', () => {
  test('is told, and leaves nothing to tell where there is most of it', async () => {
    const lines: string[] = [];
    await using runtime = await chooseRuntime(
      runtimeOptions({ choice: 'process', log: (line) => lines.push(line) }),
    );
    assert.match(runtime.description, /sees no process and none of the files of the job/);
    assert.equal(runtime.exposed, undefined);
    assert.deepEqual(lines, []);
  });

  test('that was not wanted is told too', async () => {
    await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process', isolation: 'none' }));
    assert.match(runtime.description, /Nothing keeps it from what the job knows/);
    assert.match(runtime.exposed ?? '', /`isolation: none` was asked for/);
  });

  test('reaches the Python and the model, though they lie among what is hidden or closed', async () => {
    await using bench = await job(undefined);
    const { temp, at, environment } = bench;
    await execa('python3', ['-m', 'venv', '--without-pip', join(temp, 'venv')]);
    const model = join(temp, 'models/mine');
    await mkdir(model, { recursive: true });
    await writeFile(join(model, 'config.json'), '{"a": 1}');
    // As /root is.
    await chmod(bench.folder.path, 0o700);
    const options = { choice: 'process', environment, python: at('_work/_temp/venv/bin/python') } as const;
    await using runtime = await chooseRuntime(runtimeOptions(options));
    assert.equal((await runtime.provideModel({ kind: 'path', path: model })).folder, model);
    // What unpacks the harness starts without packages, and what it becomes with them.
    await using peer = await runtime.start(`import os, subprocess, sys
prefix = subprocess.check_output([sys.executable, "-c", "import sys; print(sys.prefix, end='')"], text=True)
print(prefix, open("${model}/config.json").read(), sorted(os.listdir("${temp}")))`);
    const [out, err] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
    assert.equal(err, '');
    assert.equal(out, `${temp}/venv {"a": 1} ['models', 'venv']\n`);
  });

  test('gives the engine a name, though its user is in no list of users', async () => {
    await using bench = await job(undefined);
    const { environment } = bench;
    await using runtime = await chooseRuntime(
      runtimeOptions({ choice: 'process', environment, python: 'python3' }),
    );
    await using peer = await runtime.start('import getpass\nprint(getpass.getuser())');
    const [out, err] = await Promise.all([text(peer.stdout), text(peer.stderr)]);
    assert.equal(err, '');
    assert.equal(out, 'engine\n');
  });

  test('`kill -9` of the host takes with it what is stopped and sees no end of stdin', async () => {
    await using folder = await temporaryFolder();
    const mark = `mark-${folder.path}`;
    const boot = `# ${mark}
import os, signal
os.fork()
print("up", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)`;
    const host = spawn(process.execPath, [CLIENT, JSON.stringify({ choice: 'process' }), boot], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(host.stdout, 'data');
    host.kill('SIGKILL');
    await once(host, 'exit');
    await until(async () => (await processesWith(mark)).length === 0, 'nothing of it is left');
  });

  test('a program of the job on PATH is not what isolates', async () => {
    await using folder = await temporaryFolder();
    for (const tool of ['unshare', 'setpriv', 'mount', 'sh']) {
      await writeFile(join(folder.path, tool), `#!/bin/sh\necho ${tool} >> ${folder.path}/called\n`);
      await chmod(join(folder.path, tool), 0o755);
    }
    const environment = { ...runtimeOptions().environment, PATH: `${folder.path}:${process.env['PATH']}` };
    await using runtime = await chooseRuntime(runtimeOptions({ choice: 'process', environment }));
    assert.equal(runtime.exposed, undefined);
    await using peer = await runtime.start('print("up")');
    assert.equal(await text(peer.stdout), 'up\n');
    await assert.rejects(readFile(join(folder.path, 'called')), { code: 'ENOENT' });
  });
});

describe('a machine that shows its processes at another place too', {
  skip: ROOT ? false : 'only root can make one',
}, () => {
  test('does not show them there to an engine', async () => {
    const uid = RUNNER ?? 0;
    await using bench = await job(uid);
    const { environment, wanted, at } = bench;
    await mkdir(at('root/proc'), { recursive: true });
    const inside = 'mount -t proc proc "$1" && shift && exec "$@"';
    const wrapper = [
      ...['unshare', '--mount', 'sh', '-c', inside, 'sh', at('root/proc')],
      ...['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups', '--'],
    ];
    const boot = await hunter({ ...wanted, hidden: [at('root/proc/HOST_PID/environ')] }, 'HOST_PID');
    const options = { user: { uid, gid: uid } };
    const open = await startHost(wrapper, environment, { ...options, isolation: 'none' }, boot);
    assert.match(hunted(open.stdout).found.join('\n'), /root\/proc\/\d+\/environ/);
    const isolated = await startHost(wrapper, environment, { ...options, isolation: 'required' }, boot);
    assert.deepEqual(hunted(isolated.stdout).found, [], isolated.stderr);
  });
});

describe('where a machine lacks what isolates', { skip: ROOT ? false : 'only root can take it away' }, () => {
  test('to a user without rights it is told why, and neither `required` nor a token of the hub goes on', async () => {
    const uid = RUNNER ?? 0;
    await using bench = await job(uid);
    await using root = await temporaryFolder();
    // The kernel makes no user namespace for who lives in a changed root.
    const inside = `mount --rbind / "$1" && exec chroot --userspec=${uid}:${uid} "$@"`;
    const wrapper = ['unshare', '--mount', 'sh', '-c', inside, 'sh', root.path];
    const answer = (options: Partial<RuntimeOptions>) =>
      startHost(wrapper, bench.environment, { user: { uid, gid: uid }, ...options });
    const open = await answer({});
    assert.equal(open.stdout, 'up', open.stderr);
    const required = await answer({ isolation: 'required' });
    assert.match(required.stderr, /isolation-unavailable/);
    assert.match(required.stderr, /unshare failed: Operation not permitted/);
    const token = await answer({ knowsHubToken: true });
    assert.match(token.stderr, /could read the `hub-token`.*unshare failed/s);
    const insisted = await answer({ knowsHubToken: true, isolation: 'none' });
    assert.equal(insisted.stdout, 'up', insisted.stderr);
  });

  test('root’s engine is another user at least, as in the container of a job', async () => {
    await using bench = await job(undefined);
    const { environment, wanted } = bench;
    const wrapper = ['setpriv', '--bounding-set=-sys_admin', '--'];
    const options = { isolation: 'required', python: '/usr/bin/python3', knowsHubToken: true } as const;
    const { stdout, stderr } = await startHost(
      wrapper,
      environment,
      options,
      await hunter(wanted, 'HOST_PID'),
    );
    assert.equal(stderr, '');
    const { found, kept } = hunted(stdout);
    assert.equal(kept['root'], false);
    const known = /secret in (environ|memory)|ptrace|signal|kernel|a way to write/;
    assert.deepEqual(
      found.filter((one) => known.test(one)),
      [],
    );
  });
});

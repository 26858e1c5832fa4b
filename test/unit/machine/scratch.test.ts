import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { alone } from '../../../src/machine/alone.ts';
import { isGone, ownerMark } from '../../../src/machine/owner.ts';
import { openScratch, privateFolder, scratchPlaces, sweepScratch } from '../../../src/machine/scratch.ts';
import { temporaryFolder } from '../support/folder.ts';

const SCRATCH = fileURLToPath(new URL('../../../src/machine/scratch.ts', import.meta.url));
const FAR = fileURLToPath(new URL('../../../docker/harness/far.py', import.meta.url));

/** A folder as a process leaves it that was killed in the middle of its work. */
async function killedIn(parent: string): Promise<string> {
  const program = `import { openScratch } from ${JSON.stringify(SCRATCH)};
    console.log((await openScratch(${JSON.stringify(parent)})).path);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [path] = (await once(child.stdout, 'data')) as [Buffer];
  child.kill('SIGKILL');
  await once(child, 'close');
  return path.toString().trim();
}

const mark = (change: (fields: string[]) => void) => {
  const fields = (ownerMark() ?? assert.fail()).trim().split(' ');
  change(fields);
  return `${fields.join(' ')}\n`;
};

describe('the mark of a process', () => {
  test('tells that it lives, that it is gone, and that nothing can be told from here', () => {
    const [boot, numbers, pid, started] = [0, 1, 2, 3] as const;
    assert.equal(isGone(ownerMark() ?? ''), false);
    assert.equal(isGone(mark((of) => of.splice(pid, 1, '4194305'))), true, 'no such process');
    assert.equal(isGone(mark((of) => of.splice(started, 1, '1'))), true, 'a later one with its number');
    assert.equal(
      isGone(mark((of) => of.splice(boot, 1, 'another'))),
      undefined,
      'another start of a machine',
    );
    assert.equal(isGone(mark((of) => of.splice(numbers, 1, 'pid:[1]'))), undefined, 'a container’s');
    for (const nothing of ['', 'x', '1 2 3 4', '../.. pid:[1] 1 1\n'])
      assert.equal(isGone(nothing), undefined);
  });
});

describe('a sweep', () => {
  test('takes what a killed process left, and nothing of one that lives', async () => {
    await using folder = await temporaryFolder();
    await using own = await openScratch(folder.path);
    const left = await killedIn(folder.path);
    await mkdir(join(left, '1/cache'), { recursive: true });
    await writeFile(join(left, '1/cache/kernel.so'), 'x');
    const said: string[] = [];
    assert.equal(await sweepScratch([folder.path, folder.path], (line) => said.push(line)), 1);
    assert.deepEqual(said, [`Removed the folder ${left} that a killed run left behind.`]);
    assert.deepEqual(await readdir(folder.path), [basename(own.path)]);
  });

  test('leaves alone what says nothing, for a week; what another holds; and what only looks like it', async () => {
    await using folder = await temporaryFolder();
    const at = (name: string) => join(folder.path, name);
    const held = at('deterministic-ml-0123abcd');
    for (const name of [
      'deterministic-ml-fresh1',
      'deterministic-ml-weekly',
      'deterministic-ml-notes.d',
      'mine',
    ])
      await mkdir(at(name));
    await mkdir(held);
    await writeFile(
      join(held, 'owner'),
      mark((of) => of.splice(2, 1, '4194305')),
    );
    await writeFile(join(at('mine'), 'precious'), 'x');
    await symlink(at('mine'), at('deterministic-ml-linked'));
    const eightDaysAgo = new Date(Date.now() - 8 * 24 * 3600 * 1000);
    await utimes(at('deterministic-ml-weekly'), eightDaysAgo, eightDaysAgo);
    // A mark that never ends to be read.
    await promisify(execFile)('mkfifo', [join(at('deterministic-ml-fresh1'), 'owner')]);
    {
      await using _ = await alone(held, AbortSignal.timeout(5_000), () => assert.fail('waited'));
      assert.equal(await sweepScratch([folder.path, at('none')], () => {}), 1);
    }
    const rest = ['deterministic-ml-fresh1', 'deterministic-ml-linked', 'deterministic-ml-notes.d', 'mine'];
    assert.deepEqual((await readdir(folder.path)).sort(), [basename(held), ...rest].sort());
    assert.equal(await sweepScratch([folder.path], () => {}), 1, 'once nobody holds it');
    assert.deepEqual(await readdir(at('mine')), ['precious']);
  });

  test('knows what a far side’s keeper leaves, and the other way round', async () => {
    await using folder = await temporaryFolder();
    const python = async (code: string) =>
      (
        await promisify(execFile)(
          'python3',
          [
            '-c',
            `import importlib.util as u\nfar = u.module_from_spec(s := u.spec_from_file_location("far", ${JSON.stringify(FAR)}))\ns.loader.exec_module(far)\n${code}`,
          ],
          { env: { ...process.env, TMPDIR: folder.path, PYTHONDONTWRITEBYTECODE: '1' } },
        )
      ).stdout.trim();
    const top = await python('print(far.own_folder()[0])');
    assert.deepEqual((await readdir(top)).sort(), ['1', 'owner']);
    assert.equal(await sweepScratch([folder.path], () => {}), 1);
    await using own = await openScratch(folder.path);
    await killedIn(folder.path);
    await python('far.sweep()');
    assert.deepEqual(await readdir(folder.path), [basename(own.path)]);
  });
});

test('a scratch folder lets others through and is written to by nobody else; a private one lets nobody in', async () => {
  await using folder = await temporaryFolder();
  await using scratch = await openScratch(folder.path);
  assert.equal((await stat(scratch.path)).mode & 0o777, 0o711);
  assert.equal(await readFile(join(scratch.path, 'owner'), 'utf8'), ownerMark());
  await using own = await privateFolder(folder.path);
  assert.equal((await stat(own.path)).mode & 0o777, 0o700);
  await chmod(own.path, 0o500);
});

test('the places of a run are /tmp, its own and its runner’s', () => {
  assert.deepEqual(scratchPlaces({ TMPDIR: '/scratch/me', RUNNER_TEMP: '' }, undefined, '/tmp'), [
    '/tmp',
    '/scratch/me',
  ]);
});

import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { execa } from 'execa';
import { BASELINE_SCHEMA, type BaselineMeta } from '../../../src/baseline/port.ts';
import { openRecord, RecordWriter, writeBaselineMeta } from '../../../src/disk/record-folder.ts';
import { sha256 } from '../../../src/record/digest.ts';
import { packSoftware } from '../../../src/record/software.ts';
import { fault } from '../../support/fault.ts';
import { temporaryFolder } from '../support/folder.ts';
import { body, channelsOf, side } from '../support/records.ts';
import { rejectedBy } from '../support/suites.ts';

const bodies = { a: body(), b: body({ tokens: [7] }) };
const { record } = side({ passes: { 'generate-1': bodies } });
const PASSES = 1;

async function write(folder: string): Promise<string[]> {
  await using writer = await RecordWriter.create(folder);
  const digests = [await writer.addBody(channelsOf(bodies.a)), await writer.addBody(channelsOf(bodies.b))];
  await writer.commit(record);
  return digests;
}

describe('a record that grows', () => {
  test('beyond what a disk is to hold is refused, and leaves nothing; equal bodies count once', async () => {
    await using temporary = await temporaryFolder();
    {
      await using writer = await RecordWriter.create(join(temporary.path, 'record'), 600);
      for (let i = 0; i < 100; i++) await writer.addTokens(Buffer.alloc(400));
      const error = await rejectedBy(writer.addTokens(Buffer.alloc(400, 1)));
      assert.equal(error.code, 'record-too-large');
      assert.match(error.message, /more than 600 bytes/);
      assert.match(error.hint, /fewer prompts/);
    }
    assert.deepEqual(await readdir(temporary.path), []);
  });

  test('keeps each body whole for who reads it, when engines side by side give the same one at once', async () => {
    await using temporary = await temporaryFolder();
    await using writer = await RecordWriter.create(join(temporary.path, 'record'));
    const { readTokens } = writer.side(record);
    const tokens = Buffer.alloc(1_000_000);
    const read: Promise<number>[] = [];
    // Each begins while those before it are being written.
    for (let i = 0; i < 200; i++) {
      read.push(writer.addTokens(tokens).then(async (digest) => (await readTokens(digest)).length));
      await setImmediate();
    }
    assert.deepEqual(new Set(await Promise.all(read)), new Set([250_000]));
  });
});

describe('a record that was written', () => {
  test('is read back, bits included', async () => {
    await using temporary = await temporaryFolder();
    const folder = join(temporary.path, 'deep', 'er', 'record');
    await write(folder);
    const opened = await openRecord(folder);
    assert.deepEqual(opened.record, record);
    for (const [i, bits] of Object.values(bodies).entries())
      assert.deepEqual(await opened.readBody(record.observations[i]?.body ?? ''), channelsOf(bits));
  });

  test('keeps what was installed as a body, which every lifetime that has the same names', async () => {
    await using temporary = await temporaryFolder();
    const folder = join(temporary.path, 'record');
    const list = { python: { torch: '2.11.0' } };
    const digest = sha256(packSoftware(list));
    const both = side({ lifetimes: { a: { 'generate-1': bodies }, b: { 'generate-1': bodies } } }).record;
    const whole = {
      ...both,
      lifetimes: both.lifetimes.map((one) => ({ ...one, software: digest })),
      software: new Map([[digest, list]]),
    };
    {
      await using writer = await RecordWriter.create(folder);
      await writer.commit(whole);
    }
    assert.deepEqual((await openRecord(folder)).record, whole);
    await writeFile(join(folder, 'bodies', digest), '{"python":{"torch":"2.12.0"}}');
    const error = await rejectedBy(openRecord(folder));
    assert.equal(error.code, 'record-invalid');
    assert.match(error.message, /list of software whose body .* has other bytes than its name says/);
  });

  test('keeps equal bits once', async () => {
    await using temporary = await temporaryFolder();
    await using writer = await RecordWriter.create(join(temporary.path, 'record'));
    assert.equal(await writer.addBody(channelsOf(body())), await writer.addBody(channelsOf(body())));
    await writer.commit(record);
    // Beside the bits of it all, what each pass gave.
    assert.equal((await readdir(join(temporary.path, 'record', 'bodies'))).length, 1 + PASSES);
  });

  test('replaces an older one, baseline and all', async () => {
    await using temporary = await temporaryFolder();
    const folder = join(temporary.path, 'record');
    await write(folder);
    await writeFile(join(folder, 'baseline.json'), '{}');
    await writeFile(join(folder, 'bodies', 'old'), '');
    await write(folder);
    assert.deepEqual((await readdir(folder)).sort(), ['bodies', 'record.json']);
    assert.equal((await readdir(join(folder, 'bodies'))).length, 2 + PASSES);
    assert.deepEqual(await readdir(temporary.path), ['record']);
  });

  test('never replaces what is no record', async () => {
    await using temporary = await temporaryFolder();
    await writeFile(join(temporary.path, 'thesis.tex'), 'years of work');
    const error = await rejectedBy(write(temporary.path));
    assert.equal(error.code, 'input-invalid');
    assert.match(error.message, /holds `thesis\.tex`/);
    assert.equal(await readFile(join(temporary.path, 'thesis.tex'), 'utf8'), 'years of work');
  });

  test('never replaces a file', async () => {
    await using temporary = await temporaryFolder();
    const file = join(temporary.path, 'notes.txt');
    await writeFile(file, 'years of work');
    const error = await rejectedBy(RecordWriter.create(file));
    assert.equal(error.code, 'input-invalid');
    assert.match(error.message, /notes\.txt: a file is there/);
    assert.equal(await readFile(file, 'utf8'), 'years of work');
  });

  test('never replaces what came while the engine ran', async () => {
    await using temporary = await temporaryFolder();
    const folder = join(temporary.path, 'record');
    await using writer = await RecordWriter.create(folder);
    await mkdir(folder);
    await writeFile(join(folder, 'notes'), '');
    assert.equal((await rejectedBy(writer.commit(record))).code, 'input-invalid');
    assert.deepEqual(await readdir(folder), ['notes']);
  });
});

describe('a record that was not finished', () => {
  test('leaves nothing', async () => {
    await using temporary = await temporaryFolder();
    {
      await using writer = await RecordWriter.create(join(temporary.path, 'record'));
      await writer.addBody(channelsOf(body()));
    }
    assert.deepEqual(await readdir(temporary.path), []);
  });
});

describe('a damaged record is refused:', () => {
  const cases: readonly (readonly [string, (folder: string, digest: string) => Promise<unknown>, RegExp])[] =
    [
      [
        'no record.json',
        (f) => rm(join(f, 'record.json')),
        /is no folder of a record: it holds no record\.json/,
      ],
      ['half a record.json', (f) => writeFile(join(f, 'record.json'), '{"schema":'), /is no JSON/],
      ['a body is missing', (f, d) => rm(join(f, 'bodies', d)), /cannot be read \(ENOENT\)/],
      ['a body is another', (f, d) => writeFile(join(f, 'bodies', d), 'x'), /other bytes than its name says/],
      [
        'a body is a folder',
        async (f, d) => {
          await rm(join(f, 'bodies', d));
          await mkdir(join(f, 'bodies', d));
        },
        /cannot be read \(not a file\)/,
      ],
      [
        'a body is a pipe that nobody ends',
        async (f, d) => {
          await rm(join(f, 'bodies', d));
          await execa('mkfifo', [join(f, 'bodies', d)]);
        },
        /cannot be read \(not a file\)/,
      ],
      [
        'a body is larger than any',
        (f, d) => truncate(join(f, 'bodies', d), 256 * 1024 ** 2 + 1),
        /cannot be read \(more than 268435456 bytes\)/,
      ],
      [
        'record.json is a link that leads elsewhere',
        async (f) => {
          await rm(join(f, 'record.json'));
          await symlink('/dev/zero', join(f, 'record.json'));
        },
        /cannot be read \(ELOOP\)/,
      ],
    ];
  for (const [name, damage, message] of cases)
    test(name, async () => {
      await using temporary = await temporaryFolder();
      const folder = join(temporary.path, 'record');
      const [digest = ''] = await write(folder);
      await damage(folder, digest);
      const error = await rejectedBy(openRecord(folder).then(({ readBody }) => readBody(digest)));
      assert.equal(error.code, 'record-invalid');
      assert.match(error.message, message);
    });
});

fault(
  'disk full in the middle of a record',
  'a disk that is full after some observations',
  '`disk-full`, and what was begun is gone',
  async (t) => {
    await using temporary = await temporaryFolder();
    const program = fileURLToPath(new URL('../support/full-disk.ts', import.meta.url));
    // A mount namespace of its own: the mount goes with the process, and as root of a user namespace anybody may.
    const { stdout, stderr, exitCode } = await execa(
      'unshare',
      [
        '--mount',
        '--map-root-user',
        'sh',
        '-c',
        'mount -t tmpfs -o size=64k none "$0" && exec "$1" "$2" "$0"',
        temporary.path,
        process.execPath,
        program,
      ],
      { reject: false },
    );
    if (exitCode === 32 || exitCode === undefined || /unshare/.test(stderr))
      return t.skip(`no small file system can be mounted here: ${stderr}`);
    const { code, message, left } = JSON.parse(stdout) as { code: string; message: string; left: string[] };
    assert.equal(code, 'disk-full');
    assert.match(message, /The disk is full: .*record could not be written/);
    assert.deepEqual(left, []);
  },
);

test('a baseline is made of a record by one file more', async () => {
  await using temporary = await temporaryFolder();
  const meta: BaselineMeta = {
    schema: BASELINE_SCHEMA,
    suite: 'suite',
    hardwareClass: 'cpu',
    record: 'a'.repeat(64),
    provenance: {
      repository: 'a/b',
      commit: 'c',
      ref: 'r',
      workflow: 'w',
      runId: '1',
      runAttempt: '1',
      runUrl: 'u',
      actor: 'a',
      event: 'e',
      reason: 'why',
      createdAt: '2026-11-23T00:00:00.000Z',
      tool: '0.1.0',
      image: '',
      model: 'b'.repeat(64),
      pullRequest: null,
    },
    recordFile: 'c'.repeat(64),
    chain: [],
    envelope: { lifetimes: 1, digests: ['a'.repeat(64)] },
    yardstick: [],
  };
  await writeBaselineMeta(temporary.path, meta);
  assert.deepEqual(await readdir(temporary.path), ['baseline.json']);
  assert.deepEqual(JSON.parse(await readFile(join(temporary.path, 'baseline.json'), 'utf8')), meta);
});

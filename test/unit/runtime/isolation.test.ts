import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { isBelow, lockedFlags, mountOf, parseMounts } from '../../../src/runtime/isolation/mounts.ts';
import { type View, viewScript } from '../../../src/runtime/isolation/script.ts';
import { quoted } from '../../../src/runtime/quoted.ts';

const TABLE = String.raw`27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
22 27 0:22 / /sys rw,relatime - sysfs sysfs rw
25 24 0:23 / /dev/shm rw,nosuid,nodev - tmpfs tmpfs rw
30 27 8:1 / /mnt/my\040models rw,nosuid,nodev,noatime - xfs /dev/sdb rw
31 27 7:1 / /snap/core ro,nodev - squashfs /dev/loop0 ro
32 27 8:2 / /var/tmp rw,noexec - ext4 /dev/sdc rw
`;

describe('the table of mounts', () => {
  test('is read with its octal characters, and without what is no line of it', () => {
    assert.deepEqual(
      parseMounts(TABLE).map(({ at }) => at),
      ['/', '/sys', '/dev/shm', '/mnt/my models', '/snap/core', '/var/tmp'],
    );
    assert.deepEqual(parseMounts('nonsense\n'), []);
  });

  test('tells what a path lies on, and what a remount must say again', () => {
    const mounts = parseMounts(TABLE);
    const flags = (path: string) => {
      const mount = mountOf(path, mounts);
      return mount === undefined ? undefined : lockedFlags(mount);
    };
    assert.deepEqual(flags('/mnt/my models/a'), ['nosuid', 'nodev']);
    assert.deepEqual(flags('/mnt/my modelsx'), []);
    assert.equal(isBelow('/a', '/'), true);
    assert.equal(isBelow('/ab', '/a'), false);
  });
});

const VIEW: View = {
  mounts: parseMounts(TABLE),
  ...{ writable: ['/tmp', '/var/tmp'], readOnly: ['/tmp/job'] },
  ...{
    covered: ['/root', '/root/temp'],
    kept: ['/root/temp/venv', '/opt/model'],
    blanked: ["/run/it's.sock"],
  },
  folder: '/tmp/own',
};
const lines = (view: Partial<View> = {}) =>
  viewScript({ ...VIEW, ...view }, { mount: 'mount', umount: 'umount', mkdir: 'mkdir' }).split('\n');

describe('the script of a view', () => {
  test('seals each mount with the flags that it has, but for what must stay writable', () => {
    const sealed = lines().filter((line) => line.endsWith('|| :'));
    assert.deepEqual(sealed, [
      "mount -n -o remount,bind,ro none '/' 2>/dev/null || :",
      "mount -n -o remount,bind,ro,nosuid,nodev none '/mnt/my models' 2>/dev/null || :",
    ]);
    assert.ok(lines().includes("mount -n -o remount,bind,ro none '/tmp/job'"), 'a part of a writable one');
  });

  test('brings back what is kept below each cover, outer ones first', () => {
    const at = (line: string) => lines().indexOf(line);
    const back = "mount -n --rbind /sys/0 '/root/temp/venv'";
    assert.equal(lines().filter((line) => line === back).length, 2);
    assert.ok(at("mount -n --rbind '/root/temp/venv' /sys/0") < at("if [ -d '/root' ]; then"));
    assert.ok(at("if [ -d '/root' ]; then") < at("if [ -d '/root/temp' ]; then"));
    assert.ok(!lines().some((line) => line.includes('/opt/model')), 'what no cover hides is left alone');
  });

  test('waits nowhere where nothing is to be kept', () => {
    assert.ok(!lines({ kept: [] }).some((line) => line.includes('/sys')));
  });

  test('ends in the folder by its path, since where it began is not covered', () => {
    assert.equal(lines().at(-1), "cd '/tmp/own'");
    assert.ok(lines().indexOf('cd /') < lines().findIndex((line) => line.startsWith('mount')));
  });

  test('takes a name for a name', () => {
    assert.equal(quoted("it's $HOME"), String.raw`'it'\''s $HOME'`);
    assert.ok(lines().some((line) => line.includes(String.raw`/dev/null '/run/it'\''s.sock'`)));
  });
});

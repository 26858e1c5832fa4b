/** `compare.js BASELINE RUN STATUS`: compares two records' folders as a check does, and tells its peak memory. */
import { existsSync, readFileSync, writeSync } from 'node:fs';
import { compare } from '../../../src/compare/compare.ts';
import { openRecord } from '../../../src/disk/record-folder.ts';

// `performance`, as the console, takes 3 ms to load.
const loaded = process.uptime() * 1000;
const [before = '', now = '', expected = ''] = process.argv.slice(2);
const [baseline, run] = [await openRecord(before), await openRecord(now)];
const [result] = await compare(run, baseline, [{ relation: 'baseline', requirement: 'identical' }]);
const { status = '', findings = [] } = result ?? {};
// A comparison that looks at nothing is fast.
const differing = findings.filter(({ holds, divergence }) => !holds && divergence !== null).length;
if (status !== expected || findings.length === 0 || differing !== (status === 'held' ? 0 : findings.length)) {
  console.error(`${status} with ${differing} of ${findings.length} differing: ${findings[0]?.reason}`);
  process.exit(1);
}
writeSync(1, JSON.stringify({ loaded, kilobytes: peakKilobytes() }));
// As the action ends and the command line: what still lives is not given back piece by piece.
process.exit();

/** Linux lets a program inherit its starter's `maxRSS`: the peak of its own memory stands elsewhere. */
function peakKilobytes(): number {
  const status = '/proc/self/status';
  const told = existsSync(status) ? /^VmHWM:\s+(\d+) kB/m.exec(readFileSync(status, 'utf8')) : null;
  return told === null ? process.resourceUsage().maxRSS : Number(told[1]);
}

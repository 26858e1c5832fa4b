/** `compare.js BASELINE RUN CONCLUSION`: compares two records' folders as a check does, and prints the peak memory. */
import { compare } from '../../../src/compare/compare.ts';
import { openRecord } from '../../../src/disk/record-folder.ts';

const [before = '', now = '', expected = ''] = process.argv.slice(2);
const [baseline, run] = [await openRecord(before), await openRecord(now)];
const [result] = await compare(run, baseline, [{ relation: 'baseline', requirement: 'identical' }]);
const { status = '', findings = [] } = result ?? {};
// A comparison that looks at nothing is fast.
const differing = findings.filter(({ holds, divergence }) => !holds && divergence !== null).length;
if (status !== expected || differing !== (status === 'held' ? 0 : findings.length))
  throw new Error(`${status} with ${differing} of ${findings.length} differing`);
console.log(JSON.stringify({ findings: findings.length, kilobytes: process.resourceUsage().maxRSS }));

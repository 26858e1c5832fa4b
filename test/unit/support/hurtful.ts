import { SUITE_SCHEMA } from '../../../src/front/suites.ts';
import { MAX_SUITE_BYTES, parseSuite } from '../../../src/suite/parse.ts';
import { SAMPLE, thrownBy } from './suites.ts';

/** What a mean author repeats until the file is as large as one may be; `…` stands for the repetition. */
export const HURTFUL: readonly (readonly [frame: string, unit: string])[] = [
  ['a: …', '"'],
  ['- …', '|\n'],
  [SAMPLE.replace('args: {', 'env: {…}, args: {'), 'k#: 1, '],
  [SAMPLE.replace('prompts:\n', 'prompts:\n…'), '  - 1\n'],
  [`${SAMPLE}…`, 'k#: 1\n'],
];

/** `frame` filled up to the cap; a `#` in the unit counts. */
export function filled(frame: string, unit: string): string {
  const [head = '', tail = ''] = frame.split('…');
  const room = MAX_SUITE_BYTES - head.length - tail.length;
  const units: string[] = [];
  for (let size = 0, next = ''; ; size += next.length) {
    next = unit.replace('#', String(units.length));
    if (size + next.length > room) return head + units.join('') + tail;
    units.push(next);
  }
}

// As a program: reads them all, one after the other, and says so.
if (import.meta.main)
  for (const [frame, unit] of HURTFUL) {
    const { code, places } = thrownBy(() => parseSuite(filled(frame, unit), 'suite.yml', SUITE_SCHEMA));
    console.log(`${code} ${Math.min(places.length, 1)} ${JSON.stringify(unit)}`);
  }

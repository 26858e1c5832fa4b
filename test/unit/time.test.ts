import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { describe } from 'node:test';
import { lines } from '../../src/engine/lines.ts';
import { UserError } from '../../src/errors.ts';
import { SUITE_SCHEMA } from '../../src/front/suites.ts';
import { sources } from '../../src/import/index.ts';
import { Problems } from '../../src/import/problems.ts';
import { logLine, markdown, visible, xml } from '../../src/inert.ts';
import { unpackBody } from '../../src/record/body.ts';
import { parseRecord } from '../../src/record/parse.ts';
import { parseSuite } from '../../src/suite/parse.ts';
import { prose } from '../../src/surfaces/html/escape.ts';
import { tried } from '../support/tried.ts';
import { SAMPLE } from './support/suites.ts';

/** What a mean author repeats, and who reads it. */
interface Repeated {
  /** Characters of the shorter one. */
  readonly size: number;
  readonly units: readonly string[];
  read(text: string): unknown;
}

const imported =
  (name: string, head = '', tail = '') =>
  async (text: string) => {
    const files = { path: 'x', files: [name], text: async () => `${head}${text}${tail}` };
    for (const { take } of sources) await take(files, new Problems());
  };

const SURFACES: Readonly<Record<string, Repeated>> = {
  'a suite': {
    size: 10_000,
    units: ['[', '- ', '"', '&a ', '!a ', '? ', '|\n', 'k: {', '# ', '\\\n', "''", '\t', '--- '],
    read: (text) => parseSuite(`${SAMPLE}a: ${text}`, 'suite.yml', SUITE_SCHEMA),
  },
  'a command line in a suite': {
    size: 8000,
    units: ['--a ', "'", '"', '\\\\', '$(', '-O.a=1 ', '{"a":'],
    read: (text) =>
      parseSuite(
        SAMPLE.replace('name: vllm,', `name: vllm, serve: ${JSON.stringify(`vllm serve ${text}`)},`),
        'suite.yml',
        SUITE_SCHEMA,
      ),
  },
  'text that is shown': {
    size: 30_000,
    units: [
      '##[',
      '::',
      '@',
      '<',
      '\0',
      '&',
      '`',
      ':a',
      'www.',
      'GH-1',
      '\u202e',
      'a'.repeat(39),
      '1.',
      '\ud83c\udf0d',
      '://',
    ],
    read: (text) => [visible(text), logLine(text), markdown(text), xml(text), prose(text)],
  },
  'what an engine prints': {
    size: 10_000,
    units: ['x', '\n', '{', '\r'],
    // In pieces as small as they come.
    read: async (text) => {
      for await (const _ of lines(Readable.from(text.match(/.{1,64}/gs) ?? []), 64 * 1024));
    },
  },
  'a record': {
    size: 30_000,
    units: ['[', '{"a":', '1,', '"', ' '],
    read: (text) => parseRecord(`{"schema":${text}`, 'record.json', () => Buffer.alloc(0)),
  },
  'a packed body': {
    size: 300_000,
    units: ['\0', 'DMLBODY2', '\u0001\0\0\0'],
    read: (text) => unpackBody(Buffer.from(`DMLBODY2${text}`), 'body'),
  },
  'a capture of nvidia-smi': {
    size: 100_000,
    units: ['<gpu>', '<uuid>', '<', '</', 'x'],
    read: imported('a.xml', '<nvidia_smi_log>', '</nvidia_smi_log>'),
  },
  'what `vllm collect-env` printed': {
    size: 50_000,
    units: ['GPU 0: ', '[pip3] a==1\n', ' ', ':', 'Model name:', '\n', '['],
    read: imported('env.txt', 'Collecting environment information...\n'),
  },
  'responses of a server': {
    size: 50_000,
    units: ['{"object":"chat.completion"}\n', '[', '\n', '"', '{"a":'],
    read: imported('a.jsonl'),
  },
};

const NO_TIME_MS = 100;

/** Of CPU. */
async function once({ read }: Repeated, text: string): Promise<number> {
  const before = process.cpuUsage();
  try {
    await read(text);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** The better of two: others compute beside it. */
const milliseconds = async (surface: Repeated, text: string) =>
  Math.min(await once(surface, text), await once(surface, text));

describe('time', () => {
  tried(
    'time that grows with the square',
    'what parsers stumble over, repeated: brackets, quotes, anchors, escapes, elements that never close',
    'four times as much takes no more than some four times as long, wherever something is read',
    async (t) => {
      for (const [name, surface] of Object.entries(SURFACES))
        await t.test(name, async () => {
          for (const unit of surface.units) {
            const of = (size: number) => unit.repeat(Math.ceil(size / unit.length));
            // What takes no time says nothing of how it grows.
            if ((await once(surface, of(4 * surface.size))) < NO_TIME_MS) continue;
            const short = await milliseconds(surface, of(surface.size));
            const long = await milliseconds(surface, of(4 * surface.size));
            // A square would be 16 times.
            assert.ok(
              long < 10 * short || long < NO_TIME_MS,
              `${JSON.stringify(unit)}: ${short} ms, then ${long} ms`,
            );
          }
        });
    },
    { timeout: 300_000 },
  );
});

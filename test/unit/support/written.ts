import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFilesStore } from '../../../src/baseline/files.ts';
import { formatKey } from '../../../src/baseline/port.ts';
import { keepCopy, openRecord, RecordWriter, writeBaselineMeta } from '../../../src/disk/record-folder.ts';
import { readReport, writeReport } from '../../../src/disk/report-file.ts';
import { recallDigests, rememberDigests } from '../../../src/model/memory.ts';
import { describeChannel } from '../../../src/record/channels.ts';
import { digestJson } from '../../../src/record/digest.ts';
import { body, side } from './records.ts';
import { checkReport, metaOf, PROVENANCE, writeBaseline, writeRun } from './reports.ts';

/** Something that is written whole or not at all, over an older one. */
export interface Written {
  readonly name: string;
  /** Gets all ready, and gives what writes the version. */
  prepare(folder: string, version: string): Promise<() => Promise<unknown>>;
  /** What a later run reads there, as one text. @throws when it is damaged */
  read(folder: string): Promise<string>;
}

const bitsOf = (version: string) => body({ tokens: [version === 'old' ? 5 : 6], text: version });
const sideOf = (version: string) =>
  side({ passes: { 'generate-1': { a: bitsOf(version), b: body({ tokens: [7] }) } } });

const KEY = { suite: 'suite', hardwareClass: 'cpu-genuineintel-x86-64-v4', runAttempt: '1' };
const RUN_IDS: Readonly<Record<string, string>> = { old: '1', new: '2' };

async function bodiesOf(folder: string): Promise<string> {
  const { record, readBody } = await openRecord(folder);
  const texts: string[] = [];
  for (const { body: digest } of record.observations)
    texts.push(digestJson((await readBody(digest)).map(describeChannel)));
  return digestJson({ record, texts });
}

const record: Written = {
  name: 'record',
  prepare: async (folder, version) => () => writeRun(join(folder, 'place'), sideOf(version)),
  async read(folder) {
    const place = join(folder, 'place');
    // As the next run does before it writes there.
    await using _ = await RecordWriter.create(place);
    return await bodiesOf(place);
  },
};

const baseline: Written = {
  name: 'baseline.json',
  async prepare(folder, version) {
    const place = join(folder, 'place');
    await mkdir(place, { recursive: true });
    return () => writeBaselineMeta(place, metaOf(sideOf(version)));
  },
  read: (folder) => readFile(join(folder, 'place/baseline.json'), 'utf8').then(JSON.parse).then(digestJson),
};

const copy: Written = {
  name: 'copy of a baseline',
  async prepare(folder, version) {
    const from = join(folder, `from-${version}`);
    await writeBaseline(from, sideOf(version));
    return () => keepCopy(from, join(folder, 'place'));
  },
  async read(folder) {
    const place = join(folder, 'place');
    await using _ = await RecordWriter.create(place);
    return await bodiesOf(place);
  },
};

const report: Written = {
  name: 'report',
  async prepare(folder, version) {
    const bits = { capital: bitsOf(version) };
    const made = await checkReport(bits, bits);
    return () => writeReport(join(folder, 'place.report.json'), made);
  },
  read: async (folder) => (await readReport(join(folder, 'place.report.json'))).sha256,
};

const memory: Written = {
  name: 'memory of digests',
  prepare: async (folder, version) => () =>
    rememberDigests(join(folder, 'place'), new Map([[`file of ${version}`, digestJson(version)]])),
  async read(folder) {
    const known = await recallDigests(join(folder, 'place'));
    // One that is torn reads as empty: the older one's digest must not be lost.
    if (!known.has('file of old')) throw new Error('it was lost');
    return digestJson(Object.fromEntries(known));
  },
};

const storeIn = (folder: string) =>
  createFilesStore({
    workspace: join(folder, 'place'),
    path: 'baselines',
    tempFolder: join(folder, 'temp'),
    log: () => {},
  });

const store: Written = {
  name: 'baseline in the repository',
  async prepare(folder, version) {
    const from = join(folder, `from-${version}`);
    const opened = await writeRun(from, sideOf(version));
    const runId = RUN_IDS[version] ?? '3';
    const meta = metaOf(opened, {
      recordFile: opened.sha256,
      provenance: { ...PROVENANCE, runId, runAttempt: KEY.runAttempt },
    });
    await writeBaselineMeta(from, meta);
    await mkdir(join(folder, 'place'), { recursive: true });
    const key = { ...KEY, runId, record: meta.record };
    const old = { ...KEY, runId: '1', record: metaOf(sideOf('old')).record };
    return () => storeIn(folder).save(key, from, version === 'old' ? undefined : formatKey(old));
  },
  async read(folder) {
    const found = await storeIn(folder).find(KEY);
    if (found.kind === 'absent') throw new Error('it is gone');
    await using kept = found;
    return `${kept.key} ${await bodiesOf(kept.folder)}`;
  },
};

export const WRITERS: readonly Written[] = [record, baseline, copy, report, memory, store];

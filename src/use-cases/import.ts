import { counted, some } from '../counted.ts';
import { UserError } from '../errors.ts';
import { sources } from '../import/index.ts';
import { partOf } from '../import/names.ts';
import { Problems } from '../import/problems.ts';
import { recordOf } from '../import/record.ts';
import type { Folder, ImportedEnvironment, ImportedRun } from '../import/source.ts';
import { completed } from '../import/unknown.ts';
import { excerpt } from '../inert.ts';
import type { ImportSettings } from '../job/settings.ts';
import type { ForeignFolder, Tools } from '../job/tools.ts';
import type { RunRecord } from '../record/schema.ts';
import type { Answer } from '../report/answer.ts';
import type { ImportAnswer } from '../report/answers.ts';

/** One run that was read, and the folder that it gets below the one that was asked for. */
interface Ready {
  readonly name: string;
  readonly source: string;
  readonly run: ImportedRun;
  readonly record: RunRecord;
}

/**
 * Makes records of what other programs left in a folder and all below it. What a source does not tell is unknown in them.
 *
 * @throws UserError `import-invalid` with all that is wrong, `records-missing` where nothing can be read: then nothing
 * is imported
 */
export async function importResults(
  { paths: [path = '.'], recordPath }: ImportSettings,
  { console, signal, records, many }: Pick<Tools, 'console' | 'signal' | 'records' | 'many'>,
): Promise<Answer> {
  const problems = new Problems();
  const found: Found[] = [];
  const left: string[] = [];
  await console.section('Results', async () => {
    for (const folder of await many.results(path)) {
      signal.throwIfAborted();
      const { ofFolder, unclaimed } = await take(viewOf(folder, problems), problems);
      found.push(...ofFolder);
      left.push(...unclaimed);
      console.progress('reading', `${counted(found.flatMap(({ runs }) => runs).length, 'run')}`);
    }
  });
  const ready = readyOf(found, problems);
  problems.refuse();
  if (ready.length === 0) throw nothingIn(path, left);
  await using batch = await many.place(recordPath);
  for (const { name, run, record } of ready) {
    signal.throwIfAborted();
    await using writer = await records.create(`${batch.folder}/${name}`);
    // Each waits for the disk.
    for (let at = 0; at < run.answers.length; at += AT_ONCE)
      await Promise.all(run.answers.slice(at, at + AT_ONCE).map(({ channels }) => writer.addBody(channels)));
    await writer.addVocabulary(run.vocabulary);
    await writer.commit(record);
  }
  await batch.commit();
  return answerOf(ready, left, recordPath);
}

function nothingIn(path: string, left: readonly string[]): UserError {
  const names = left.map((name) => excerpt(name.replace(/^\//, ''), 100));
  const packed = names.find((name) => /\.(?:gz|tgz|bz2|xz|zst|zip|tar)$/i.test(name));
  const files =
    names.length === 0
      ? 'no file'
      : `${counted(names.length, 'file')} of no known kind: ${some(names, MAX_NAMED)}`;
  return new UserError(
    'records-missing',
    `${excerpt(path, 300)} holds nothing that can be imported (${files}).`,
    `${packed === undefined ? '' : `Unpack ${packed} first. `}What is read: ${sources.map(({ what }) => what).join('; ')}.`,
  );
}

const MAX_NAMED = 5;

/** Bodies that are written at once. */
const AT_ONCE = 32;

interface Found {
  readonly path: string;
  readonly source: string;
  readonly runs: readonly ImportedRun[];
  readonly environments: readonly ImportedEnvironment[];
}

function viewOf({ path, files, read }: ForeignFolder, problems: Problems): Folder {
  return {
    ...{ path, files },
    async text(name) {
      const result = await read(name);
      if ('text' in result) return result.text;
      problems.add(path === '' ? name : `${path}/${name}`, 1, result.failed);
      return undefined;
    },
  };
}

/** Each source takes its own of what is left. */
async function take(folder: Folder, problems: Problems) {
  const ofFolder: Found[] = [];
  let files = folder.files;
  for (const { name, take: takeOwn } of sources) {
    if (files.length === 0) break;
    const { files: own, runs, environments } = await takeOwn({ ...folder, files }, problems);
    if (own.length === 0) continue;
    files = files.filter((file) => !own.includes(file));
    ofFolder.push({ path: folder.path, source: name, runs, environments });
  }
  return { ofFolder, unclaimed: files.map((file) => `${folder.path}/${file}`) };
}

/** Runs with the environments that lie beside them or above, the nearest first. */
function readyOf(found: readonly Found[], problems: Problems): Ready[] {
  const taken = new Set<string>();
  const used = new Set<Found>();
  const ready = found.flatMap(({ path, source, runs }) => {
    const beside = found
      .filter(({ path: other, environments }) => environments.length > 0 && isWithin(path, other))
      .sort((a, b) => b.path.length - a.path.length);
    for (const one of runs.length > 0 ? beside : []) used.add(one);
    return runs.flatMap((run): Ready[] => {
      const environment = beside
        .flatMap(({ environments }) => environments)
        .reduce(completed, run.environment);
      const name = nameOf(path, run.name, taken);
      try {
        return [{ name, source, run, record: recordOf({ ...run, environment }) }];
      } catch (error) {
        if (!(error instanceof UserError)) throw error;
        problems.add(path === '' ? run.name : path, 1, error.message);
        return [];
      }
    });
  });
  for (const one of found)
    if (one.environments.length > 0 && !used.has(one))
      problems.add(one.path, 1, 'tells an environment, and no run lies beside it or below');
  return ready;
}

const isWithin = (path: string, folder: string) =>
  folder === '' || path === folder || path.startsWith(`${folder}/`);

function nameOf(path: string, run: string, taken: Set<string>): string {
  const parts = [...path.split('/'), run].filter((part) => part !== '').map(partOf);
  const plain = parts.join('/') || 'run';
  let name = plain;
  // Nor may one lie in another's folder.
  for (let again = 2; taken.has(name); again++) name = `${plain}-${again}`;
  taken.add(name);
  return name;
}

const MAX_LINES = 60;

function answerOf(ready: readonly Ready[], left: readonly string[], recordPath: string): Answer {
  const lines = ready.slice(0, MAX_LINES).map(({ name, source, run, record }) => {
    const { gpus } = record.fingerprint.ambient;
    const [gpu] = gpus;
    const where = gpu === undefined ? 'no GPU told' : `${gpus.length} x ${gpu.name}`;
    const channels = [...new Set(run.answers.flatMap(({ channels }) => channels.map((one) => one.name)))];
    return `${name}: ${counted(run.answers.length, 'prompt')} of ${record.suite.name} by ${source}, ${where}; gives ${channels.join(', ')}`;
  });
  const value: ImportAnswer = {
    schema: 'deterministic-ml/import/v1',
    records: ready.map(({ name, source, run, record }) => ({
      ...{ name, source, suite: record.suite.name, prompts: run.answers.length, digest: record.digest },
    })),
  };
  return {
    verdict: 'pass',
    lines: [
      ...lines,
      ...(ready.length > MAX_LINES ? [`… and ${ready.length - MAX_LINES} more`] : []),
      ...(left.length === 0 ? [] : [`Left alone, since no source knows it: ${some(left, MAX_NAMED)}.`]),
      `Imported ${counted(ready.length, 'record')} into ${recordPath}. \`deterministic-ml explain ${recordPath}\` says who agrees with whom, and why.`,
    ],
    value,
  };
}

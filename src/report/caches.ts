import type { Change } from '../fingerprint/diff.ts';
import type { Caches, Lifetime, RunRecord } from '../record/schema.ts';
import { lifetimesOf } from '../record/select.ts';
import type { Notice } from './schema.ts';

type Told = Pick<RunRecord, 'lifetimes' | 'software'>;

const MAX_NAMED = 3;
const MAX_PATH = 80;

/** How what two records found of compiled kernels differs. Without kept caches on a side there is nothing to tell of it. */
export function diffCaches(before: Told, after: Told): Change[] {
  const [then, now] = [givenTo(before), givenTo(after)];
  if (then.asked !== now.asked) return [changed('declared', 'engine.caches', then.asked, now.asked)];
  const [left, right] = [new Map(Object.entries(then.list)), new Map(Object.entries(now.list))];
  const differing = [...new Set([...left.keys(), ...right.keys()])]
    .filter((path) => left.get(path) !== right.get(path))
    .sort();
  if (differing.length === 0) return [];
  const named = differing.slice(0, MAX_NAMED).map(endOf);
  const more = differing.length > MAX_NAMED ? ', …' : '';
  const of = new Set([...left.keys(), ...right.keys()]).size;
  return [
    changed(
      'ambient',
      'kept caches',
      filesIn(left.size),
      `${filesIn(right.size)}; ${differing.length} of ${of} differ: ${named.join(', ')}${more}`,
    ),
  ];
}

/** The end of a path says which file it is: whole names, as many as fit into 80 characters. */
function endOf(path: string): string {
  if (path.length <= MAX_PATH) return path;
  const end = path.slice(-MAX_PATH);
  return `…${end.slice(Math.max(0, end.indexOf('/')))}`;
}

const filesIn = (count: number) => (count === 0 ? 'none' : `${count} ${count === 1 ? 'file' : 'files'}`);

const changed = (half: Change['half'], field: string, before: string, after: string): Change => ({
  ...{ half, field, before, after },
});

/** Of a refresh the start with kept ones stands for it: it is what a check does. */
function givenTo({ lifetimes, software }: Told) {
  const asked = lifetimes.some(({ caches }) => caches !== undefined) ? 'kept' : 'fresh';
  const kept = lifetimes.findLast(({ caches }) => caches?.kind === 'kept');
  return { asked, list: software.get(kept?.software ?? '')?.caches ?? {} };
}

/** What a reader must know of kept caches beside what changed. */
export function ofCaches(record: Pick<RunRecord, 'lifetimes'>): Notice[] {
  const notes = new Map(
    record.lifetimes.flatMap(({ caches }) =>
      (caches?.notes ?? []).map((note) => [`${note.kind} ${note.why}`, note] as const),
    ),
  );
  return [...[...notes.values()].map(noticeOf), ...ofMore(record), ...ofCompilation(record)];
}

function noticeOf({ kind, why }: Caches['notes'][number]): Notice {
  switch (kind) {
    case 'none':
      return {
        level: 'notice',
        title: 'No kept caches',
        message:
          'The suite asks for kept caches, and none are kept here for it: the engine compiled anew. A refresh on this machine keeps what it compiles.',
      };
    case 'refused':
      return {
        level: 'warning',
        title: 'Kept caches were refused',
        message: `What lay on this machine is not what an earlier run had kept: ${why}. It was thrown away, and the engine compiled anew. See what else writes there.`,
      };
    case 'unfit':
      return {
        level: 'warning',
        title: 'Caches could not be kept',
        message: `What the engine left of its caches ${why}. Nothing of it is kept.`,
      };
  }
}

/** The engine wrote more than it was given: kept caches did not spare it all of that. */
function ofMore({ lifetimes }: Pick<RunRecord, 'lifetimes'>): Notice[] {
  const others = lifetimes.flatMap(({ lifetime, caches }) =>
    caches?.kind === 'kept' && caches.after !== null && caches.after.digest !== caches.before.digest
      ? [
          `${lifetime} found ${filesIn(caches.before.files)} and left ${leftOf(caches.before.files, caches.after.files)}`,
        ]
      : [],
  );
  if (others.length === 0) return [];
  return [
    {
      level: 'notice',
      title: 'Kept caches were not all that the engine wanted',
      message: `${others.slice(0, 5).join('; ')}${others.length > 5 ? '; …' : ''}: what is not in them was compiled anew, or could not be loaded (the engine’s log may say why).`,
    },
  ];
}

const leftOf = (before: number, after: number) =>
  before === after ? 'as many, not all the same' : filesIn(after);

/** Starts with kept caches agree with one another, and none with the one that compiled anew. */
function ofCompilation(record: Pick<RunRecord, 'lifetimes'>): Notice[] {
  const measured = lifetimesOf(record).filter(({ caches }) => caches !== undefined);
  const fresh = measured.filter(({ caches }) => caches?.kind === 'fresh');
  const kept = measured.filter(({ caches }) => caches?.kind === 'kept');
  const names = new Set(fresh.flatMap(({ passes }) => passes.map(({ pass }) => pass)));
  const digestsIn = (some: readonly Lifetime[], name: string) =>
    new Set(some.flatMap(({ passes }) => passes.flatMap((one) => (one.pass === name ? one.digest : []))));
  const differs = [...names].filter((name) => {
    const [anew, before] = [digestsIn(fresh, name), digestsIn(kept, name)];
    return anew.size === 1 && before.size === 1 && [...anew][0] !== [...before][0];
  });
  if (differs.length === 0) return [];
  return [
    {
      level: 'warning',
      title: 'What was compiled anew gives other bits',
      message: `The engine start with fresh caches and ${kept.length === 1 ? 'the one' : `all ${kept.length}`} with kept ones differ, in ${differs.join(', ')}: compilation may not repeat here. See \`restart\`.`,
    },
  ];
}

import { some } from '../counted.ts';
import { UserError } from '../errors.ts';
import type { Tools } from '../job/tools.ts';
import { digestJson } from '../record/digest.ts';
import type { RunRecord } from '../record/schema.ts';
import type { Rules } from '../report/schema.ts';
import type { Plan } from '../run/plan.ts';
import { questionsOfPlan } from '../run/requests.ts';
import { type Asked, readAsked } from '../suite/asked.ts';
import type { LoadedPrompt, LoadedSuite, LoadedText } from '../suite/loaded.ts';
import type { Suite } from '../suite/schema.ts';
import type { Ruled } from './judge.ts';

/*
 * What a change no longer asks, or asks otherwise, is what it could hide a drift behind. So a pull request is measured
 * on what its base branch's suite asks too, in the change's own engine, until it is merged.
 */

/**
 * The change's own suite, and beside it each prompt and text of the base branch's that it takes away or alters. Those
 * keep their id, which is the baseline's; what the change makes of `sky` goes by `sky@change`.
 *
 * @throws UserError `prompt-file-invalid` where the base branch's own file cannot be read: then nobody knows what it
 * asks; `github-unavailable`
 */
export async function besideBase(
  { loaded, rules, baseSuite }: Ruled,
  { console, open }: Pick<Tools, 'console' | 'open'>,
): Promise<LoadedSuite> {
  if (rules.kind !== 'base' || baseSuite === undefined) return loaded;
  const both = together(loaded, await askedAt(rules, baseSuite, open.github));
  const leaving = [...both.prompts, ...both.texts].filter((one) => one.leaving).map(({ id }) => id);
  if (leaving.length === 0) return loaded;
  const count = ({ prompts, texts }: Pick<LoadedSuite, 'prompts' | 'texts'>) => prompts.length + texts.length;
  console.info(
    `This change takes away or alters ${leaving.length} prompts and texts of ${rules.ref}, or is behind it: ${some(leaving)}. They are measured too until it is merged: ${count(both)} prompts and texts instead of ${count(loaded)}.`,
  );
  return both;
}

/** What one suite asks beside what another asks; pure. */
export function together(own: LoadedSuite, base: Pick<Asked, 'prompts' | 'texts'>): LoadedSuite {
  const asked = new Map([...own.prompts, ...own.texts].map((one) => [one.id, question(one)]));
  const leaves = (one: LoadedText) => asked.get(one.id) !== question(one);
  const prompts = base.prompts.filter(leaves);
  const texts = base.texts.filter(leaves);
  const taken = new Set([...prompts, ...texts].map(({ id }) => id));
  const nameOf = (id: string) => (taken.has(id) ? `${id}@change` : id);
  const renamed = <T extends LoadedText>(one: T): T => ({ ...one, id: nameOf(one.id) });
  const { places } = own;
  return {
    ...own,
    places: {
      ...places,
      // An annotation about what the base asks under an id stands where the change asks something else.
      prompts: new Map([
        ...places.prompts,
        ...[...places.prompts].map(([id, at]) => [nameOf(id), at] as const),
      ]),
    },
    prompts: [...prompts.map(toLeave), ...own.prompts.map(renamed)],
    texts: [...texts.map(toLeave), ...own.texts.map(renamed)],
  };
}

const toLeave = <T extends LoadedPrompt | LoadedText>(one: T): T => ({ ...one, leaving: true });

/** All that one asks but its id: a prompt has its sampling, a text has none. */
const question = ({ id: _, ...rest }: LoadedText): string => digestJson({ ...rest });

/** Files that are asked for at once. */
const AT_ONCE = 8;

/** Files as git keeps them at that commit: a checkout that converts them asks something else. */
async function askedAt(
  { ref, sha, path }: Extract<Rules, { kind: 'base' }>,
  suite: Suite,
  github: Tools['open']['github'],
): Promise<Asked> {
  const named = [...suite.prompts, ...suite.score].flatMap(({ file }) => file ?? []);
  const files = [...new Set(named.flatMap((name) => inRepository(path, name) ?? []))];
  const texts = new Map<string, string | undefined>();
  const { fileAt } = github();
  while (files.length > 0)
    await Promise.all(files.splice(0, AT_ONCE).map(async (file) => texts.set(file, await fileAt(file, sha))));
  const read = async (name: string): Promise<string> => {
    const file = inRepository(path, name);
    if (file === undefined) throw new Error(`\`${name}\` lies outside the repository`);
    const text = texts.get(file);
    if (text === undefined) throw new Error(`\`${name}\` is no file there`);
    if (text === '') throw new Error(`\`${name}\` is empty`);
    return text;
  };
  const asked = await readAsked(suite, read);
  if (asked.problems.length > 0)
    throw new UserError(
      'prompt-file-invalid',
      `What ${ref} asks is measured too, and at ${sha} not all of it can be read:\n${asked.problems.map(({ id, message }) => `  ${id}: ${message}`).join('\n')}`,
      'Repair the suite or its files on that branch. A `file` is committed UTF-8 text, under its own name and not behind a linked folder.',
    );
  return asked;
}

/** The place that `file` has as `suite` names it; undefined where it climbs out of the repository. */
function inRepository(suite: string, file: string): string | undefined {
  const way: string[] = suite.split('/').slice(0, -1);
  for (const step of file.split('/')) {
    if (step === '' || step === '.') continue;
    if (step !== '..') way.push(step);
    else if (way.pop() === undefined) return undefined;
  }
  return way.join('/');
}

/**
 * Where the base branch has no suite under this name, what it asks cannot be read; but the baseline knows of what it was
 * made. A suite that moves takes all of that along.
 *
 * @throws UserError `pull-request-limited`
 */
export function refuseMovedAndCut(rules: Rules, before: Pick<RunRecord, 'suite'>, plan: Plan): void {
  if (rules.kind !== 'base' || !rules.missing) return;
  const now = questionsOfPlan(plan);
  const lost = [...before.suite.prompts, ...before.suite.texts]
    .filter(({ id, input }) => now.get(id) !== input)
    .map(({ id }) => id);
  if (lost.length === 0) return;
  throw new UserError(
    'pull-request-limited',
    `${rules.ref} has no suite at \`${rules.path}\`, or none that can be read, so that nobody can measure what it asks; and this change no longer asks ${lost.length} of the baseline’s prompts and texts as they were: ${some(lost)}.`,
    'Keep them as they are until the suite has its new place on that branch; take them away or alter them after that.',
  );
}

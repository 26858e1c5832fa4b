import { some } from '../counted.ts';
import { UserError } from '../errors.ts';
import { excerpt } from '../inert.ts';
import type { Asks, SuiteNeed, SuiteSettings } from '../job/settings.ts';
import type { Tools } from '../job/tools.ts';
import type { Rules, SuiteChange } from '../report/schema.ts';
import { nameOfRelation, requirementOf } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import { type Suite, type SuiteSchema, wholeSuite } from '../suite/schema.ts';
import { suiteAt } from './base-suite.ts';
import { ownBranch } from './branches.ts';
import { type Permission, permit } from './events.ts';

/** A suite as this run follows it, and what the run may do. */
export interface Ruled {
  readonly loaded: LoadedSuite;
  readonly permission: Permission;
  /** The branch of this run, where it keeps baselines of its own (`ownBranch`). */
  readonly branches: readonly string[];
  readonly rules: Rules;
  /** The base branch's own, where that judges and has one that can be read. */
  readonly baseSuite: Suite | undefined;
}

/** What a change cannot decide about itself: these keys are the base branch's. */
const STRICT = ['policy', 'relations', 'depth', 'baseline', 'variants'] as const;
/** The name chooses the baseline. */
const JUDGING = ['name', ...STRICT] as const;

/**
 * The suite of the checkout. On a pull request everything that judges, and every mount, comes from the base branch
 * instead, which no change can touch before it is merged: a pull request cannot switch its own judge off.
 *
 * @throws UserError before anything is started: `event-refused`, `refresh-not-allowed`, `pull-request-limited`,
 * `github-unavailable`, and what `open.suite` throws
 */
export async function loadRuled(
  settings: SuiteSettings & Asks<SuiteNeed>,
  tools: Pick<Tools, 'console' | 'open' | 'suiteSchema'>,
): Promise<Ruled> {
  const { situation, mode } = settings;
  // Before the suite is read: whoever may not start anything is told so whatever it may say of store and branch.
  permit(mode, situation, 'any', [situation.ref]);
  const loaded = await tools.open.suite(settings.suite);
  const store = tools.open.store(loaded.suite.baseline);
  const branches = await ownBranch(settings, loaded, store, tools);
  const permission = permit(mode, situation, store.branches, branches);
  const { base } = situation;
  if (permission.judge === 'checkout' || base === undefined)
    return { loaded, permission, branches, rules: { kind: 'checkout' }, baseSuite: undefined };

  const { found, sha } = await tools.console.section('Suite of the base branch', () =>
    suiteAt(base, loaded.places.file, tools),
  );
  refuseMounts(loaded, found);
  refuseEndpoint(loaded, found, permission);
  if (permission.limits === 'fork') {
    refuseForeign(loaded, found, base, settings.runtime);
    await refuseForeignProgram(loaded, { ref: base, sha }, tools);
  }
  // Without a suite there, the schema's own defaults beside what the change itself asks for: nothing is let off.
  const judge = found === undefined ? strict(loaded.suite, tools.suiteSchema) : settled(found);
  const judging = Object.fromEntries(JUDGING.map((key) => [key, judge[key]]));
  return {
    loaded: { ...loaded, suite: { ...loaded.suite, ...judging } },
    permission,
    branches,
    baseSuite: found,
    rules: {
      kind: 'base',
      ref: base,
      sha,
      path: loaded.places.file,
      missing: found === undefined,
      asks: found === undefined ? null : found.prompts.length + found.score.length,
      changes: found === undefined ? [] : changesOf(found, loaded.suite),
    },
  };
}

/** Whatever the change leaves out or eases, it is held to the defaults. */
function strict({ said, ...own }: Suite, schema: SuiteSchema): Suite {
  const defaults = wholeSuite(
    schema.parse({ ...own, ...Object.fromEntries(STRICT.map((key) => [key, undefined])) }),
  );
  const named = new Set(defaults.relations.map(nameOfRelation));
  return {
    ...own,
    ...defaults,
    relations: [...defaults.relations, ...own.relations.filter((entry) => !named.has(nameOfRelation(entry)))],
  };
}

/** Every relation with its requirement: one that follows from `engine.env` must follow from the judge's own. */
function settled(judge: Suite): Suite {
  return {
    ...judge,
    relations: judge.relations.map((entry) => ({
      name: nameOfRelation(entry),
      require: requirementOf(entry, judge),
    })),
  };
}

/** A folder of the runner is mounted into the engine: which, only the base branch decides. */
function refuseMounts({ suite, places, modelFolder }: LoadedSuite, base: Suite | undefined): void {
  if (modelFolder === undefined) return;
  const path = suite.model.path;
  switch (modelFolder.lies) {
    case 'inside':
      return;
    case 'outside':
      if (path === base?.model?.path) return;
      break;
    case 'behind-a-link':
  }
  throw limited(
    `The pull request wants the model from ${path}, a folder of the runner outside of the repository, and its base branch ${base === undefined ? 'has no suite' : 'does not'}.`,
    'Merge the new path first; or use a model of the hub, `model: { id, revision }`, or a folder of the repository.',
    { file: places.file, ...places.model, message: 'a pull request cannot choose a folder of the runner' },
  );
}

/**
 * What a variant of the base branch's suite mounts, that suite decides; where it lies in the checkout, the change could have
 * put a link there.
 *
 * @throws UserError `pull-request-limited`
 */
export function refuseVariantMount(
  { judge, limits }: Permission,
  { modelFolder, places, suite }: LoadedSuite,
): void {
  if (judge === 'checkout' || modelFolder === undefined) return;
  const { lies } = modelFolder;
  if (lies === 'outside' || (lies === 'inside' && limits === 'none')) return;
  throw limited(
    `A variant wants the model from ${suite.model.path}, which lies in the repository${lies === 'inside' ? '' : ' behind a link'}: the pull request could have put it there.`,
    'Name a folder of the runner outside of the checkout, or a model of the hub.',
    { file: places.file, ...places.model, message: 'a pull request cannot choose the model of a variant' },
  );
}

/**
 * A variant that asks an endpoint: never for a stranger's change, and only where the base branch's suite itself says whom.
 *
 * @param change of the base branch's suite, wherever that judges
 * @throws UserError `pull-request-limited`
 */
export function refuseVariantEndpoint(
  { judge, limits }: Permission,
  own: LoadedSuite,
  { suite, places }: LoadedSuite,
  change: { readonly args?: Readonly<Record<string, unknown>> | undefined },
): void {
  if (suite.model.served === undefined || judge === 'checkout') return;
  const isNamed = change.args?.['url'] !== undefined || own.suite.model.served !== undefined;
  if (limits === 'none' && isNamed) return;
  throw limited(
    `A variant asks the endpoint ${excerpt(String(suite.engine.args['url']), 300)}${limits === 'fork' ? ', and this pull request comes from another repository: whatever it asks would be paid with the key of this one' : ', which the variant itself does not name: the pull request could have'}.`,
    'Name `url` under the variant’s own `args`; a pull request from another repository asks no endpoint.',
    { file: places.file, ...places.engine, message: 'a pull request cannot choose who gets the key' },
  );
}

/**
 * Prompts and the key go where the suite says, and where that is only the base branch decides. A stranger's change asks
 * nobody: each of its prompts would be paid with the repository's key.
 */
function refuseEndpoint(
  { suite, places }: LoadedSuite,
  base: Suite | undefined,
  { limits }: Permission,
): void {
  if (suite.model.served === undefined) return;
  const place = (message: string) => ({ file: places.file, ...places.engine, message });
  if (limits === 'fork')
    throw limited(
      'This pull request comes from another repository, and its suite asks an endpoint: whatever it asks would be sent, and paid, with the key of this repository.',
      'Whoever trusts the change can bring it into a branch of this repository, where it is checked.',
      place('a pull request from another repository asks no endpoint'),
    );
  const [own, theirs] = [suite, base].map((one) => one?.engine.args['url']);
  if (base?.model.served !== undefined && own === theirs) return;
  throw limited(
    `The pull request asks the endpoint ${excerpt(String(own), 300)}, and its base branch ${base?.model.served === undefined ? 'asks none in this suite' : `asks ${excerpt(String(theirs), 300)}`}: the key must not follow a change that nobody has approved.`,
    'Merge the new `url` first; then pull requests are checked against it.',
    place('a pull request cannot choose who gets the key'),
  );
}

/** A stranger's change is measured in the engine that the base branch names, and nowhere else. */
function refuseForeign(
  { suite, modelFolder }: LoadedSuite,
  base: Suite | undefined,
  ref: string,
  runtime: SuiteSettings['runtime'],
): void {
  const own: readonly (readonly [string, (suite: Suite) => unknown])[] = [
    ['runtime', (one) => one.runtime],
    ['model', (one) => one.model],
    // Arguments too can load code: plugins, classes of workers, remote code.
    ['engine', (one) => one.engine],
  ];
  const image = base?.runtime.image;
  const isBare = runtime === 'process' || runtime === 'launcher';
  if (base === undefined || image === undefined || isBare)
    throw limited(
      `This pull request comes from another repository, and ${ref} ${base === undefined ? 'has no suite' : image === undefined ? 'names no `runtime.image`' : `is checked by \`runtime: ${runtime}\``}: it would run on the machine itself.`,
      'Name a pinned image in the suite of the base branch; or bring the change into a branch of this repository.',
    );
  const changed = own.filter(([, of]) => JSON.stringify(of(suite)) !== JSON.stringify(of(base)));
  if (modelFolder !== undefined && modelFolder.lies !== 'outside')
    throw limited(
      'This pull request comes from another repository, and the model lies in the repository itself: it could bring its own.',
      'Take the model from the hub, `model: { id, revision }`, or from a folder of the runner outside of the checkout.',
    );
  if (changed.length > 0)
    throw limited(
      `This pull request comes from another repository and changes ${changed.map(([name]) => `\`${name}\``).join(' and ')} of the suite, which decide what runs on this machine.`,
      'Whoever trusts the change can bring it into a branch of this repository, where it is checked.',
    );
}

/**
 * What the engine runs of the repository's own files must be what the base branch has, as the image must: compared is
 * what would be run, with what git has there, whatever the change's attributes made of the checkout.
 *
 * @throws UserError `pull-request-limited`, `github-unavailable`
 */
async function refuseForeignProgram(
  { program, places }: LoadedSuite,
  { ref, sha }: { readonly ref: string; readonly sha: string },
  { open }: Pick<Tools, 'open'>,
): Promise<void> {
  if (program === undefined) return;
  const github = open.github();
  const changed: string[] = [];
  for (const { path, text } of program.files)
    if ((await github.fileAt(path, sha)) !== text) changed.push(path);
  if (changed.length === 0) return;
  throw limited(
    `This pull request comes from another repository, and the engine would run ${some(changed)}, which ${changed.length === 1 ? 'is' : 'are'} not what ${ref} has there: that decides what runs on this machine.`,
    'Whoever trusts the change can bring it into a branch of this repository, where it is checked. If the change did not touch them, update it to its base branch; a linked file is none that git has there.',
    { file: places.file, ...places.engine, message: 'a stranger’s change cannot alter what the engine runs' },
  );
}

function limited(message: string, hint: string, place?: UserError['places'][number]): UserError {
  return new UserError('pull-request-limited', message, hint, { places: place === undefined ? [] : [place] });
}

/** Every key in which the two differ, in dotted form. */
function changesOf(base: Suite, own: Suite): SuiteChange[] {
  const [before, after] = [leaves(base), leaves(own)];
  return [...new Set([...before.keys(), ...after.keys()])].sort().flatMap((field): SuiteChange[] => {
    const [left = ABSENT, right = ABSENT] = [before.get(field), after.get(field)];
    const inForce = !JUDGING.some((key) => field === key || field.startsWith(`${key}.`));
    return left === right ? [] : [{ field, before: left, after: right, inForce }];
  });
}

const ABSENT = '(absent)';

function leaves(value: unknown, prefix = '', into = new Map<string, string>()): Map<string, string> {
  if (typeof value === 'object' && value !== null)
    for (const [key, member] of Object.entries(value))
      leaves(member, prefix === '' ? nameOf(key, member) : `${prefix}.${nameOf(key, member)}`, into);
  else into.set(prefix, typeof value === 'string' ? value : (JSON.stringify(value) ?? ABSENT));
  return into;
}

/** An entry of a list goes by its id or name: one more at the top is one change, not as many as there are. */
function nameOf(key: string, member: unknown): string {
  if (!/^\d+$/.test(key) || typeof member !== 'object' || member === null) return key;
  for (const name of ['id', 'name', 'record'] as const) {
    const told = (member as Readonly<Record<string, unknown>>)[name];
    if (typeof told === 'string') return told;
  }
  return key;
}

import { digestJson } from '../record/digest.ts';
import type { RunRecord } from '../record/schema.ts';
import { differences, environmentOf } from '../report/environment.ts';
import { rootsOf } from '../report/roots.ts';
import { makePlan } from '../run/plan.ts';
import type { LoadedSuite } from '../suite/loaded.ts';
import type { Suite, SuiteSchema } from '../suite/schema.ts';
import { roughly } from '../suite/serve.ts';

/** One change of what the repository declares, which a run can do without. */
export interface DeclaredChange {
  /** As the suite has it, e.g. `engine.args.dtype`. */
  readonly name: string;
  readonly before: string;
  readonly after: string;
  /** The suite with what the baseline's had in its place. */
  putBack(suite: Suite): Suite;
}

/** One that no suite of today can put back, and why. */
export interface Fixed {
  readonly name: string;
  readonly why: string;
}

export interface Declared {
  /** The likeliest to move bits first. */
  readonly changes: readonly DeclaredChange[];
  readonly fixed: readonly Fixed[];
}

type Told = Pick<RunRecord, 'fingerprint' | 'lifetimes' | 'software'>;

/**
 * What the repository changed between a baseline and a run, each to be put back by itself: the suite as it was is only
 * known by what the baseline's record declares. Whatever no suite may say, or would not come back by it, is fixed.
 *
 * @param now of the suite as it is
 */
export function declaredChanges(before: Told, now: Told, loaded: LoadedSuite, schema: SuiteSchema): Declared {
  const { changes: all, byRelations } = differences(before, now);
  const changes: DeclaredChange[] = [];
  const fixed: Fixed[] = [];
  for (const { name, kind, changes: facts } of rootsOf(all)) {
    const found = backTo(before, name, kind, loaded);
    if (typeof found === 'string') {
      fixed.push({ name, why: found });
      continue;
    }
    const problem = problemOf(found.putBack(loaded.suite), found, loaded, schema);
    if (problem !== undefined) {
      fixed.push({ name, why: problem });
      continue;
    }
    const [fact] = facts.toSorted((a, b) => telling(a.field) - telling(b.field));
    const [left, right] = [fact?.before ?? '', fact?.after ?? ''];
    changes.push({ name, before: left, after: right, putBack: found.putBack });
  }
  for (const { field } of byRelations)
    fixed.push({
      name: field.replace(/^engine\.requested\./, 'engine.args.'),
      why: 'the refresh was asked for other relations',
    });
  const hasImage = changes.some(({ name }) => name === 'runtime.image');
  return {
    changes: changes.sort((a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1)),
    // What an image sets comes and goes with it.
    fixed: fixed.filter(({ name }) => !(hasImage && name.startsWith('engine.env.'))),
  };
}

interface Back {
  putBack(suite: Suite): Suite;
  /** What a plan of such a suite must have for it to be as it was. */
  isBack(plan: ReturnType<typeof makePlan>): boolean;
}

/** Or why not. */
function backTo(
  before: Told,
  name: string,
  kind: ReturnType<typeof rootsOf>[number]['kind'],
  { suite, modelFolder }: LoadedSuite,
): Back | string {
  const { declared, ambient } = before.fingerprint;
  switch (kind) {
    case 'argument':
      return argument(environmentOf(before).settings.requested, name.replace('engine.args.', ''));
    case 'variable': {
      const variable = name.replace('engine.env.', '');
      const value = declared.environment[variable];
      return {
        putBack: (one) => withEngine(one, { env: replaced(one.engine.env, variable, value) }),
        // One that is not the suite's own stays, whoever set it.
        isBack: ({ environment }) =>
          environment[variable] === value && (value !== undefined || variable in suite.engine.env),
      };
    }
    case 'model': {
      const { label, revision } = declared.model;
      if (modelFolder !== undefined || revision === 'none')
        return 'of a folder only digests are known, and no files to put back';
      return {
        putBack: (one) => ({ ...one, model: { id: label, revision } }),
        // The same commit with other files is nothing that another one would mend.
        isBack: () => suite.model.id !== label || suite.model.revision !== revision,
      };
    }
    case 'image': {
      const { reference } = declared.image;
      if (ambient.runtime !== 'docker' || suite.runtime.image === undefined)
        return 'only one of the two ran in a container';
      return {
        putBack: (one) => ({ ...one, runtime: { ...one.runtime, image: reference } }),
        isBack: () => suite.runtime.image !== reference,
      };
    }
    case 'other':
      return 'it is no setting of the suite';
  }
}

function argument(requested: Readonly<Record<string, unknown>>, name: string): Back {
  const value = requested[name];
  const isThere = name in requested;
  return {
    putBack: (suite) => withEngine(suite, { args: replaced(suite.engine.args, name, value) }),
    isBack: ({ args, serve }) =>
      isThere
        ? name in args && digestJson({ value: args[name] }) === digestJson({ value })
        : !(name in args) && !(name in roughly(serve?.words ?? [])),
  };
}

/** Without one that was not there. */
function replaced<T>(all: Readonly<Record<string, T>>, name: string, value: unknown): Record<string, T> {
  const { [name]: _, ...others } = all;
  return value === undefined ? others : { ...others, [name]: value as T };
}

const withEngine = (suite: Suite, engine: Partial<Suite['engine']>): Suite => ({
  ...suite,
  engine: { ...suite.engine, ...engine },
});

/** Why it would not be as it was; undefined where it would. */
function problemOf(
  { said, ...suite }: Suite,
  { isBack }: Back,
  loaded: LoadedSuite,
  schema: SuiteSchema,
): string | undefined {
  const read = schema.safeParse(suite);
  // What a baseline tells of its environment may be the runner's, or what no suite may ask for.
  if (!read.success) return 'a suite may not say what the baseline’s record has';
  return isBack(makePlan({ ...loaded, suite: { ...suite, ...(said && { said }) } }, 'check'))
    ? undefined
    : 'what it is now is not the suite’s to say';
}

/** Of the facts of one change, that which a reader knows it by. */
const telling = (field: string) => (/^(?:image\.reference|model\.revision)$/.test(field) ? 0 : 1);

/** Names of what chooses kernels or number formats: of arguments, these are looked at first. */
const OF_NUMBERS = /dtype|quant|attention|attn|kv_cache|compil|cudagraph|eager|parallel|batch|backend/i;

/** What moves most comes first: all that is installed, the weights, then what asks for other numbers. */
function rank({ name }: DeclaredChange): number {
  if (name === 'runtime.image') return 0;
  if (name === 'model') return 1;
  return (OF_NUMBERS.test(name) ? 2 : 4) + (name.startsWith('engine.args.') ? 0 : 1);
}

import { type Change, type Suite, type SuiteSchema, wholeSuite } from './schema.ts';

/** Arguments that every engine calls so: they stay where a change names another engine, and no other does. */
const COMMON = ['dtype', 'max_model_len'];

/** A suite with a change made to it, or why there is none: a sentence each. */
export type Changed = { readonly ok: Suite } | { readonly problems: readonly string[] };

/**
 * The suite with a change made to it: the same questions, to something else. What the suite says of one engine says nothing
 * of another, so that of its arguments only the common ones go with it.
 */
export function withChange(suite: Suite, change: Change, schema: SuiteSchema): Changed {
  // A variant has none of its own, and calls no probes: it stands beside its suite, and no baseline.
  const { said, variants: _, probes: __, ...own } = suite;
  const { engine, image, model, gpus, args, env } = change;
  const isOther = engine !== undefined && engine !== suite.engine.name;
  const kept = isOther
    ? {
        name: engine,
        args: Object.fromEntries(
          COMMON.flatMap((name) => (name in own.engine.args ? [[name, own.engine.args[name]]] : [])),
        ),
        env: {},
        caches: own.engine.caches,
      }
    : own.engine;
  const read = schema.safeParse({
    ...own,
    ...(model === undefined ? {} : { model }),
    engine: { ...kept, args: { ...kept.args, ...args }, env: { ...kept.env, ...env } },
    runtime: {
      ...own.runtime,
      ...(image === undefined ? {} : { image }),
      ...(gpus === undefined ? {} : { gpus }),
    },
  });
  if (!read.success)
    return { problems: read.error.issues.map(({ path, message }) => `\`${path.join('.')}\`: ${message}`) };
  const whole = wholeSuite(read.data);
  return { ok: said === undefined || isOther ? whole : { ...whole, said } };
}

/** What a change changes, in the words of a command line: `gpus 2, dtype=float16`. Not yet inert. */
export function changeWords({ engine, image, model, gpus, args = {}, env = {} }: Change): string {
  const told = [
    engine === undefined ? '' : `engine ${engine}`,
    image === undefined ? '' : `image ${image}`,
    model === undefined ? '' : `model ${model.path ?? `${model.id}@${model.revision}`}`,
    gpus === undefined ? '' : `gpus ${gpus}`,
    ...Object.entries(args).map(([name, value]) => `${name}=${said(value)}`),
    ...Object.entries(env).map(([name, value]) => `${name}=${value}`),
  ].filter((part) => part !== '');
  return told.length === 0 ? 'nothing' : told.join(', ');
}

const said = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));

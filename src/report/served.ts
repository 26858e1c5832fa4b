import type { RelationResult } from '../compare/types.ts';
import { engines } from '../engine/engines/index.ts';
import type { EngineSettings } from '../fingerprint/schema.ts';
import type { RunRecord } from '../record/schema.ts';
import type { Notice } from './schema.ts';

type Told = Pick<RunRecord, 'fingerprint' | 'lifetimes'>;

const engineOf = ({ fingerprint }: Told) =>
  engines.find(({ name }) => name === fingerprint.declared.engine.name);

/** Files that a server reads and this run did not, where they are others than the baseline's: no bits show it. */
export function unread({
  record,
  before,
}: {
  readonly record: Told;
  readonly before: Told | undefined;
}): Notice[] {
  const [settings, then] = [record.lifetimes[0]?.settings, before?.lifetimes[0]?.settings];
  if (before === undefined || settings === undefined) return [];
  const digests = (side: Told) =>
    new Map(side.fingerprint.declared.model.files.map(({ path, sha256 }) => [path, sha256]));
  const [old, now] = [digests(before), digests(record)];
  return (engineOf(record)?.unread(settings.effective) ?? []).flatMap(({ files, by, remedy }) =>
    files
      .filter((file) => old.get(file) !== now.get(file))
      .flatMap((file): Notice[] => {
        const changes = changed(then?.unread?.[file], settings.unread?.[file]);
        // What differs in it is nothing that a server reads and this run does not.
        if (changes?.length === 0) return [];
        const what = changes === undefined ? '' : ` (${changes.join(', ')})`;
        return [
          {
            level: 'notice',
            title: 'A file that serving reads has changed, and this run does not read it',
            message: `\`${file}\` of the model is another than the baseline’s${what}: what a server takes from it is not measured under ${by}; ${remedy}.`,
          },
        ];
      }),
  );
}

type Values = NonNullable<EngineSettings['unread']>[string];

/** Undefined where one side does not know what stands in it. */
function changed(before: Values | undefined, after: Values | undefined): string[] | undefined {
  if (before === undefined || after === undefined) return undefined;
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names
    .filter((name) => before[name] !== after[name])
    .map((name) => `\`${name}\` ${before[name] ?? 'unsaid'} → ${after[name] ?? 'unsaid'}`);
}

/** What such a run stands on: what was set after all, what the model says, and what could be held. */
export function asServed({
  record,
  relations,
}: {
  readonly record: Told;
  readonly relations: readonly Pick<RelationResult, 'relation' | 'status'>[];
}): Notice[] {
  const settings = record.lifetimes[0]?.settings;
  const served = settings?.served;
  if (settings === undefined || served === undefined) return [];
  const sentences = [
    ...(served.defaults === 'as-served' ? [...needed(record), sampling(settings)] : []),
    held(relations),
    listed('Left out of the command line, since the engine computes without it', served.dropped),
    listed('Given way to `engine.args`', served.overruled),
  ];
  return [
    {
      level: 'notice',
      title:
        served.defaults === 'as-served'
          ? 'Measured as it is served'
          : 'Measured by a deployment’s command line',
      message: sentences.filter((one) => one !== '').join(' '),
    },
  ];
}

function needed(record: Told): string[] {
  const own = engineOf(record)?.served;
  if (own === undefined) return [];
  const { args, environment, reasons } = own;
  const because = (name: string) => (reasons[name] === undefined ? '' : ` (${reasons[name]})`);
  const set = [
    ...Object.entries(args).map(([name, value]) => `\`${name}: ${value}\`${because(name)}`),
    ...Object.entries(environment).map(([name, value]) => `\`${name}=${value}\`${because(name)}`),
  ];
  return [
    `Nothing is set beside the suite’s own but what the harness needs: ${set.join('; ')}; and a seed for each request, without which no draw repeats.`,
    'Each prompt begins with an empty prefix cache, so that a repeat repeats its prefill.',
  ];
}

function sampling({ effective }: EngineSettings): string {
  const told = Object.entries(effective).flatMap(([name, value]) =>
    name.startsWith('sampling.') ? [`\`${name.slice('sampling.'.length)}\` ${value}`] : [],
  );
  return told.length === 0 ? '' : `Where the suite’s \`sampling\` says nothing, it is ${told.join(', ')}.`;
}

/** What a relation shows of such an engine is no less than of another: what is unmeasured, the relation says why. */
function held(relations: readonly Pick<RelationResult, 'relation' | 'status'>[]): string {
  const of = (...statuses: readonly RelationResult['status'][]) =>
    relations.filter(({ status }) => statuses.includes(status)).map(({ relation }) => `\`${relation}\``);
  return [
    listed('Relations that could be held to a requirement', of('held', 'broken')),
    listed('only looked at', of('measured')),
    listed('unmeasured, each with its reason', of('unmeasured')),
  ]
    .filter((one) => one !== '')
    .map((one) => one.slice(0, -1))
    .join('; ')
    .replace(/$/, relations.length === 0 ? '' : '.');
}

const listed = (what: string, names: readonly string[]) =>
  names.length === 0 ? '' : `${what}: ${names.join(', ')}.`;

import type { EngineSettings, Fingerprint } from './schema.ts';

/** One fact that is not the same on both sides. `declared`: the repository's doing; `ambient`: the runner's. */
export interface Change {
  readonly half: 'declared' | 'ambient';
  readonly field: string;
  readonly before: string;
  readonly after: string;
}

/** An environment: the fingerprint, and what the engine said of itself once it had loaded. */
export interface Environment {
  readonly fingerprint: Fingerprint;
  readonly settings: EngineSettings;
}

/** In place of a fact that one of two does not have. */
export const ABSENT = '(absent)';

/** Facts that records have not always had: that one of two lacks such a fact is no difference of their machines. */
const LATER =
  /^(?:ambient\.(?:topology|gpus\[\d+\]\.(?:vendor|vbios|mig))|declared\.engine\.effective\.(?:ranks|collectives|nccl\..+))$/;

/** Every fact that differs: what was asked for first, then what came of it, then the runner's; by name within. */
export function diffEnvironments(before: Environment, after: Environment): Change[] {
  const [left, right] = [facts(before), facts(after)];
  const fields = [...new Set([...left.keys(), ...right.keys()])].sort();
  const changes = fields.flatMap((field): Change[] => {
    const [a = ABSENT, b = ABSENT] = [left.get(field), right.get(field)];
    return a === b || (LATER.test(field) && (a === ABSENT || b === ABSENT))
      ? []
      : [
          {
            half: field.startsWith('declared.') ? 'declared' : 'ambient',
            field: field.slice(field.indexOf('.') + 1),
            before: a,
            after: b,
          },
        ];
  });
  return changes.filter((change) => !repeats(change, changes)).sort((a, b) => rank(a) - rank(b));
}

/** An effective setting that is just what was asked for says nothing more. */
function repeats({ field, before, after }: Change, changes: readonly Change[]): boolean {
  if (!field.startsWith(EFFECTIVE)) return false;
  const asked = `engine.requested.${field.slice(EFFECTIVE.length)}`;
  return changes.some((other) => other.field === asked && other.before === before && other.after === after);
}

const EFFECTIVE = 'engine.effective.';

/** What the suite asks for explains most; what the engine made of it follows; the runner's own comes last. */
function rank({ half, field }: Change): number {
  if (half === 'ambient') return 2;
  return field.startsWith(EFFECTIVE) ? 1 : 0;
}

function facts({ fingerprint, settings }: Environment): Map<string, string> {
  const { declared, ambient } = fingerprint;
  const { model, program = [], ...rest } = declared;
  const found = new Map<string, string>();
  flatten('declared', { ...rest, model: { label: model.label, revision: model.revision } }, found);
  for (const file of model.files) found.set(`declared.model.files.${file.path}`, `sha256:${file.sha256}`);
  for (const file of program) found.set(`declared.program.${file.path}`, `sha256:${file.sha256}`);
  flatten('declared.engine.requested', settings.requested, found);
  // What an engine says nothing of is not there: another version may have a name for it.
  const effective = Object.entries(settings.effective).filter(([, value]) => value !== null);
  flatten('declared.engine.effective', Object.fromEntries(effective), found);
  flatten('ambient', ambient, found);
  return found;
}

function flatten(prefix: string, value: unknown, into: Map<string, string>): void {
  if (Array.isArray(value)) for (const [i, item] of value.entries()) flatten(`${prefix}[${i}]`, item, into);
  else if (typeof value === 'object' && value !== null)
    for (const [key, item] of Object.entries(value)) flatten(`${prefix}.${key}`, item, into);
  else into.set(prefix, typeof value === 'string' ? value : JSON.stringify(value));
}

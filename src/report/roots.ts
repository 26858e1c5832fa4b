import type { Change } from '../fingerprint/diff.ts';

/** What one line of a suite decides: all facts that follow from it. */
export interface Root {
  /** As the suite has it, e.g. `engine.args.dtype`; of what no line of it decides, the facts' own name. */
  readonly name: string;
  readonly kind: 'image' | 'model' | 'argument' | 'variable' | 'other';
  readonly changes: readonly Change[];
}

/**
 * The repository's changes by what decides them: of a changed image, its versions and packages too. What the engine made of
 * its settings follows from them and is left out, and so is what the runner changed.
 */
export function rootsOf(changes: readonly Change[]): Root[] {
  const declared = changes.filter(({ half, field }) => half === 'declared' && !FOLLOWS.test(field));
  const hasImage = declared.some(({ field }) => field.startsWith('image.'));
  const roots = Map.groupBy(declared, ({ field }) => rootOf(field, hasImage).name);
  return [...roots].map(([name, of]) => ({ ...rootOf(of[0]?.field ?? '', hasImage), name, changes: of }));
}

/** What the engine made of what it was asked for, and loaded for it. */
const FOLLOWS = /^engine\.effective\.|^shared objects$/;

function rootOf(field: string, hasImage: boolean): Omit<Root, 'changes'> {
  const argument = /^engine\.requested\.([^.[]+)/.exec(field)?.[1];
  if (argument !== undefined) return { name: `engine.args.${argument}`, kind: 'argument' };
  const variable = /^environment\.(.+)$/.exec(field)?.[1];
  if (variable !== undefined) return { name: `engine.env.${variable}`, kind: 'variable' };
  if (field.startsWith('model.')) return { name: 'model', kind: 'model' };
  if (field.startsWith('image.') || (hasImage && isInImage(field)))
    return { name: 'runtime.image', kind: 'image' };
  return { name: field, kind: 'other' };
}

/** What an image brings along. */
const isInImage = (field: string) => /^(?:libraries|packages)\.|^engine\.version$/.test(field);

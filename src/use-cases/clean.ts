import { counted } from '../counted.ts';
import { UserError } from '../errors.ts';
import type { CleanSettings } from '../job/settings.ts';
import type { Leftover, Tools } from '../job/tools.ts';
import type { Answer } from '../report/answer.ts';
import type { CleanAnswer } from '../report/answers.ts';

const DAY_MS = 24 * 3600 * 1000;

/**
 * What earlier runs keep on this machine; what was not used for as many days as are named is deleted.
 *
 * @throws UserError `input-invalid` for anything but a number of days: what a run uses now is never a day old
 */
export async function clean(
  { days: asked }: CleanSettings,
  { open }: { readonly open: Pick<Tools['open'], 'leftovers'> },
  now: () => number = Date.now,
): Promise<Answer> {
  const days = asked === undefined ? undefined : daysOf(asked);
  const all = (await open.leftovers()).toSorted((a, b) => a.usedAt.getTime() - b.usedAt.getTime());
  const told = [];
  for (const one of all) {
    const isOld = days !== undefined && now() - one.usedAt.getTime() > days * DAY_MS;
    told.push({ ...one, state: isOld ? await removed(one) : 'kept' });
  }
  const gone = told.filter(({ state }) => state === 'removed');
  const failed = told.filter(({ state }) => state !== 'removed' && state !== 'kept').length;
  const kept = told.filter(({ state }) => state !== 'removed');
  const last =
    days === undefined
      ? `${sum(kept)}. \`deterministic-ml clean 30\` deletes what was not used for 30 days.`
      : `Removed ${sum(gone)}; kept ${sum(kept)}${failed > 0 ? `, of which ${failed} could not be removed` : ''}.`;
  const value: CleanAnswer = {
    schema: 'deterministic-ml/clean/v1',
    folders: told.map(({ what, path, bytes, usedAt, state }) => ({
      ...{ what, path, bytes, state },
      usedAt: usedAt.toISOString(),
    })),
  };
  return {
    verdict: failed > 0 ? 'warn' : 'pass',
    lines: [
      ...told.map(
        ({ what, path, bytes, usedAt, state }) =>
          `${state}: ${what}, ${sizeOf(bytes)}, last used ${usedAt.toISOString().slice(0, 10)}: ${path}`,
      ),
      last,
    ],
    value,
  };
}

function daysOf(asked: string): number {
  const days = /^\d{1,4}$/.test(asked) ? Number(asked) : 0;
  if (days >= 1) return days;
  throw new UserError(
    'input-invalid',
    `\`${asked}\` is no number of days.`,
    'Name a whole number from 1 on, as in `deterministic-ml clean 30`, or none to see what is there.',
  );
}

async function removed(one: Leftover): Promise<string> {
  try {
    await one.remove();
    return 'removed';
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
    return `not removed (${code})`;
  }
}

const sum = (of: readonly Pick<Leftover, 'bytes'>[]) =>
  `${counted(of.length, 'folder')}, ${sizeOf(of.reduce((bytes, one) => bytes + one.bytes, 0))}`;

/** `12.3 GB`, `0.4 MB`. */
const sizeOf = (bytes: number) =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;

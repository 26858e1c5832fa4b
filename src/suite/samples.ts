import type { Path } from './offsets.ts';

/** `sky`, `sky#2`, …: no suite can give a prompt such an id. */
export const sampleIds = (id: string, n = 1): string[] =>
  Array.from({ length: n }, (_, index) => (index === 0 ? id : `${id}#${index + 1}`));

interface Lengths {
  readonly min_tokens?: number | undefined;
  readonly max_tokens?: number | undefined;
}

/** Where an answer would have to be longer than it may be. */
export function* neverLongEnough({
  sampling,
  prompts,
}: {
  readonly sampling: Lengths;
  readonly prompts: readonly { readonly sampling?: Lengths | undefined }[];
}): Generator<Path> {
  const never = ({ min_tokens = 0, max_tokens = Number.POSITIVE_INFINITY }: Lengths) =>
    min_tokens > max_tokens;
  if (never(sampling)) yield ['sampling', 'min_tokens'];
  for (const [index, { sampling: own }] of prompts.entries()) {
    if (own?.min_tokens === undefined && own?.max_tokens === undefined) continue;
    const { min_tokens = sampling.min_tokens, max_tokens = sampling.max_tokens } = own;
    if (never({ min_tokens, max_tokens }))
      yield ['prompts', index, 'sampling', own.min_tokens === undefined ? 'max_tokens' : 'min_tokens'];
  }
}

interface Draws {
  readonly temperature?: number | undefined;
  readonly n?: number | undefined;
}

/** Where several answers are asked for and nothing is drawn. */
export function* drawnAlike({
  sampling,
  prompts,
}: {
  readonly sampling: Draws;
  readonly prompts: readonly { readonly sampling?: Draws | undefined }[];
}): Generator<Path> {
  const several = ({ n = 1, temperature = 0 }: Draws) => n > 1 && temperature === 0;
  if (several(sampling)) yield ['sampling', 'n'];
  for (const [index, { sampling: own }] of prompts.entries()) {
    if (own?.n === undefined && own?.temperature === undefined) continue;
    const { n = sampling.n, temperature = sampling.temperature } = own;
    if (several({ n, temperature }))
      yield ['prompts', index, 'sampling', own.n === undefined ? 'temperature' : 'n'];
  }
}

import type { Path } from './offsets.ts';

/** `sky`, `sky#2`, …: no suite can give a prompt such an id. */
export const sampleIds = (id: string, n = 1): string[] =>
  Array.from({ length: n }, (_, index) => (index === 0 ? id : `${id}#${index + 1}`));

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
